import { CloseCode } from '../codes.js'
import type { ClientFrame, ServerFrame, Topic } from '../frames.js'
import type { Desk } from './desk.js'
import { FakeSocket, after, soon } from './wire.js'

/** Who a token is of. */
export interface FakeUser {
  user: string
  name?: string
  /** Stands for what the user may see; who comes back with another text does not resume. */
  grants?: string
  /** How long the token is good for, from when it is shown. Five minutes, unless it is told. */
  expiresInMs?: number
}

/** The frame of a request, whatever it is. */
export type Request = ClientFrame & { ref?: string }

const heartbeat = 25_000
const expiryNotice = 60_000
const deadline = 10_000

/** One connection: the handshake, who it is, what it is subscribed to. */
export class Session {
  readonly id: string
  readonly socket = new FakeSocket({ heard: (text) => this.#heard(text), gone: () => this.#over() })
  readonly subscriptions = new Map<string, Topic>()
  /** Asleep, or behind a network that is silent: nothing comes through, either way. */
  silent = false
  who: FakeUser | undefined
  readonly #desk: Desk
  readonly #queue: ServerFrame[] = []
  readonly #timers = new Map<string, () => void>()
  #draining = false
  #open = false

  constructor(desk: Desk, id: string) {
    this.#desk = desk
    this.id = id
  }

  get live(): boolean {
    return this.#open && this.who !== undefined
  }

  open(cookie: FakeUser | undefined): void {
    this.#open = true
    this.#clock('deadline', deadline, () => this.close(CloseCode.authTimeout, 'no token in time'))
    this.socket.onopen?.({})
    if (cookie) this.welcome(cookie)
  }

  /** Sends when the microtask is over, or at once by `drain`. */
  say(frame: ServerFrame): void {
    if (!this.#open || this.silent) return
    this.#queue.push(frame)
    soon(() => this.drain())
  }

  drain(): void {
    if (this.#draining) return // what a handler causes comes after it
    this.#draining = true
    for (let frame; (frame = this.#queue.shift()); ) this.socket.onmessage?.({ data: JSON.stringify(frame) })
    this.#draining = false
  }

  close(code: number, reason = ''): void {
    if (!this.#open) return
    this.drain()
    this.#over()
    if (!this.silent) this.socket.onclose?.({ code, reason })
  }

  welcome(who: FakeUser): void {
    const { user, name, grants = 'all', expiresInMs = 300_000 } = (this.who = who)
    this.#timers.get('deadline')?.()
    this.say({ type: 'welcome', user, ...(name !== undefined && { name }), session: this.id, grants,
      expires_in_ms: expiresInMs, heartbeat_ms: heartbeat })
    this.#beat()
    this.#clock('expiry', expiresInMs, () => this.close(CloseCode.authExpired, 'auth_expired'))
    this.#timers.get('notice')?.()
    if (expiresInMs > expiryNotice) this.#clock('notice', expiresInMs - expiryNotice, () =>
      this.say({ type: 'auth_expiring', in_ms: expiryNotice }))
    this.#desk.welcomed()
  }

  refuse(frame: Request, code: string, message: string): void {
    const { ref } = frame
    this.say({ type: 'error', ...(ref !== undefined && { ref }), code, message })
  }

  #beat(): void {
    this.#clock('beat', heartbeat, () => {
      this.say({ type: 'heartbeat', cursors: this.#desk.cursors(this) })
      this.#beat()
    })
  }

  #clock(name: string, ms: number, run: () => void): void {
    this.#timers.get(name)?.()
    this.#timers.set(name, after(ms, run))
  }

  #heard(text: string): void {
    if (!this.#open) return
    const frame = read(text)
    const message = 'not a JSON object as the protocol has it'
    if (frame === undefined) return this.say({ type: 'error', code: 'bad_frame', message })
    this.#desk.sent.push(frame)
    if (!this.silent) this.#desk.handle(this, frame)
  }

  #over(): void {
    if (!this.#open) return
    this.#open = false
    for (const stop of this.#timers.values()) stop()
    this.#desk.ended(this)
  }
}

function read(text: string): Request | undefined {
  try {
    const frame = JSON.parse(text) as Request
    return typeof frame === 'object' && frame !== null && !Array.isArray(frame) ? frame : undefined
  } catch {
    return undefined
  }
}
