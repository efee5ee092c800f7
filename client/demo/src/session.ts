import { QueryClient } from '@tanstack/react-query'
import { CloseCode, createClient } from 'rowfeed'
import { createApi, Refusal } from './api'
import type { Person, Setup } from './api'
import type { Arrival, Event, Regrant, Resync, Session, Toast } from './context'
import { migrationKey, requestsKey, requestsQuery, rightsKey, stockKey, stockQuery, tablesKey } from './data'
import { now } from './format'
import { follow } from './live'
import { cell } from './store'
import { createWire } from './wire'

const arrivalsKept = 200
const toastsShown = 3
const echo = 5000 // the same reason comes for each channel

/** Why the page had to fetch everything again, by the bridge's reason; `reconnected` is the client's own. */
const reasons: Record<string, string> = {
  cursor_expired: 'What you missed is too long ago to be told',
  other_epoch: 'The database has been set back or replaced',
  truncated: 'A table was emptied at one stroke',
  drift: 'A table’s columns have changed',
  rule_error: 'A row’s visibility could not be worked out',
  grants_changed: 'What you may see has changed',
  reconnected: 'The connection was lost before the page had been told a place to go on from',
}

const channels = ['activity', 'approvals', 'notifications', 'stock'] as const

/** Opens the page of a user: connects, and keeps what is fetched in step with the events. */
export function openSession(setup: Setup, user: Person): Session {
  const api = createApi(user, setup)
  const wire = createWire()
  const queries = new QueryClient({ defaultOptions: { queries: {
    staleTime: Infinity, refetchOnWindowFocus: false,
    retry: (failures, error) => failures < 3 && !(error instanceof Refusal),
  } } })
  const client = createClient({ url: setup.socket, getToken: api.token, channels,
    environment: { WebSocket: wire.tap(WebSocket) } })
  const stop = follow(client, queries)
  const session: Session = {
    setup, user, api, client, queries, wire, live: cell(false), offline: cell(false), arrivals: cell<Arrival[]>([]),
    latency: cell<number | undefined>(undefined), resync: cell<Resync | undefined>(undefined),
    regrant: cell<Regrant | undefined>(undefined), afresh: cell(''), toasts: cell<Toast[]>([]), tells: new Map(),
    toast: (message, warn = false) => raise(session, message, warn),
    cut() {
      session.offline.set(true)
      client.close()
    },
    restore() {
      session.offline.set(false)
      client.connect()
    },
    close() {
      stop()
      client.close()
      queries.clear()
    },
  }
  watch(session)
  return session
}

let toastIds = 0

function raise({ toasts }: Session, message: string, warn: boolean): void {
  toasts.set([...toasts.get(), { id: ++toastIds, message, warn }].slice(-toastsShown))
}

/** Notes what comes, for the cards that tell of it. */
function watch(session: Session): void {
  const { client, queries, wire, live, latency, arrivals } = session
  const heard = new Set<string>() // the channels that are live on this connection
  let back = 0 // when this connection took the place of another; 0: it is the first
  let lived = false
  // What one may see has changed: the client proves anew who this is, on another connection. Whether that was `said`
  // before, or by the close.
  let regranted: 'said' | 'closed' | undefined
  client.state.subscribe((state) => {
    if (state.status === 'waiting') regranted = state.code === CloseCode.grantsChanged ? 'closed' : undefined
    if (state.status === 'idle') regranted = undefined
    if (state.status === 'live') back = lived ? now() : 0
    lived ||= state.status === 'live'
    if (state.status === 'live' || (state.status === 'connecting' && regranted)) return
    heard.clear()
    live.set(false)
    latency.set(undefined)
  })
  const onLive = (channel: string): void => {
    const first = heard.add(channel).size === channels.length && !live.get()
    if (!first) return
    live.set(true)
    void queries.invalidateQueries({ queryKey: tablesKey })
  }
  const onEvent = (event: Event): void => {
    if (!wire.get().open) wire.heard(event)
    const missed = Date.parse(event.at) < back
    painted(() => {
      const at = now()
      if (!missed) latency.set(Math.max(0, at - Date.parse(event.at)))
      arrivals.set([{ event, at, missed }, ...arrivals.get()].slice(0, arrivalsKept))
    })
  }
  for (const channel of channels) client.subscribe({ channel }, onEvent, { onLive: () => onLive(channel) })
  const regrant = regrants(session)
  client.onResync(({ reason }) => {
    if (reason === 'grants_changed') regranted = 'said'
    // The other connection has nothing to go on from: that is no loss.
    if (reason !== 'reconnected' || !regranted) resynced(session, regrant, reason)
    else if (regranted === 'closed') resynced(session, regrant, 'grants_changed')
  })
}

const collected = 50 // ms for which syncQueries collects events

/** Calls back when the screen shows what an event that comes now has changed. */
function painted(then: () => void): void {
  if (document.hidden) return then()
  setTimeout(() => setTimeout(() => requestAnimationFrame(then)), collected) // the cache tells its observers in between
}

let explained = { text: '', until: 0 }

function resynced(session: Session, regrant: (at: number) => Promise<void>, reason: string): void {
  const { queries, resync, tells, afresh, toast } = session
  const at = now()
  resync.set({ reason, at })
  void queries.invalidateQueries({ queryKey: tablesKey })
  if (reason === 'grants_changed') queueMicrotask(() => void regrant(at)) // after syncQueries has heard of it
  else for (const queryKey of [rightsKey, migrationKey]) void queries.invalidateQueries({ queryKey })
  if (tells.get(reason)?.()) return
  const text = `${reasons[reason] ?? 'What you missed can’t be told'}. Everything here was fetched afresh.`
  if (reason !== 'grants_changed') afresh.set(text)
  if (explained.text === text && Date.now() < explained.until) return
  explained = { text, until: Date.now() + echo }
  toast(text, true)
}

/** Fetches all afresh when what one may see has changed, and tells what that changed on the page. */
function regrants(session: Session): (at: number) => Promise<void> {
  const { queries, regrant } = session
  let heard = 0
  let running = false
  return async (at) => {
    heard = at // it comes for each channel: once more where it is said meanwhile
    if (running) return
    running = true
    const before = rowsOf(session)
    for (let of = 0; of !== heard;) {
      of = heard
      await Promise.all([requestsKey, stockKey, rightsKey].map((queryKey) => queries.refetchQueries({ queryKey })))
    }
    running = false
    const after = rowsOf(session)
    regrant.set({ at: heard, ms: now() - at, went: lacking(before, after), came: lacking(after, before) })
  }
}

function rowsOf(session: Session): Set<string> {
  const { queries } = session
  return new Set([
    ...(queries.getQueryData(requestsQuery(session).queryKey) ?? []).map(({ resource, id }) => `${resource}/${id}`),
    ...(queries.getQueryData(stockQuery(session).queryKey) ?? []).map(({ id }) => `stock/${id}`),
  ])
}

const lacking = (list: Set<string>, other: Set<string>): number => [...list].filter((key) => !other.has(key)).length
