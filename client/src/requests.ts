import type { Environment } from './environment.js'
import type {
  Answer, ClientFrame, ErrorFrame, PushFrame, RequestFrame, Requests as Known, ServerFrame,
} from './frames.js'
import { createHub } from './store.js'

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

export interface ClientRequests {
  request<T extends keyof Known>(frame: RequestFrame<T>, live: boolean): Promise<Answer<T>>
  listen<T extends PushFrame['type']>(type: T, handler: (frame: Extract<PushFrame, { type: T }>) => void): () => void
  resume(): void
  lost(forGood: boolean): void
  receive(frame: ServerFrame): boolean
}

/** Questions and answers beyond subscriptions, and what the bridge says unasked. */
export function createRequests(send: (frame: ClientFrame) => void, environment: Environment): ClientRequests {
  const waiting = new Map<string, Pending>()
  const { hear, say } = createHub(environment.report)
  let refs = 0

  function request<T extends keyof Known>(frame: RequestFrame<T>, live: boolean): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      const ref = `r${++refs}`
      const end = (settle: () => void): void => {
        environment.clearTimeout(pending.timer)
        waiting.delete(ref)
        settle()
      }
      const pending: Pending = {
        frame: { ...frame, ref } as Pending['frame'],
        sent: false,
        timer: environment.setTimeout(() => pending.fail('timeout', `no answer in ${patience / 1000} s`), patience),
        settle: (answer) => end(() => resolve(answer as Answer<T>)),
        fail: (code, message) =>
          end(() => reject(Object.assign(new Error(`${frame.type}: ${message}`), { code }) satisfies RequestError)),
      }
      waiting.set(ref, pending)
      if (live) dispatch(pending)
    })
  }

  /** Sends what has waited for the connection. */
  function resume(): void {
    for (const pending of [...waiting.values()]) if (!pending.sent) dispatch(pending)
  }

  /** The connection is gone, and with it the answers; for good, what still waits for the next one fails too. */
  function lost(forGood: boolean): void {
    for (const { sent, fail } of [...waiting.values()]) {
      if (sent) fail('connection_lost', 'the connection was lost before the answer')
      else if (forGood) fail('closed', 'there is no connection: call client.connect() first')
    }
  }

  /** True where the frame was an answer, or somebody listened to it. */
  function receive(frame: ServerFrame): boolean {
    const { ref } = frame as { ref?: string }
    const mine = waiting.get(ref!)
    if (mine) {
      if (frame.type === 'error') mine.fail((frame as ErrorFrame).code, (frame as ErrorFrame).message)
      else mine.settle(frame)
      return true
    }
    if (ref !== undefined || 'op' in frame) return false
    for (const { sent, frame: asked, settle } of [...waiting.values()]) {
      if (sent && answersTo(asked, frame)) settle(frame)
    }
    return say(frame.type, frame)
  }

  function dispatch(pending: Pending): void {
    pending.sent = true
    send(pending.frame)
    if (unanswered.includes(pending.frame.type)) pending.settle(undefined)
  }

  return { request, listen: hear, resume, lost, receive }
}

function answersTo(request: ClientFrame, frame: ServerFrame): boolean {
  const { room } = request as { room?: string } // as of neither, where it is not about one
  return answers[request.type] === frame.type && room === (frame as { room?: string }).room
}
