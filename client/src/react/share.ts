import { useCallback, useInsertionEffect, useRef, useSyncExternalStore } from 'react'
import { report } from '../environment.js'
import { createStore } from '../store.js'
import type { Readable, Store } from '../store.js'

/** Something that runs for as long as a component shows it. */
export interface Shared<T> {
  readonly state: Readable<T>
  stop(): void
}

interface Use {
  shared: Shared<unknown>
  users: number
  ending?: ReturnType<typeof setTimeout>
}

const running = new WeakMap<object, Map<string, Use>>()

/** A store of an object, and how to change some of it. */
export function cell<T extends object>(initial: T): { state: Store<T>; patch: (part: Partial<T>) => void } {
  const state = createStore(initial, report)
  return { state, patch: (part) => state.set({ ...state.get(), ...part }) }
}

/** Starts something; `used` tells later whether anybody still shows it. */
export type Make<S> = (used: () => boolean) => S

function start<S extends Shared<unknown>>(make: Make<S>): Use {
  const use = { users: 0 } as Use
  use.shared = make(() => use.users > 0)
  return use
}

/**
 * Takes part in what runs under `name`, or starts it. The last to let go ends it, a tick later: a component that is
 * mounted anew at once (StrictMode, fast refresh, a page that makes way for another) finds it as it was, and the wire
 * hears nothing of it.
 */
function hold<S extends Shared<unknown>>(owner: object, name: string, make: Make<S>): { shared: S; letGo: () => void } {
  const uses = running.get(owner) ?? new Map<string, Use>()
  running.set(owner, uses)
  const use = uses.get(name) ?? start(make)
  uses.set(name, use)
  clearTimeout(use.ending)
  use.users++
  return {
    shared: use.shared as S,
    letGo() {
      if (--use.users > 0) return
      use.ending = setTimeout(() => {
        uses.delete(name)
        use.shared.stop()
      })
    },
  }
}

/**
 * The state of what all components share that use the same `name` with the same owner; and how to do something with
 * it, from effects and handlers. `null` runs nothing. Nothing runs on a server or before the first commit: until then
 * the state is `initial`.
 */
export function useShared<T, S extends Shared<T>>(
  owner: object,
  name: string | null,
  initial: T,
  make: Make<S>,
): [T, <R>(act: (shared: S) => R) => R | undefined] {
  const latest = useLatest(make)
  const subscribe = useCallback(
    (changed: () => void) => {
      if (name === null) return () => {}
      const { shared, letGo } = hold(owner, name, latest.current)
      const quiet = shared.state.subscribe(changed)
      return () => {
        quiet()
        letGo()
      }
    },
    [owner, name, latest],
  )
  const get = (): T => {
    const use = running.get(owner)?.get(name!) // under null there is none
    return use ? (use.shared.state.get() as T) : initial
  }
  const act = useCallback(
    <R,>(run: (shared: S) => R): R | undefined => {
      if (name === null) return undefined
      const { shared, letGo } = hold(owner, name, latest.current)
      letGo()
      return run(shared)
    },
    [owner, name, latest],
  )
  return [useSyncExternalStore(subscribe, get, () => initial), act]
}

/** A box with what the last committed render gave: for handlers that are called later. */
export function useLatest<T>(value: T): { current: T } {
  const box = useRef(value)
  useInsertionEffect(() => {
    box.current = value
  })
  return box
}
