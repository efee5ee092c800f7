import { backoff } from './backoff.js'
import { isTerminal, retryDelay } from './codes.js'
import type { SocketConstructor, SocketLike } from './environment.js'
import type { ClientFrame, WelcomeFrame } from './frames.js'
import type { Link, LinkOptions } from './link.js'
import { parseFrame } from './parse.js'

/** What the connection is doing, for the page to show. */
export type ConnectionState =
  | { status: 'idle' }
  | { status: 'connecting'; attempt: number }
  /** `transport` is there when it is not a WebSocket. */
  | { status: 'live'; user: string; name?: string; transport?: 'sse' }
  /** The connection was lost; the next attempt is `retryInMs` away. */
  | { status: 'waiting'; attempt: number; retryInMs: number; code: number; reason: string }
  /** The bridge said not to come back until something changes; `client.connect()` tries again. */
  | { status: 'stopped'; code: number; reason: string }

/** Silence after which the connection counts as dead, beyond the heartbeat that the bridge promises: 25 s + 10 s. */
const grace = 10_000
const firstSilence = 35_000
/** The silence from a WebSocket's beginning to its welcome, where there is something else to try. */
const handshake = 15_000
/** How often the clock is looked at: a jump means that the machine slept. */
const tick = 5_000
/** How long a connection may take to prove that it is alive, when there is reason to doubt it. */
const proof = 5_000
/** A connection that lived this long was a good one: the next wait begins at the shortest again. */
const stable = 5_000
/** WebSockets in a row that got nowhere, after which Server-Sent Events are tried. */
const enough = 2
/** Frames to send in a second; the bridge takes 50, unless it is configured to take fewer. */
const share = 40
/** After the first try to go back to a WebSocket, which comes at once, the wait for the next; doubled, to an hour. */
const firstContent = 30_000
/** The close code of a connection that ended without one: RFC 6455, section 7.1.5. */
const abnormal = 1006
/** CloseCode.heartbeatTimeout, as a number that minifiers put in its place. */
const heartbeatTimeout = 4002

