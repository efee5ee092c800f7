/** A value that can be read and watched; made for React's useSyncExternalStore, and plain enough for anything else. */
export interface Readable<T> {
  get(): T
  /** Calls back after each change; returns how to stop. */
  subscribe(changed: (value: T) => void): () => void
}

export class Store<T> implements Readable<T> {
  #value: T
  readonly #listeners = new Set<(value: T) => void>()
  readonly #report: (error: unknown) => void

  constructor(value: T, report: (error: unknown) => void) {
    this.#value = value
    this.#report = report
  }

  get = (): T => this.#value

  subscribe = (changed: (value: T) => void): (() => void) => {
    const listener = (value: T): void => changed(value) // its own identity: the same function may listen twice
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  set(value: T): void {
    this.#value = value
    // The newest value: one of them may set another.
    callEach(this.#listeners, (listener) => listener(this.#value), this.#report)
  }
}

/** Runs one of the application's handlers; what it throws is reported and stops nobody else. */
export function call(run: () => void, report: (error: unknown) => void): void {
  try {
    run()
  } catch (error) {
    report(error)
  }
}

/** Runs those that were there when it began and still are; a handler may stop others, or put another in its place. */
export function callEach<F>(
  handlers: Set<F> | undefined,
  run: (handler: F) => void,
  report: (error: unknown) => void,
): void {
  for (const handler of [...handlers ?? []]) if (handlers!.has(handler)) call(() => run(handler), report)
}
