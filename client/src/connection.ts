import { backoff } from './backoff.js'
import { CloseCode, drainDelay, isTerminal } from './codes.js'
import type { Environment, SocketLike } from './environment.js'
import type { ClientFrame, WelcomeFrame } from './frames.js'
import type { Link, LinkOptions } from './link.js'
import { parseFrame } from './parse.js'
import { Store } from './store.js'

/** What the connection is doing, for the page to show. */
export type ConnectionState =
  | { status: 'idle' }
  | { status: 'connecting'; attempt: number }
  | { status: 'live'; user: string; name?: string }
  /** The connection was lost; the next attempt is `retryInMs` away. */
  | { status: 'waiting'; attempt: number; retryInMs: number; code: number; reason: string }
  /** The bridge said not to come back until something changes; `client.connect()` tries again. */
  | { status: 'stopped'; code: number; reason: string }

/** Silence after which the connection counts as dead, beyond the heartbeat that the bridge promises: 25 s + 10 s. */
const grace = 10_000
const firstSilence = 35_000
/** A connection that lived this long was a good one: the next wait begins at the shortest again. */
const stable = 5_000
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
  #liveSince: number | undefined
  #watch: unknown
  #retry: unknown
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
    this.#stopWake ??= this.#env.onWake(() => {
      if (this.state.get().status === 'waiting') this.start()
    })
    void this.#open()
  }

  /** Closes for good, until start. */
  stop(): void {
    this.#end({ status: 'idle' }, 1000, 'closed by the application')
  }

  /** Sends now, or not at all: what has to survive a reconnection is sent by onLive. */
  send(frame: ClientFrame): void {
    if (this.live) this.#write(frame)
  }

  async #open(): Promise<void> {
    const turn = ++this.#turn
    this.#env.clearTimeout(this.#retry)
    this.state.set({ status: 'connecting', attempt: this.#attempt })
    this.#silence = firstSilence
    this.#listen()
    let token: string | undefined
    try {
      token = await this.#options.getToken?.()
    } catch (error) {
      if (turn !== this.#turn) return
      this.#options.onTokenError(error)
      this.#lost(abnormal, 'no token')
      return
    }
    if (turn === this.#turn) this.#dial(token)
  }

  #dial(token: string | undefined): void {
    let socket: SocketLike
    try {
      socket = new this.#env.WebSocket(this.#options.url, ['rowfeed.v1'])
    } catch (error) { // not an address, or none that this page may use
      this.#end({ status: 'stopped', code: abnormal, reason: String(error) })
      return
    }
    this.#socket = socket
    socket.onopen = () => {
      if (token !== undefined) this.#write({ type: 'auth', token })
    }
    socket.onmessage = (event: { data: unknown }) => this.#receive(event.data)
    socket.onclose = (event: { code: number; reason: string }) => this.#closed(event.code, event.reason)
    socket.onerror = () => {} // a close follows, and says more
  }

  #receive(text: unknown): void {
    this.#listen()
    const frame = parseFrame(text)
    if (frame === undefined) return
    if (frame.type === 'welcome') this.#welcome(frame as WelcomeFrame)
    else if (frame.type === 'auth_expiring') void this.#renew()
    else this.#options.onFrame(frame)
  }

  #welcome(frame: WelcomeFrame): void {
    this.#silence = frame.heartbeat_ms + grace
    this.#listen()
    const first = !this.live
    this.#liveSince ??= this.#env.now()
    const { user, name } = frame
    if (first) this.state.set(name === undefined ? { status: 'live', user } : { status: 'live', user, name })
    this.#options.onWelcome?.(frame, first)
    if (first) this.#options.onLive(frame.grants)
  }

  /** Gives the bridge a fresh token on the open socket. Where there is none the bridge closes with 4004 in time. */
  async #renew(): Promise<void> {
    const turn = this.#turn
    try {
      const token = await this.#options.getToken?.()
      if (turn === this.#turn && token !== undefined) this.send({ type: 'auth', token })
    } catch (error) {
      this.#options.onTokenError(error)
    }
  }

  /** Starts the watch anew: something was heard, or an attempt began. */
  #listen(): void {
    this.#env.clearTimeout(this.#watch)
    this.#watch = this.#env.setTimeout(() => this.#lost(CloseCode.heartbeatTimeout, 'nothing heard'), this.#silence)
  }

  #closed(code: number, reason: string): void {
    if (isTerminal(code)) this.#end({ status: 'stopped', code, reason })
    else this.#lost(code, reason)
  }

  #lost(code: number, reason: string): void {
    if (this.#liveSince !== undefined && this.#env.now() - this.#liveSince >= stable) this.#attempt = 0
    const wait = backoff(this.#attempt, this.#env.random)
    const retryInMs = Math.max(wait, drainDelay(code, reason) ?? 0)
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
    this.#liveSince = undefined
    const socket = this.#socket
    this.#socket = undefined
    if (socket === undefined) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close(code, reason) // without effect where it is closed already
  }

  #write(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame))
  }
}