/** One authenticated socket at a time, kept alive and brought back. */
export function connection(options: LinkOptions): Link {
  const { WebSocket, clearTimeout, fetch, now, onWake, random, setTimeout } = options.environment
  let state: ConnectionState = { status: 'idle' }
  let current: SocketLike | undefined
  let turn = 0 // a new one voids what an earlier attempt still waits for
  let attempt = 0
  let silence = firstSilence
  let heard = 0 // when something was
  let looked = 0 // at the clock
  let renewAt = Infinity // when the token has to be renewed, if the bridge does not ask before
  let failed = 0 // WebSockets in a row that got nowhere
  let events = false // this connection is by Server-Sent Events
  let backAt = 0 // when a WebSocket is tried again
  let content = 0 // how long it does without, the next time
  let trial: SocketLike | undefined
  let token: string | undefined
  let liveSince: number | undefined
  let watch: unknown
  let retry: unknown
  let queue: ClientFrame[] = []
  let sent = 0 // of what may be, less what time has given back
  let sentAt = 0
  let refill: unknown
  let stopWake: (() => void) | undefined

  const live = (): boolean => liveSince !== undefined

  function become(next: ConnectionState): void {
    state = next
    options.onState(next)
  }

  /** Connects, unless it is connected or about to be; a wait for the next attempt ends now. */
  function start(): void {
    const { status } = state
    if (status === 'connecting' || status === 'live') return
    stopWake ??= onWake(wake)
    void open()
  }

  /** Closes for good, until start. */
  function stop(): void {
    end({ status: 'idle' }, 1000, 'closed by the application')
  }

  /** Sends now, or not at all: what has to survive a reconnection is sent by onLive. */
  function send(frame: ClientFrame): void {
    if (!live()) return
    if (events) return write(frame) // a stream makes one request of many
    queue.push(frame)
    flush()
  }

  /** The bridge drops what is more than it takes: many subscriptions, or those of many tabs, go a few at a time. */
  function flush(): void {
    const at = now()
    sent = Math.max(0, sent - (Math.max(0, at - sentAt) * share) / 1000)
    sentAt = at
    for (; queue.length > 0 && sent + 1 <= share; sent++) write(queue.shift()!)
    if (queue.length === 0) return
    refill ??= setTimeout(() => {
      refill = undefined
      flush()
    }, 250)
  }

  async function open(): Promise<void> {
    const mine = ++turn
    clearTimeout(retry)
    listen(firstSilence)
    become({ status: 'connecting', attempt })
    if (mine !== turn) return // closed by one who heard that
    try {
      const fresh = await options.getToken?.()
      if (mine !== turn) return
      token = fresh
    } catch (error) {
      if (mine !== turn) return
      options.onTokenError(error)
      lost(abnormal, 'no token')
      return
    }
    try {
      const Socket = await transport()
      if (mine === turn) dial(Socket)
    } catch (error) { // its code could not be loaded
      if (mine === turn) lost(abnormal, String(error))
    }
  }

  async function transport(): Promise<SocketConstructor | undefined> {
    events = fetch !== undefined && (WebSocket === undefined || failed >= enough)
    return events ? (await import('./sse.js')).eventSocket(options.environment, parseFrame) : WebSocket
  }

  function dial(Socket: SocketConstructor | undefined): void {
    try {
      if (!Socket) throw new Error('no WebSocket here: pass one as environment.WebSocket')
      take(greet(Socket))
    } catch (error) { // not an address, or none that this page may use
      return end({ status: 'stopped', code: abnormal, reason: String(error) })
    }
    listen(events || !fetch ? firstSilence : handshake)
  }

  /** A new socket, which says who is asking as soon as it is open. */
  function greet(Socket: SocketConstructor): SocketLike {
    const socket = new Socket(options.url, ['rowfeed.v1'])
    socket.onopen = () => {
      if (token !== undefined) socket.send(JSON.stringify({ type: 'auth', token } satisfies ClientFrame))
    }
    socket.onerror = () => {} // a close follows, and says more
    return socket
  }

  function take(socket: SocketLike): void {
    current = socket
    socket.onmessage = (event: { data: unknown }) => receive(event.data)
    socket.onclose = (event: { code: number; reason: string }) => closed(event.code, event.reason)
  }

  function receive(text: unknown): void {
    heard = now()
    if (queue.length > 0) flush() // a hidden page's timers may sleep for a minute
    const frame = parseFrame(text)
    if (frame === undefined) return
    if (frame.type === 'welcome') welcome(frame as WelcomeFrame)
    else if (frame.type === 'auth_expiring') void renew()
    else options.onFrame(frame)
  }

  function welcome(frame: WelcomeFrame): void {
    const { user, name, grants, heartbeat_ms, expires_in_ms: left } = frame
    const at = now()
    const first = !live()
    liveSince ??= at
    if (options.getToken && left > 0) renewAt = at + left - Math.min(30_000, left / 4)
    if (first && events) backAt = at + content
    listen(heartbeat_ms + grace)
    if (first) become({
      status: 'live', user, ...(name !== undefined && { name }), ...(events && { transport: 'sse' }),
    })
    options.onWelcome?.(frame, first)
    if (first) options.onLive(grants)
  }

  /** Gives the bridge a fresh token on the open socket. Where there is none the bridge closes with 4004 in time. */
  async function renew(): Promise<void> {
    const mine = turn
    renewAt = Infinity
    try {
      const fresh = await options.getToken?.()
      if (mine !== turn || fresh === undefined) return
      token = fresh
      send({ type: 'auth', token })
    } catch (error) {
      if (mine === turn) renewAt = now() + tick
      options.onTokenError(error)
    }
  }

  /** Starts the watch anew: from now on nothing may be silent for longer. */
  function listen(ms: number): void {
    silence = ms
    heard = looked = now()
    look()
  }

  /** Looks at the clock: a timer for the whole silence would stop with a machine that sleeps. */
  function look(): void {
    const at = now()
    const slept = at - looked > tick + proof
    looked = at
    clearTimeout(watch)
    heard = Math.min(heard, at) // the clock may be put back
    const left = heard + silence - at
    if (left <= 0) {
      if (current === undefined) options.onTokenError(new Error(`no answer in ${silence / 1000} s`))
      lost(heartbeatTimeout, 'nothing heard')
      if (slept) start() // it is not one of many that were cut off together
      return
    }
    if (at >= renewAt) void renew()
    if (events && live() && at >= backAt) tryWebSocket()
    watch = setTimeout(look, Math.min(tick, left))
  }

  /** The network or the page is there again, or is gone: what is silent now has to prove that it is not dead. */
  function wake(offline?: boolean): void {
    const { status } = state
    if (status === 'waiting' && !offline) start()
    if (status !== 'live') return
    look()
    if (!live() || events) return
    write({ type: 'ping' })
    heard = Math.min(heard, now() - silence + proof)
    look()
  }

  /** Opens a WebSocket beside the stream, and goes over to it when the bridge has said welcome there. */
  function tryWebSocket(): void {
    content = Math.min(2 * content || firstContent, 3_600_000)
    backAt = now() + content
    if (WebSocket === undefined) return
    trial?.close(1000)
    const next = (trial = greet(WebSocket))
    next.onmessage = (event: { data: unknown }) => {
      trial = undefined
      drop(1000)
      events = false
      failed = enough - 1 // one more that gets nowhere leads back
      take(next)
      receive(event.data)
    }
  }

  function closed(code: number, reason: string): void {
    if (isTerminal(code)) end({ status: 'stopped', code, reason })
    else lost(code, reason)
  }

  function lost(code: number, reason: string): void {
    const good = liveSince !== undefined && now() - liveSince >= stable
    if (good) attempt = 0
    if (events) {
      if (!live()) failed = enough - 1 // a WebSocket next
    } else if (good || (code !== abnormal && code !== heartbeatTimeout)) failed = content = 0
    else if (current !== undefined) failed++
    const retryInMs = Math.max(backoff(attempt, random), retryDelay(reason))
    drop(heartbeatTimeout, 'nothing heard')
    attempt++
    retry = setTimeout(start, retryInMs)
    become({ status: 'waiting', attempt, retryInMs, code, reason })
  }

  function end(last: ConnectionState, code?: number, reason?: string): void {
    drop(code, reason)
    attempt = 0
    stopWake?.()
    stopWake = undefined
    become(last)
  }

  /** Lets go of the socket at once: a dead peer would never answer the close. */
  function drop(code?: number, reason?: string): void {
    turn++
    clearTimeout(watch)
    clearTimeout(retry)
    clearTimeout(refill)
    refill = undefined
    queue = [] // of this connection, and void on the next
    liveSince = undefined
    renewAt = Infinity
    for (const socket of [current, trial]) {
      if (socket === undefined) continue
      socket.onopen = socket.onmessage = socket.onclose = null
      socket.close(code, reason) // without effect where it is closed already
    }
    current = trial = undefined
  }

  function write(frame: ClientFrame): void {
    current?.send(JSON.stringify(frame))
  }

  return { state: () => state, start, stop, send }
}
