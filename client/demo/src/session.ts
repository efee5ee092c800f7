import { QueryClient } from '@tanstack/react-query'
import { createContext, useContext } from 'react'
import { createClient } from 'rowfeed'
import type { Client, EventFrame, ResyncFrame } from 'rowfeed'
import { createApi, Refusal } from './api'
import type { Api, Person, Setup } from './api'
import { migrationKey, requestsKey, requestsQuery, rightsKey, stockKey, stockQuery, tablesKey } from './data'
import { now } from './format'
import { apply } from './live'
import { cell } from './store'
import type { Cell } from './store'
import { createWire } from './wire'
import type { Wire } from './wire'

export type Event = EventFrame<Record<string, unknown>>

/** An event and when it was on the screen; `missed`: it was made while the page was not connected. */
export interface Arrival {
  event: Event
  at: number
  missed: boolean
}

export interface Toast {
  id: number
  message: string
  warn: boolean
}

/** Why the page was told to fetch afresh, and when. */
export interface Resync {
  reason: string
  at: number
}

/** What became of the page when what one may see had changed. */
export interface Regrant {
  at: number // when the bridge last said so
  ms: number // how long the fetch took
  went: number
  came: number
}

/** One user's look at the ERP: a client of the bridge and a cache of what REST gave, both ended by `close`. */
export interface Session {
  setup: Setup
  user: Person
  api: Api
  client: Client
  queries: QueryClient
  wire: Wire
  live: Cell<boolean> // connected, and every channel is heard
  offline: Cell<boolean> // by the visitor's wish
  arrivals: Cell<Arrival[]> // newest first
  latency: Cell<number | undefined>
  resync: Cell<Resync | undefined>
  regrant: Cell<Regrant | undefined>
  afresh: Cell<string> // why all had to be fetched after the last outage
  toasts: Cell<Toast[]>
  /** Reasons of a resync that a card tells of itself, for as long as the function says so. */
  tells: Map<string, () => boolean>
  toast(message: string, warn?: boolean): void
  cut(): void
  restore(): void
  close(): void
}

const arrivalsKept = 200
const toastsShown = 3
const echo = 5000 // the same reason comes for each channel

/** Why the page had to fetch everything again, by the reason that the bridge gives; `reconnected` is the client's own. */
const reasons: Record<string, string> = {
  cursor_expired: 'What you missed is too long ago to be told',
  other_epoch: 'The database has been set back or replaced',
  truncated: 'A table was emptied at one stroke',
  drift: 'A table’s columns have changed',
  rule_error: 'A row’s visibility could not be worked out',
  grants_changed: 'What you may see has changed',
  reconnected: 'The connection was lost before the page had been told a place to go on from',
}

export const SessionContext = createContext<Session | null>(null)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (!session) throw new Error('useSession: render inside a SessionContext')
  return session
}

/** Opens the page of a user: connects, and keeps what is fetched in step with the events. */
export function openSession(setup: Setup, user: Person): Session {
  const api = createApi(user, setup)
  const wire = createWire()
  const queries = new QueryClient({ defaultOptions: { queries: {
    staleTime: Infinity, refetchOnWindowFocus: false,
    retry: (failures, error) => failures < 3 && !(error instanceof Refusal),
  } } })
  const client = createClient({ url: setup.socket, getToken: api.token, channels: setup.channels,
    environment: { WebSocket: wire.tap(WebSocket) } })
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
      client.close()
      queries.clear()
    },
  }
  follow(session)
  client.connect()
  return session
}

let toastIds = 0

function raise({ toasts }: Session, message: string, warn: boolean): void {
  toasts.set([...toasts.get(), { id: ++toastIds, message, warn }].slice(-toastsShown))
}

/** Wires what comes to what the page shows. */
function follow(session: Session): void {
  const { client, setup, queries, wire, live, latency, arrivals } = session
  let back = 0 // when this connection took the place of another; 0: it is the first
  let was = false
  client.state.subscribe(({ status }) => {
    live.set(status === 'live')
    if (status !== 'live') return latency.set(undefined)
    back = was ? now() : 0
    was = true
  })
  const hear = (event: Event): void => {
    if (!wire.get().open) wire.heard(event)
    apply(queries, event, setup.resources)
    const missed = Date.parse(event.at) < back
    painted(() => {
      const at = now()
      if (!missed) latency.set(Math.max(0, at - Date.parse(event.at)))
      arrivals.set([{ event, at, missed }, ...arrivals.get()].slice(0, arrivalsKept))
    })
  }
  for (const channel of setup.channels) client.subscribe({ channel }, hear)
  const regranted = regrants(session)
  client.onResync((frame) => resynced(session, regranted, frame))
  tell(session)
}

/** Calls back when the screen shows what has just been set. */
function painted(then: () => void): void {
  if (document.hidden) then()
  else setTimeout(() => requestAnimationFrame(then)) // after the query cache has told its observers
}

/** Puts up what is addressed to this very person, or to the place they answer for. */
function tell({ client, user, toast }: Session): void {
  let told = '' // a row changed, and a notification of it in the same transaction, say the same: one toast is enough
  const once = ({ message, txid }: Event): void => {
    if (!message || told === txid) return
    told = txid
    toast(message)
  }
  const oneTab = { once: 'browser' } as const // however many show this page
  client.on('low_stock', (_, { message }) => toast(message ?? 'A stock level is low', true), oneTab)
  client.on('notification', (_, event) => once(event), oneTab)
  client.on('approval_status_changed', (data, event) => {
    if (String(data.requested_by_id) === user.id) once(event)
  }, oneTab)
}

let explained = { text: '', until: 0 }

function resynced(session: Session, regranted: (at: number) => Promise<void>, { reason }: ResyncFrame): void {
  const { queries, resync, tells, afresh, toast } = session
  const at = now()
  resync.set({ reason, at })
  void queries.invalidateQueries({ queryKey: tablesKey })
  if (reason === 'grants_changed') void regranted(at)
  else for (const queryKey of [requestsKey, stockKey, rightsKey, migrationKey, ['notifications']]) void queries.invalidateQueries({ queryKey })
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
