import { createClient } from '../client.js'
import type { Client, ClientOptions } from '../client.js'
import { CloseCode } from '../codes.js'
import type { Environment, SocketConstructor } from '../environment.js'
import type { ClientFrame, EventFrame, Key, NotificationItem, PresentUser, ResyncFrame } from '../frames.js'
import type { ChannelName, EventsIn, RegisteredSchema, ResourceName } from '../schema.js'
import { Desk } from './desk.js'
import type { Catalog, Features } from './desk.js'
import type { Audience } from './feed.js'
import { Session } from './session.js'
import type { FakeUser } from './session.js'
import { soon } from './wire.js'

export interface FakeServerOptions<S = RegisteredSchema> {
  /**
   * Who a token is of: a user, or nobody, who is closed with 4501. Left out, everybody is the user `1`.
   */
  authenticate?: (token: string) => FakeUser | string | undefined
  /** Who has the cookie that counts where a client has no getToken. */
  cookie?: FakeUser | string
  /** The channels, their resources and the fields of data; what is not there is refused. Left out, all are there. */
  channels?: { [C in ChannelName<S>]?: { [R in ResourceName<S, C>]?: readonly string[] } }
  /** What this bridge can do beyond events; all, where it is not said. `false` is answered by `unknown_type`. */
  features?: Features
}

/** An event as a test tells it: what it leaves out is filled in. */
export type PartialEvent<E = EventFrame> = E extends { type: infer T; resource: infer R }
  ? { type: T; resource: R } & { [F in keyof Omit<E, 'type' | 'resource' | 'channel'>]?: E[F] }
  : never

/** Who may see an event: `to` the new row, `was` the old one; everybody, where it is not said. */
export interface Seen {
  to?: Audience
  was?: Audience
}

/** A connection, as the server has it; `say` sends any frame. */
export type FakeSession = Pick<Session, 'id' | 'live' | 'who' | 'subscriptions' | 'say' | 'drain' | 'close'>

/** A bridge that does what the test says. */
export interface FakeServer<S = RegisteredSchema> {
  /** For `createClient({ environment })`. */
  readonly environment: Partial<Environment>
  /** A client of this server; several may have different tokens. */
  client(options?: Partial<ClientOptions<S>>): Client<S>
  /** All that clients have sent, in order. */
  readonly sent: readonly ClientFrame[]
  /** The open connections. */
  readonly sessions: readonly FakeSession[]
  /** Resolves when a client is connected, authenticated and subscribed. */
  live(): Promise<void>
  /**
   * A row changes: whoever is subscribed and may see it hears of it before this returns. Answers with the whole event.
   * An update is an `enter` or a `leave` for whom the row, or a `where`, says so.
   */
  emit<C extends ChannelName<S>>(
    channel: C,
    event: PartialEvent<EventsIn<S, C, ResourceName<S, C>>>,
    seen?: Seen,
  ): EventFrame
  /** Tells subscribers, or one user, to fetch afresh. */
  resync(channel: ChannelName<S>, reason?: string, concerned?: { resource?: string; user?: string }): void
  /** Refuses requests that have these fields, such as `{ channel: 'stock' }`, from now on. Returns how to stop. */
  refuse(match: Partial<ClientFrame> | Record<string, unknown>, code: string, message?: string): () => void
  /** Closes all connections, or those of a user: 1006 is a dropped one. */
  drop(code?: number, reason?: string, user?: string): void
  /** No network: connections drop, and none is made until `online`. `silent`: nobody is told, they seem to be there. */
  offline(options?: { silent?: boolean }): void
  /** The network is back, and clients are told as a browser tells them. */
  online(): void
  /** The past can't be told any more: who resumes hears `cursor_expired`. */
  forget(channel?: ChannelName<S>): void
  /** Another database takes over: connections drop, and who resumes hears `other_epoch`. */
  restart(): void
  /** Somebody enters a room, changes what they say of themselves there, or leaves it, by no connection of the test. */
  enter(room: string, who: PresentUser): void
  leave(room: string, user: string): void
  /** Gives the lease on a row to somebody. */
  hold(resource: string, key: Key, who: { user: string; name?: string }, ttlMs?: number): void
  /** Keeps a notification for a user, who hears of it at once. */
  notify(user: string, item: { kind?: string; message?: string; link?: string }): NotificationItem
  /** Closes all connections and refuses others: the end of the test. */
  close(): void
}

