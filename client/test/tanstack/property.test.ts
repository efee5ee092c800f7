import { InfiniteQueryObserver, notifyManager, QueryObserver } from '@tanstack/query-core'
import type { QueryKey } from '@tanstack/query-core'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { EventFrame } from '../../src/index.js'
import type { QueryRule } from '../../src/tanstack/index.js'
import { event } from '../fakesocket.js'
import { page } from './bench.js'
import type { Page } from './bench.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

interface Row {
  id: number
  version: number
  quantity: number
  warehouse: number
}

const ids = [1, 2, 3, 4]

/** Numbers from 0 up to 1 that are the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A table whose changes reach the page some time after, in their order, and whose reads take their time too. */
class Table {
  readonly rows = new Map<number, Row>()
  readonly #dice: () => number
  readonly #say: (event: EventFrame) => void
  #versions = 0
  #arrival = 0

  constructor(dice: () => number, say: (event: EventFrame) => void) {
    this.#dice = dice
    this.#say = say
    for (const id of ids) this.rows.set(id, this.#row(id))
  }

  #row(id: number): Row {
    const warehouse = this.#dice() < 0.5 ? 1 : 2
    return { id, version: ++this.#versions, quantity: Math.floor(this.#dice() * 100), warehouse }
  }

  write(): void {
    const id = ids[Math.floor(this.#dice() * ids.length)]!
    const before = this.rows.get(id)
    if (before && this.#dice() < 0.15) {
      this.rows.delete(id)
      this.#tell(before, undefined, 'delete')
      return
    }
    const now = this.#row(id)
    if (before && this.#dice() < 0.7) now.warehouse = before.warehouse
    this.rows.set(id, now)
    this.#tell(now, before, before ? 'update' : 'insert')
  }

  #tell(data: Row, before: Row | undefined, op: EventFrame['op']): void {
    const frame = event({ op, resource_id: data.id, data: { ...data } })
    const changed = Object.entries(before ?? {}).filter(([name, value]) => data[name as keyof Row] !== value)
    if (before) frame.old = Object.fromEntries(changed)
    this.#arrival = Math.max(this.#arrival, Date.now() + this.#dice() * 400)
    setTimeout(() => this.#say(frame), this.#arrival - Date.now())
  }

  /** Reads at one moment between the question and the answer. */
  async read<T>(what: (rows: Row[]) => T): Promise<T> {
    await this.#pass()
    const found = structuredClone(what([...this.rows.values()].sort((a, b) => a.id - b.id)))
    await this.#pass()
    return found
  }

  #pass(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.#dice() * (this.#dice() < 0.1 ? 2_000 : 150)))
  }
}

interface Shown {
  key: QueryKey
  want: (rows: Row[]) => unknown
  observer: { getCurrentResult(): { data: unknown }; subscribe(listener: () => void): () => void }
}

function observers(it: Page, table: Table): Shown[] {
  const plain: [QueryKey, (rows: Row[]) => unknown][] = [
    [['stock-levels'], (rows) => rows],
    [['stock-levels', { warehouse: 1 }], (rows) => ({ results: rows.filter(({ warehouse }) => warehouse === 1) })],
    ...ids.map((id): [QueryKey, (rows: Row[]) => unknown] => [
      ['stock-levels', String(id)],
      (rows) => rows.find((row) => row.id === id) ?? null,
    ]),
  ]
  const shown: Shown[] = plain.map(([key, want]) => ({
    key,
    want,
    observer: new QueryObserver(it.queries, { queryKey: key, queryFn: () => table.read(want) }),
  }))
  // By key: pages that count rows may have the same row twice, each as it was when that page was read.
  const page = (rows: Row[], from: number): Row[] => rows.filter(({ id }) => id > from && id <= from + 2)
  const endless = new InfiniteQueryObserver(it.queries, {
    queryKey: ['stock-levels', 'endless'],
    initialPageParam: 0,
    getNextPageParam: (_, all) => (all.length < 2 ? all.length * 2 : null),
    queryFn: ({ pageParam }) => table.read((rows) => page(rows, pageParam)),
  })
  const want = (rows: Row[]): unknown => {
    const count = (endless.getCurrentResult().data as { pages: unknown[] } | undefined)?.pages.length ?? 1
    return { pages: [page(rows, 0), page(rows, 2)].slice(0, count), pageParams: [0, 2].slice(0, count) }
  }
  return [...shown, { key: ['stock-levels', 'endless'], want, observer: endless as never }]
}

function rowsIn(value: unknown): Row[] {
  if (typeof value !== 'object' || value === null) return []
  return 'version' in value ? [value as Row] : Object.values(value).flatMap(rowsIn)
}

/** Plays one history; returns what each component showed last, and what it should. */
async function play(rule: QueryRule, seed: number): Promise<[unknown, unknown][]> {
  const dice = random(seed)
  vi.spyOn(Math, 'random').mockImplementation(dice)
  const it = await page({ map: { 'stock-levels': rule }, interval: 300 })
  const table = new Table(dice, (frame) => it.line.say(frame))
  const all = observers(it, table)
  const backwards: string[] = []
  const mount = ({ key, observer }: Shown): (() => void) => {
    const newest = new Map<number, number>()
    // As React does: it renders what there is when it comes to it.
    return observer.subscribe(notifyManager.batchCalls(() => {
      for (const { id, version } of rowsIn(observer.getCurrentResult().data)) {
        if (version < (newest.get(id) ?? 0)) backwards.push(`seed ${seed}: ${JSON.stringify(key)} row ${id}`)
        newest.set(id, version)
      }
    }))
  }
  const stops = all.map(mount)
  for (let step = 0; step < 60; step++) {
    await vi.advanceTimersByTimeAsync(dice() * 120)
    const one = Math.floor(dice() * all.length)
    const what = dice()
    if (what < 0.6) table.write()
    else if (what < 0.7) void it.queries.refetchQueries({ queryKey: all[one]!.key, exact: true })
    else if (what < 0.75) void it.queries.cancelQueries({ queryKey: all[one]!.key, exact: true })
    else if (what < 0.8) void (all.at(-1)!.observer as unknown as { fetchNextPage(): Promise<unknown> }).fetchNextPage()
    else if (what < 0.9) {
      stops[one]!()
      stops[one] = mount(all[one]!)
    }
  }
  await vi.advanceTimersByTimeAsync(30_000)
  expect(backwards).toEqual([])
  const rows = [...table.rows.values()].sort((a, b) => a.id - b.id)
  const end = all.map(({ observer, want }): [unknown, unknown] => [observer.getCurrentResult().data, want(rows)])
  it.stop()
  stops.forEach((stop) => stop())
  it.queries.clear()
  it.client.close()
  return end
}

test.each<[string, QueryRule]>([
  ['fetches', {}],
  ['patches by what was there before', { patch: true }],
  ['patches by what was there before, lists too', { patch: true, listColumns: ['warehouse'] }],
  ['patches by version', { patch: true, version: 'version' }],
  ['patches by version, lists too', { patch: true, version: 'version', listColumns: ['warehouse'] }],
])('%s: whatever the order, pages end as the database is and show no row older than before', async (_, rule) => {
  for (let seed = 1; seed <= 25; seed++) {
    for (const [shown, want] of await play(rule, seed)) expect([seed, shown]).toEqual([seed, want])
  }
}, 60_000)
