import { backoff } from './backoff.js'
import { CloseCode, isTerminal, retryDelay } from './codes.js'
import type { Environment, SocketConstructor, SocketLike } from './environment.js'
import type { ClientFrame, WelcomeFrame } from './frames.js'
import type { Link, LinkOptions } from './link.js'
import { parseFrame } from './parse.js'
import { Store } from './store.js'

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
const content = 30_000
/** The close code of a connection that ended without one: RFC 6455, section 7.1.5. */
const abnormal = 1006

/** One authenticated socket at a time, kept alive and brought back. */
export class Connection implements Link {
  readonly state: Store<ConnectionState>
  readonly #options: LinkOptions
  readonly #env: Environment
  #socket: SocketLike | undefined
  #turn = 0 // a new one voids what an earlier attempt still waits for
  #attempt = 0
  #silence = firstSilence
  #heard = 0 // when something was
  #looked = 0 // at the clock
  #renewAt = Infinity // when the token has to be renewed, if the bridge does not ask before
  #failed = 0 // WebSockets in a row that got nowhere
  #events = false // this connection is by Server-Sent Events
  #backAt = 0 // when a WebSocket is tried again
  #content = 0 // how long it does without, the next time
  #trial: SocketLike | undefined
  #token: string | undefined
  #liveSince: number | undefined
  #watch: unknown
  #retry: unknown
  #queue: ClientFrame[] = []
  #sent = 0 // of what may be, less what time has given back
  #sentAt = 0
  #refill: unknown
  #stopWake: (() => void) | undefined

