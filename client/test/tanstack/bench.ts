import { QueryClient, QueryObserver } from '@tanstack/query-core'
import type { QueryKey } from '@tanstack/query-core'
import { afterEach, vi } from 'vitest'
import type { EventFrame } from '../../src/index.js'
import { syncQueries } from '../../src/tanstack/index.js'
import type { SyncOptions } from '../../src/tanstack/index.js'
import { event, setup } from '../fakesocket.js'
import type { Bench, FakeSocket } from '../fakesocket.js'

export interface Page extends Bench {
  queries: QueryClient
  /** The live connection. */
  line: FakeSocket
  /** How often each query was fetched, by its key as JSON. */
  fetched: Record<string, number>
  stop: () => void
  /** A query that a component shows; what it fetches is `fetch`'s. Returns how to unmount. */
  show(key: QueryKey, fetch?: () => unknown, options?: object): () => void
  /** Says an event, and has the time pass that a fetch waits at most. */
  hear(fields: Partial<EventFrame>): Promise<void>
  /** The keys fetched since the last call. */
  fresh(): string[]
}

const pages: Page[] = []

// What a test leaves running, or a test that was given up, is no part of the next.
afterEach(() => {
  for (const { stop, client, queries } of pages.splice(0)) {
    stop()
    client.close()
    queries.clear()
    queries.unmount()
  }
})

/** A page with a QueryClient in step with a client that is live. */
export async function page(options: SyncOptions = {}, before?: (page: Page) => void): Promise<Page> {
  const bench = setup({ channels: ['stock', 'approvals'] })
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } })
  let seen: Record<string, number> = {}
  const fetched: Record<string, number> = {}
  const made: Page = {
    ...bench,
    queries,
    fetched,
    line: undefined as never,
    stop: () => {},
    show(queryKey, fetch = () => ({}), options = {}) {
      const name = JSON.stringify(queryKey)
      fetched[name] ??= 0
      const observer = new QueryObserver(queries, {
        queryKey,
        queryFn: async () => {
          fetched[name]!++
          return fetch()
        },
        ...options,
      })
      return observer.subscribe(() => {})
    },
    async hear(fields) {
      made.line.say(event(fields))
      await vi.advanceTimersByTimeAsync(2_000)
    },
    fresh() {
      const keys = Object.keys(fetched).filter((key) => fetched[key] !== seen[key])
      seen = { ...fetched }
      return keys
    },
  }
  pages.push(made)
  queries.mount()
  before?.(made)
  made.stop = syncQueries(bench.client, queries, options)
  await vi.dynamicImportSettled()
  made.line = await bench.socket()
  made.line.welcome()
  for (const { ref } of made.line.of('subscribe')) made.line.say({ type: 'subscribed', ref })
  await vi.advanceTimersByTimeAsync(2_000)
  return made
}

/** Shows queries, and forgets their first fetches. */
export async function shown(page: Page, ...keys: QueryKey[]): Promise<void> {
  for (const key of keys) page.show(key)
  await vi.advanceTimersByTimeAsync(2_000)
  page.fresh()
}

/** A promise and what settles it: a fetch that ends when the test says. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