/** Makes a bridge for unit tests: no network, no database, and the clock is the test's own. */
export function createFakeServer<S = RegisteredSchema>(options: FakeServerOptions<NoInfer<S>> = {}): FakeServer<S> {
  const { authenticate = () => '1', cookie, channels, features = {} } = options
  const named = (who: FakeUser | string | undefined): FakeUser | undefined =>
    typeof who === 'string' ? { user: who } : who
  const catalog = channels as Catalog | undefined
  const desk = new Desk({ authenticate: (token) => named(authenticate(token)), catalog, features })
  const wakes = new Set<(offline?: boolean) => void>()
  let network: 'online' | 'offline' | 'silent' = 'online'
  let over = false
  let connections = 0
  let events = 0

  /** What `new WebSocket` makes is the client's end of a new session. */
  function connect(): Session['socket'] {
    const session = new Session(desk, `s-${++connections}`)
    soon(() => {
      if (network === 'silent') return
      if (network === 'offline') return session.socket.onclose?.({ code: 1006, reason: '' })
      desk.sessions.add(session)
      session.open(named(cookie))
    })
    return session.socket
  }

  const environment: Partial<Environment> = {
    WebSocket: connect as unknown as SocketConstructor, // `new` gives back the object that a function returns
    fetch: undefined, // or it would look for Server-Sent Events where WebSocket fails: in a network
    tabs: undefined,
    setTimeout: (run, ms) => (over ? undefined : setTimeout(run, ms)), // who comes back keeps a test's process alive
    random: () => 1, // the longest waits: 0.5 s, doubled each time, up to 20 s
    onWake(wake) {
      wakes.add(wake)
      return () => void wakes.delete(wake)
    },
  }

  function drop(code: number = 1006, reason = '', user?: string): void {
    const meant = [...desk.sessions].filter(({ who }) => user === undefined || who?.user === user)
    for (const session of meant) session.close(code, reason)
  }

  function emit(channel: string, event: Partial<EventFrame>, { to, was = to }: Seen = {}): EventFrame {
    const n = ++events
    const { data } = event as { data?: { id?: Key } }
    const whole = { type: '', id: `fake-${n}`, channel, resource: '', resource_id: data?.id ?? n, op: 'update',
      at: new Date().toISOString(), txid: String(n), ...event } as EventFrame
    desk.emit({ event: whole, now: to, was })
    return whole
  }

  return {
    environment,
    client(more = {}) {
      const token = cookie === undefined && { getToken: () => 'fake' }
      return createClient<S>({ url: 'wss://fake.example/ws', ...token, ...more,
        environment: { ...environment, ...more.environment } } as ClientOptions<NoInfer<S>>)
    },
    sent: desk.sent,
    get sessions() {
      return [...desk.sessions]
    },
    live: () => desk.live(),
    emit: (channel, event, seen) => emit(channel, event as Partial<EventFrame>, seen),
    resync(channel, reason = 'drift', { resource, user } = {}) {
      const frame: ResyncFrame = { type: 'resync', channel, ...(resource !== undefined && { resource }), reason }
      desk.resync(frame, user)
    },
    refuse(match, code, message = 'refused by the test') {
      const refusal = { match, code, message }
      desk.refusals.add(refusal)
      return () => void desk.refusals.delete(refusal)
    },
    drop,
    offline({ silent = false } = {}) {
      network = silent ? 'silent' : 'offline'
      if (silent) for (const session of desk.sessions) session.silent = true
      else {
        drop()
        for (const wake of [...wakes]) wake(true)
      }
    },
    online() {
      network = 'online'
      for (const session of [...desk.sessions]) if (session.silent) session.close(1006)
      for (const wake of [...wakes]) wake()
    },
    forget: (channel) => desk.feed.forget(channel),
    restart() {
      desk.feed.restart()
      drop()
    },
    enter(room, who) {
      desk.rooms.enter(room, who)
      desk.drain()
    },
    leave(room, user) {
      desk.rooms.leave(room, user)
      desk.drain()
    },
    hold: (resource, key, who, ttlMs = 30_000) => void desk.leases.hold(resource, key, who, ttlMs),
    notify(user, { kind = 'note', message = '', link = '' }) {
      const data = { type: kind, message, link, read_at: null }
      const at = new Date().toISOString()
      const item: NotificationItem = { id: `n-${events + 1}`, at, message, link, read_at: null, data }
      desk.inboxes.add(user, item)
      emit('notifications', { type: 'notification', resource: 'notifications', resource_id: item.id, op: 'insert', at,
        message, link, data }, { to: user })
      return item
    },
    close() {
      network = 'offline'
      over = true
      drop(CloseCode.draining, 'draining; retry_ms=60000')
    },
  }
}
