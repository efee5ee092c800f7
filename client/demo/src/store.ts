import { useSyncExternalStore } from 'react'
import type { Readable } from 'rowfeed'

/** A value to watch, for what happens outside of React. */
export interface Cell<T> extends Readable<T> {
  set(value: T): void
}

export function cell<T>(value: T): Cell<T> {
  const listeners = new Set<(value: T) => void>()
  return {
    get: () => value,
    set: (next) => {
      value = next
      for (const listen of [...listeners]) listen(value)
    },
    subscribe: (changed) => {
      const listen = (next: T): void => changed(next)
      listeners.add(listen)
      return () => void listeners.delete(listen)
    },
  }
}

export const useCell = <T>(from: Readable<T>): T => useSyncExternalStore(from.subscribe, from.get)

/** The first value that passes the test, or undefined after `ms`. */
export function until<T>(from: Readable<T>, ms: number, test: (value: T) => boolean): Promise<T | undefined> {
  return new Promise((resolve) => {
    const end = (value?: T): void => {
      clearTimeout(timer)
      stop()
      resolve(value)
    }
    const look = (value: T): void => {
      if (test(value)) end(value)
    }
    const timer = setTimeout(end, ms)
    const stop = from.subscribe(look)
    look(from.get())
  })
}
