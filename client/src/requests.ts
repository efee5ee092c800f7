import type { Environment } from './environment.js'
import type {
  Answer, ClientFrame, ErrorFrame, PushFrame, RequestFrame, Requests as Known, ServerFrame,
} from './frames.js'
import { callEach } from './store.js'

/** What `client.request` fails with. */
export interface RequestError extends Error {
  /** The bridge's, such as `forbidden`; or `timeout`, `connection_lost` (it may have been carried out), `closed`. */
  code: string
}

interface Pending {
  readonly frame: ClientFrame & { ref: string }
  sent: boolean
  readonly timer: unknown
  settle(frame: ServerFrame | undefined): void
  fail(code: string, message: string): void
}

/** The longest that an answer is waited for, the connection included. */
const patience = 10_000

/** Answers that may come without the request's ref, since others hear them too; and what has none. */
const answers: Record<string, string | undefined> = {
  'presence.enter': 'presence',
  'notifications.read': 'notification_count',
}
const unanswered = ['presence.update', 'presence.leave']

/** Questions and answers beyond subscriptions, and what the bridge says unasked. */
export class Requests {
  readonly #pending = new Map<string, Pending>()
  readonly #listeners = new Map<string, Set<(frame: any) => void>>()
  readonly #send: (frame: ClientFrame) => void
  readonly #env: Environment
  #refs = 0

  constructor(send: (frame: ClientFrame) => void, environment: Environment) {
    this.#send = send
    this.#env = environment
  }

  request<T extends keyof Known>(frame: RequestFrame<T>, live: boolean): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      const ref = `r${++this.#refs}`
      const end = (settle: () => void): void => {
        this.#env.clearTimeout(pending.timer)
        this.#pending.delete(ref)
        settle()
      }
      const pending: Pending = {
        frame: { ...frame, ref } as Pending['frame'],
        sent: false,
        timer: this.#env.setTimeout(() => pending.fail('timeout', `no answer in ${patience / 1000} s`), patience),
        settle: (answer) => end(() => resolve(answer as Answer<T>)),
        fail: (code, message) =>
          end(() => reject(Object.assign(new Error(`${frame.type}: ${message}`), { code }) satisfies RequestError)),
      }
      this.#pending.set(ref, pending)
      if (live) this.#dispatch(pending)
    })
  }

  listen<T extends PushFrame['type']>(
    type: T,
    handler: (frame: Extract<PushFrame, { type: T }>) => void,
  ): () => void {
    const own: typeof handler = (frame) => handler(frame)
    const set = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, set.add(own))
    return () => void set.delete(own)
  }

  /** Sends what has waited for the connection. */
  resume(): void {
    for (const pending of [...this.#pending.values()]) if (!pending.sent) this.#dispatch(pending)
  }

  /** The connection is gone, and with it the answers; for good, what still waits for the next one fails too. */
  lost(forGood: boolean): void {
    for (const { sent, fail } of [...this.#pending.values()]) {
      if (sent) fail('connection_lost', 'the connection was lost before the answer')
      else if (forGood) fail('closed', 'there is no connection: call client.connect() first')
    }
  }

  /** True where the frame was an answer, or somebody listened to it. */
  receive(frame: ServerFrame): boolean {
    const ref = 'ref' in frame ? frame.ref : undefined
    const mine = ref === undefined ? undefined : this.#pending.get(ref)
    if (mine !== undefined) {
      if (frame.type === 'error') mine.fail((frame as ErrorFrame).code, (frame as ErrorFrame).message)
      else mine.settle(frame)
      return true
    }
    if (ref !== undefined || 'op' in frame) return false
    for (const { sent, frame: asked, settle } of [...this.#pending.values()]) {
      if (sent && answersTo(asked, frame)) settle(frame)
    }
    const listeners = this.#listeners.get(frame.type)
    callEach(listeners, (listener) => listener(frame), this.#env.report)
    return listeners !== undefined
  }

  #dispatch(pending: Pending): void {
    pending.sent = true
    this.#send(pending.frame)
    if (unanswered.includes(pending.frame.type)) pending.settle(undefined)
  }
}

function answersTo(request: ClientFrame, frame: ServerFrame): boolean {
  return answers[request.type] === frame.type &&
    (!('room' in request) || ('room' in frame && request.room === frame.room))
}
