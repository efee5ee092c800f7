import type { EventFrame, Key, NotificationItem } from '../frames.js'
import { codeOf, follow, whileLive } from './follow.js'
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

/** The bridge rewinds no farther. */
const farthest = 1_000
/** The most that is asked of the bridge's own list at a time. */
const page = 50
/** How long the bridge may take to count what has just arrived, in ms. */
const counting = 1_000

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
  let stopped = false
  let status: Following['status'] = 'subscribing'
  let unfollow: (() => void) | undefined
  let recount: ReturnType<typeof setTimeout> | undefined

  const unreadHere = (): [string, Notification][] => [...kept].filter(([, { read_at }]) => read_at === null)
  const nameOf = (resource: string, id: Key): string => (keeps ? String(id) : `${resource}/${id}`)

  function show(): void {
    const newest = [...kept].sort(([, a], [, b]) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
    for (const [name] of newest.splice(Math.max(wanted, farthest))) kept.delete(name)
    patch({
      notifications: newest.map(([, notification]) => notification),
      unread: keeps ? counted : unreadHere().length,
      hasMore: keeps ? more : heard >= wanted && wanted < farthest,
      status: keeps === undefined || status === 'subscribing' ? 'loading' : keeps || status === 'live' ? 'live' : 'unsupported',
    })
  }

  /** Asks the bridge for its list; who it answers that it keeps none lives by the channel's events. */
  async function list(before?: Notification): Promise<void> {
    clearTimeout(recount)
    const limit = Math.min(page, before ? wanted - kept.size : wanted)
    const size = kept.size
    try {
      const from = before && { before: before.id as string }
      const { items, unread } = await client.request({ type: 'notifications.list', limit, ...from })
      if (stopped) return
      if (keeps === false || (stale && !before)) kept.clear()
      if (!before) stale = false
      keeps = true
      counted = unread
      for (const item of items) kept.set(String(item.id), fromItem(item))
      if (before || kept.size === items.length) more = items.length >= limit
    } catch (error) {
      if (codeOf(error) === undefined || stopped) return // no answer: the next connection asks again
      keeps ??= false
    }
    if (unfollow === undefined) begin()
    show()
    const last = state.get().notifications.at(-1)
    if (keeps && more && kept.size < wanted && kept.size > size) void list(last)
  }

  function begin(): void {
    unfollow?.()
    heard = 0
    unfollow = follow(client, { channel }, put, said, {
      ...(!keeps && { rewind: Math.min(wanted, farthest) }),
      onResync() {
        stale = true
        if (keeps) void list()
        else begin()
      },
    })
  }

  function said(following: Following): void {
    status = following.status
    if (status === 'live' && keeps) void list() // what came between the list and the subscription
    if (status === 'live' && !keeps && stale) {
      kept.clear()
      stale = false
    }
    show()
  }

  function put({ type, resource, resource_id, op, at, data = {}, message, link }: EventFrame<any>): void {
    const name = nameOf(resource, resource_id)
    const known = kept.get(name)
    if (known === undefined && type !== 'notification') return
    heard++
    if (op === 'delete' || op === 'leave') kept.delete(name)
    else if (known ? keeps && op === 'insert' : op === 'update' && data.read_at) return // the list knows better; long read
    else kept.set(name, { ...fromItem({ id: resource_id as string, message, link, data }), at: known?.at ?? at })
    if (keeps && !known) {
      clearTimeout(recount)
      recount = setTimeout(() => void list(), counting)
    }
    show()
  }

  function mark(names: readonly [string, Notification][], read_at: string | null): void {
    for (const [name, notification] of names) if (kept.has(name)) kept.set(name, { ...notification, read_at })
  }

  const ends = [
    whileLive(client, () => void list(), () => {}),
    client.listen('notification_count', ({ unread }) => {
      clearTimeout(recount)
      counted = unread
      if (unread === 0) mark(unreadHere(), new Date().toISOString())
      else if (keeps && unreadHere().length !== unread) void list() // which of them were read
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
      const chosen = unreadHere().filter(([, { id }]) => ids === 'all' || ids.map(String).includes(String(id)))
      const before = counted
      mark(chosen, new Date().toISOString())
      counted = ids === 'all' ? 0 : Math.max(0, counted - chosen.length)
      show()
      try {
        if (keeps) counted = (await client.request({ type: 'notifications.read', ...toRead(ids) })).unread
        else await own!(ids)
      } catch (error) {
        counted = before
        mark(chosen, null)
        throw error
      } finally {
        show()
      }
    },
    stop() {
      stopped = true
      clearTimeout(recount)
      unfollow?.()
      for (const end of ends) end()
    },
  }
}

function toRead(ids: readonly Key[] | 'all'): { all: true } | { ids: string[] } {
  return ids === 'all' ? { all: true } : { ids: ids as string[] }
}

function fromItem({ id, at = '', data = {}, ...item }: Loose<NotificationItem>): Notification {
  const { message, link, read_at } = data as { message?: string; link?: string; read_at?: string | null }
  return {
    id,
    at,
    message: item.message ?? message,
    link: item.link ?? link,
    read_at: item.read_at ?? read_at ?? null,
    data,
  }
}

type Loose<T> = { [F in keyof T]: T[F] | (undefined extends T[F] ? undefined : never) }
