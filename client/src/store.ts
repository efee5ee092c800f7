/** A value that can be read and watched; made for React's useSyncExternalStore, and plain enough for anything else. */
export interface Readable<T> {
  get(): T
  /** Calls back after each change; returns how to stop. */
  subscribe(changed: (value: T) => void): () => void
}

export interface Store<T> extends Readable<T> {
  set(value: T): void
}

export function createStore<T>(value: T, report: (error: unknown) => void): Store<T> {
  const listeners = new Set<(value: T) => void>()
  return {
    get: () => value,
    set(next) {
      value = next
      for (const listener of [...listeners]) call(() => listener(next), report)
    },
    subscribe(changed) {
      const listener = (now: T): void => changed(now) // its own identity: the same function may listen twice
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
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
