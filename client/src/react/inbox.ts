import type { EventFrame, Key, NotificationItem } from '../frames.js'
import { follow, isUnknown, whileLive } from './follow.js'
import type { Following, Wire } from './follow.js'
import { cell } from './share.js'
import type { Shared } from './share.js'

/** A notification, kept by the bridge or in a table of the ERP. */
export interface Notification {
  id: Key
  /** When it was written, RFC 3339. */
  at: string
  message?: string | undefined
  link?: string | undefined
  /** Null while it is unread. */
  read_at: string | null
  /** The whole row; `type` is the kind. */
  data: Record<string, any>
}

export interface InboxState {
  /** The newest first. */
  notifications: readonly Notification[]
  unread: number
  hasMore: boolean
  /** `unsupported`: the bridge keeps none, and has no such channel. */
  status: 'loading' | 'live' | 'unsupported'
}

/** The application's own way to say that notifications were read, where its table keeps them. */
export type MarkRead = (ids: readonly Key[] | 'all') => unknown

export interface Inbox extends Shared<InboxState> {
  /** Wants the newest `count`. */
  want(count: number): void
  markRead(ids: readonly Key[] | 'all', own: MarkRead | undefined): Promise<void>
}

/**
 * The bridge rewinds no farther, and may list no more at a time; how long its count may take, and when a list that it
 * could not give is asked for again, in ms.
 */
const farthest = 1_000
const page = 50
const moment = 1_000
const again = 5_000

export const loading: InboxState = { notifications: [], unread: 0, hasMore: false, status: 'loading' }

/**
 * One's notifications: those that the bridge keeps, listed by it and counted by it; or, where it keeps none, what the
 * channel brings, from its last events on.
 */
export function openInbox(client: Wire, channel: string, wanted: number): Inbox {
  const { state, patch } = cell(loading)
  const kept = new Map<string, Notification>()
  let keeps: boolean | undefined // whether the bridge does; unknown until it has answered
  let counted = 0 // unread, by its count
  let more = false // on its list
  let heard = 0 // events of this subscription
  let stale = false // what is here is of before a resync
  let status: Following['status'] = 'subscribing'
  let unfollow: (() => void) | undefined
  let over = false
  let timer: ReturnType<typeof setTimeout> | undefined

  const unread = (): [string, Notification][] => [...kept].filter(([, one]) => one.read_at === null)

  function show(): void {
    const newest = [...kept].sort(([, a], [, b]) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
    for (const [name] of newest.splice(Math.max(wanted, farthest))) kept.delete(name)
    patch({
      notifications: newest.map(([, one]) => one),
      unread: keeps ? counted : unread().length,
      hasMore: keeps ? more : heard >= wanted && wanted < farthest,
      status: keeps === undefined || status === 'subscribing' ? 'loading' : keeps || status === 'live' ? 'live' : 'unsupported',
    })
  }

  /** Asks the bridge for its list; who it answers that it keeps none lives by the channel's events. */
  async function list(before?: Notification): Promise<void> {
    const { size } = kept
    const limit = before ? wanted - size : wanted
    try {
      const answer = await client.request({ type: 'notifications.list', limit, ...(before && { before: before.id as string }) })
      if (!before) fresh()
      keeps = true
      counted = answer.unread
      for (const item of answer.items) put('notifications', item)
      if (before || kept.size === answer.items.length) more = answer.items.length >= Math.min(limit, page)
    } catch (error) {
      if (isUnknown(error)) keeps ??= false
      else listSoon(again)
    }
    if (keeps !== undefined && !unfollow) begin()
    show()
    if (keeps && more && kept.size < wanted && kept.size > size) void list(state.get().notifications.at(-1))
  }

  /** Lists again, once for all that gives a reason to. */
  function listSoon(ms = moment): void {
    clearTimeout(timer)
    if (!over && client.state.get().status === 'live') timer = setTimeout(list, ms) // else the connection's return lists
  }

  function begin(): void {
    unfollow?.()
    heard = 0
    unfollow = follow(client, { channel }, hear, (following) => {
      ;({ status } = following)
      if (status === 'live') keeps ? listSoon() : fresh() // the list: for what came before the subscription
      show()
    }, keeps ? undefined : Math.min(wanted, farthest), () => {
      stale = true
      keeps ? listSoon() : begin()
    })
  }

  /** What comes now is whole: what is left of before a resync goes. */
  function fresh(): void {
    if (stale) kept.clear()
    stale = false
  }

  function hear({ type, resource, resource_id, op, at, data = {}, message, link }: EventFrame<any>): void {
    const known = kept.get(resource + resource_id)
    if (!known && type !== 'notification') return
    heard++
    if (op === 'delete' || op === 'leave') kept.delete(resource + resource_id)
    else if (known ? keeps && op === 'insert' : op === 'update' && data.read_at) return // the list knows better; long read
    else put(resource, { id: resource_id as string, at: known?.at ?? at, message, link, data })
    if (keeps && !known) listSoon() // for the count
    show()
  }

  function put(resource: string, { id, at = '', data = {}, ...item }: Loose<NotificationItem>): void {
    const { message, link, read_at = null } = data as Partial<Notification>
    const known = { id, at, message: item.message ?? message, link: item.link ?? link, read_at: item.read_at ?? read_at, data }
    kept.set(resource + id, known)
  }

  /** Returns how to take that back, of what is still as this left it. */
  function mark(chosen: [string, Notification][]): () => void {
    const read_at = new Date().toISOString()
    const marked = chosen.map(([name, one]) => [name, one, { ...one, read_at }] as const)
    for (const [name, , read] of marked) kept.set(name, read)
    return () => {
      for (const [name, one, read] of marked) if (kept.get(name) === read) kept.set(name, one)
    }
  }

  const ends = [
    whileLive(client, () => void list(), () => {}),
    client.listen('notification_count', (count) => {
      counted = count.unread
      if (!counted) mark(unread())
      else if (unread().length !== counted) listSoon() // which of them were read
      show()
    }),
  ]
  return {
    state,
    want(count) {
      if (count <= wanted) return
      wanted = count
      if (keeps) void list(state.get().notifications.at(-1))
      else if (unfollow) begin()
    },
    async markRead(ids, own) {
      if (!keeps && !own) throw new Error('markRead: this bridge keeps no notifications: give useNotifications a `markRead`')
      const chosen = unread().filter(([, { id }]) => ids === 'all' || ids.map(String).includes(String(id)))
      const before = counted
      const unmark = mark(chosen)
      counted = ids === 'all' ? 0 : Math.max(0, counted - chosen.length)
      show()
      try {
        const which = ids === 'all' ? { all: true as const } : { ids: ids as string[] }
        if (keeps) counted = (await client.request({ type: 'notifications.read', ...which })).unread
        else await own!(ids)
      } catch (error) {
        counted = before
        unmark()
        throw error
      } finally {
        show()
      }
    },
    stop() {
      over = true
      clearTimeout(timer)
      unfollow?.()
      unfollow = () => {} // an answer that is still to come begins nothing
      for (const end of ends) end()
    },
  }
}

type Loose<T> = { [F in keyof T]: T[F] | (undefined extends T[F] ? undefined : never) }