  constructor(options: LinkOptions) {
    this.#options = options
    this.#env = options.environment
    this.state = new Store<ConnectionState>({ status: 'idle' }, this.#env.report)
  }

  get live(): boolean {
    return this.#liveSince !== undefined
  }

  /** Connects, unless it is connected or about to be; a wait for the next attempt ends now. */
  start(): void {
    const { status } = this.state.get()
    if (status === 'connecting' || status === 'live') return
    this.#stopWake ??= this.#env.onWake((offline) => this.#wake(offline))
    void this.#open()
  }

  /** Closes for good, until start. */
  stop(): void {
    this.#end({ status: 'idle' }, 1000, 'closed by the application')
  }

  /** Sends now, or not at all: what has to survive a reconnection is sent by onLive. */
  send(frame: ClientFrame): void {
    if (!this.live) return
    if (this.#events) return this.#write(frame) // a stream makes one request of many
    this.#queue.push(frame)
    this.#flush()
  }

  /** The bridge drops what is more than it takes: many subscriptions, or those of many tabs, go a few at a time. */
  #flush(): void {
    const now = this.#env.now()
    this.#sent = Math.max(0, this.#sent - (Math.max(0, now - this.#sentAt) * share) / 1000)
    this.#sentAt = now
    for (; this.#queue.length > 0 && this.#sent + 1 <= share; this.#sent++) this.#write(this.#queue.shift()!)
    if (this.#queue.length === 0) return
    this.#refill ??= this.#env.setTimeout(() => {
      this.#refill = undefined
      this.#flush()
    }, 250)
  }

  async #open(): Promise<void> {
    const turn = ++this.#turn
    this.#env.clearTimeout(this.#retry)
    this.#listen(firstSilence)
    this.state.set({ status: 'connecting', attempt: this.#attempt })
    if (turn !== this.#turn) return // closed by one who heard that
    try {
      const token = await this.#options.getToken?.()
      if (turn === this.#turn) this.#token = token
    } catch (error) {
      if (turn !== this.#turn) return
      this.#options.onTokenError(error)
      this.#lost(abnormal, 'no token')
      return
    }
    try {
      const Socket = await this.#transport()
      if (turn === this.#turn) this.#dial(Socket)
    } catch (error) { // its code could not be loaded
      if (turn === this.#turn) this.#lost(abnormal, String(error))
    }
  }

  async #transport(): Promise<SocketConstructor | undefined> {
    const { WebSocket, fetch } = this.#env
    this.#events = fetch !== undefined && (WebSocket === undefined || this.#failed >= enough)
    return this.#events ? (await import('./sse.js')).eventSocket(this.#env, parseFrame) : WebSocket
  }

  #dial(Socket: SocketConstructor | undefined): void {
    let socket: SocketLike
    try {
      if (Socket === undefined) throw new Error('no WebSocket here: pass one as environment.WebSocket')
      socket = this.#greet(Socket)
    } catch (error) { // not an address, or none that this page may use
      this.#end({ status: 'stopped', code: abnormal, reason: String(error) })
      return
    }
    this.#take(socket)
    this.#listen(this.#events || !this.#env.fetch ? firstSilence : handshake)
  }

  /** A new socket, which says who is asking as soon as it is open. */
  #greet(Socket: SocketConstructor): SocketLike {
    const socket = new Socket(this.#options.url, ['rowfeed.v1'])
    socket.onopen = () => {
      const token = this.#token
      if (token !== undefined) socket.send(JSON.stringify({ type: 'auth', token } satisfies ClientFrame))
    }
    socket.onerror = () => {} // a close follows, and says more
    return socket
  }

  #take(socket: SocketLike): void {
    this.#socket = socket
    socket.onmessage = (event: { data: unknown }) => this.#receive(event.data)
    socket.onclose = (event: { code: number; reason: string }) => this.#closed(event.code, event.reason)
  }

  #receive(text: unknown): void {
    this.#heard = this.#env.now()
    if (this.#queue.length > 0) this.#flush() // a hidden page's timers may sleep for a minute
    const frame = parseFrame(text)
    if (frame === undefined) return
    if (frame.type === 'welcome') this.#welcome(frame as WelcomeFrame)
    else if (frame.type === 'auth_expiring') void this.#renew()
    else this.#options.onFrame(frame)
  }

  #welcome(frame: WelcomeFrame): void {
    const { user, name, grants, heartbeat_ms, expires_in_ms: left } = frame
    const now = this.#env.now()
    const first = !this.live
    this.#liveSince ??= now
    if (this.#options.getToken && left > 0) this.#renewAt = now + left - Math.min(30_000, left / 4)
    if (first && this.#events) this.#backAt = now + this.#content
    this.#listen(heartbeat_ms + grace)
    if (first) this.state.set({
      status: 'live', user, ...(name !== undefined && { name }), ...(this.#events && { transport: 'sse' }),
    })
    this.#options.onWelcome?.(frame, first)
    if (first) this.#options.onLive(grants)
  }

  /** Gives the bridge a fresh token on the open socket. Where there is none the bridge closes with 4004 in time. */
  async #renew(): Promise<void> {
    const turn = this.#turn
    this.#renewAt = Infinity
    try {
      const token = await this.#options.getToken?.()
      if (turn !== this.#turn || token === undefined) return
      this.#token = token
      this.send({ type: 'auth', token })
    } catch (error) {
      if (turn === this.#turn) this.#renewAt = this.#env.now() + tick
      this.#options.onTokenError(error)
    }
  }

  /** Starts the watch anew: from now on nothing may be silent for longer. */
  #listen(silence: number): void {
    this.#silence = silence
    this.#heard = this.#looked = this.#env.now()
    this.#look()
  }

  /** Looks at the clock: a timer for the whole silence would stop with a machine that sleeps. */
  #look(): void {
    const { now, clearTimeout, setTimeout } = this.#env
    const at = now()
    const slept = at - this.#looked > tick + proof
    this.#looked = at
    clearTimeout(this.#watch)
    this.#heard = Math.min(this.#heard, at) // the clock may be put back
    const left = this.#heard + this.#silence - at
    if (left <= 0) {
      if (this.#socket === undefined) this.#options.onTokenError(new Error(`no answer in ${this.#silence / 1000} s`))
      this.#lost(CloseCode.heartbeatTimeout, 'nothing heard')
      if (slept) this.start() // it is not one of many that were cut off together
      return
    }
    if (at >= this.#renewAt) void this.#renew()
    if (this.#events && this.live && at >= this.#backAt) this.#tryWebSocket()
    this.#watch = setTimeout(() => this.#look(), Math.min(tick, left))
  }

  /** The network or the page is there again, or is gone: what is silent now has to prove that it is not dead. */
  #wake(offline?: boolean): void {
    const { status } = this.state.get()
    if (status === 'waiting' && !offline) this.start()
    if (status !== 'live') return
    this.#look()
    if (!this.live || this.#events) return
    this.#write({ type: 'ping' })
    this.#heard = Math.min(this.#heard, this.#env.now() - this.#silence + proof)
    this.#look()
  }

  /** Opens a WebSocket beside the stream, and goes over to it when the bridge has said welcome there. */
  #tryWebSocket(): void {
    const { WebSocket, now } = this.#env
    this.#content = Math.min(2 * this.#content || content, 3_600_000)
    this.#backAt = now() + this.#content
    if (WebSocket === undefined) return
    this.#trial?.close(1000)
    const trial = (this.#trial = this.#greet(WebSocket))
    trial.onmessage = (event: { data: unknown }) => {
      this.#trial = undefined
      this.#drop(1000)
      this.#events = false
      this.#failed = enough - 1 // one more that gets nowhere leads back
      this.#take(trial)
      this.#receive(event.data)
    }
  }

  #closed(code: number, reason: string): void {
    if (isTerminal(code)) this.#end({ status: 'stopped', code, reason })
    else this.#lost(code, reason)
  }

  #lost(code: number, reason: string): void {
    const good = this.#liveSince !== undefined && this.#env.now() - this.#liveSince >= stable
    if (good) this.#attempt = 0
    if (this.#events) {
      if (!this.live) this.#failed = enough - 1 // a WebSocket next
    } else if (good || (code !== abnormal && code !== CloseCode.heartbeatTimeout)) this.#failed = this.#content = 0
    else if (this.#socket !== undefined) this.#failed++
    const retryInMs = Math.max(backoff(this.#attempt, this.#env.random), retryDelay(reason))
    this.#drop(CloseCode.heartbeatTimeout, 'nothing heard')
    this.#attempt++
    this.#retry = this.#env.setTimeout(() => this.start(), retryInMs)
    this.state.set({ status: 'waiting', attempt: this.#attempt, retryInMs, code, reason })
  }

  #end(state: ConnectionState, code?: number, reason?: string): void {
    this.#drop(code, reason)
    this.#attempt = 0
    this.#stopWake?.()
    this.#stopWake = undefined
    this.state.set(state)
  }

  /** Lets go of the socket at once: a dead peer would never answer the close. */
  #drop(code?: number, reason?: string): void {
    this.#turn++
    this.#env.clearTimeout(this.#watch)
    this.#env.clearTimeout(this.#retry)
    this.#env.clearTimeout(this.#refill)
    this.#refill = undefined
    this.#queue = [] // of this connection, and void on the next
    this.#liveSince = undefined
    this.#renewAt = Infinity
    for (const socket of [this.#socket, this.#trial]) {
      if (socket === undefined) continue
      socket.onopen = socket.onmessage = socket.onclose = null
      socket.close(code, reason) // without effect where it is closed already
    }
    this.#socket = this.#trial = undefined
  }

  #write(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame))
  }
}
