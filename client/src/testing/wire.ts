import type { SocketLike } from '../environment.js'

/** The client's end of a connection of the fake server, as a WebSocket. */
export class FakeSocket implements SocketLike {
  onopen: ((event: any) => void) | null = null
  onmessage: ((event: any) => void) | null = null
  onclose: ((event: any) => void) | null = null
  onerror: ((event: any) => void) | null = null
  readonly #far: { heard(text: string): void; gone(): void }

  constructor(far: { heard(text: string): void; gone(): void }) {
    this.#far = far
  }

  send(text: string): void {
    this.#far.heard(text)
  }

  close(code = 1005, reason = ''): void {
    this.#far.gone()
    soon(() => this.onclose?.({ code, reason }))
  }
}

/**
 * Runs in the next microtask, in the order of the calls. By a promise: what fakes the timers may fake queueMicrotask as
 * well.
 */
export function soon(run: () => void): void {
  void Promise.resolve().then(run)
}

/** A timer that does not keep a test's process alive. */
export function after(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms)
  ;(timer as { unref?: () => void }).unref?.() // Node's; a browser's is a number
  return () => clearTimeout(timer)
}
