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
  const hub = createHub(report)
  return {
    get: () => value,
    set: (next) => void hub.say('', (value = next)),
    subscribe: (changed) => hub.hear('', () => changed(value)), // the newest: a listener may set another
  }
}

/** Who wants to hear of what, by name. */
export interface Hub {
  /** Returns how to stop. */
  hear(name: string, listener: (value: any) => void): () => void
  /** True where anybody ever wanted to hear it. */
  say(name: string, value: unknown): boolean
}

export function createHub(report: (error: unknown) => void): Hub {
  const sets = new Map<string, Set<(value: any) => void>>()
  return {
    hear(name, listener) {
      const own: typeof listener = (value) => listener(value) // its own identity: the same function may listen twice
      const set = sets.get(name) ?? new Set()
      sets.set(name, set.add(own))
      return () => void set.delete(own)
    },
    say(name, value) {
      const set = sets.get(name)
      // Those that were there when it began and still are: one may stop others, or put another in its place.
      for (const listener of [...(set ?? [])]) if (set!.has(listener)) call(() => listener(value), report)
      return !!set
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
