import { MutationObserver, onlineManager } from '@tanstack/query-core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { SyncOptions } from '../../src/tanstack/index.js'
import { event } from '../fakesocket.js'
import { deferred, page, shown } from './bench.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  onlineManager.setOnline(true)
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const list = ['stock-levels']
const name = JSON.stringify(list)

describe('a fetch under way when an event comes', () => {
  test('is the first: it is not cut short, and one more follows', async () => {
    const it = await page()
    const answers = [deferred<string>(), deferred<string>()]
    let begun = 0
    it.show(list, () => answers[begun++]!.promise)
    await it.hear({})
    await it.hear({})
    expect(begun).toBe(1)
    answers[0]!.resolve('before')
    await vi.advanceTimersByTimeAsync(2_000)
    expect([begun, it.queries.getQueryData(list)]).toEqual([2, 'before'])
    answers[1]!.resolve('after')
    await vi.advanceTimersByTimeAsync(5_000)
    expect([begun, it.queries.getQueryData(list)]).toEqual([2, 'after'])
  })

  test('fails: the event is news, and it is fetched again; an error without news is left alone', async () => {
    const it = await page()
    const first = deferred<string>()
    let begun = 0
    it.show(list, () => (begun++ ? Promise.reject(new Error('again')) : first.promise))
    await it.hear({})
    first.reject(new Error('503'))
    await vi.advanceTimersByTimeAsync(60_000)
    expect(begun).toBe(2)
  })

  test('is cancelled: it is fetched again', async () => {
    const it = await page()
    await shown(it, list)
    let begun = 0
    const never = deferred<string>()
    const stop = it.show(['stock-levels', 'slow'], () => (begun++ === 1 ? never.promise : 'x'))
    await vi.advanceTimersByTimeAsync(0)
    await it.hear({})
    expect(begun).toBe(2)
    await it.queries.cancelQueries({ queryKey: ['stock-levels', 'slow'] })
    await vi.advanceTimersByTimeAsync(2_000)
    expect(begun).toBe(3)
    stop()
  })

  test('that began after the event is enough', async () => {
    const it = await page()
    await shown(it, list)
    it.line.say(event())
    void it.queries.refetchQueries({ queryKey: list })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[name]).toBe(2)
  })

  test('is one more page of an infinite query: all pages are fetched after it', async () => {
    const { InfiniteQueryObserver } = await import('@tanstack/query-core')
    const it = await page()
    const asked: unknown[] = []
    const second = deferred<number[]>()
    const observer = new InfiniteQueryObserver(it.queries, {
      queryKey: list,
      initialPageParam: 0,
      getNextPageParam: (_, pages) => (pages.length < 2 ? pages.length : null),
      queryFn: ({ pageParam }) => {
        asked.push(pageParam)
        return pageParam === 1 && asked.length === 2 ? second.promise : [pageParam]
      },
    })
    observer.subscribe(() => {})
    await vi.advanceTimersByTimeAsync(0)
    void observer.fetchNextPage()
    await it.hear({})
    expect(asked).toEqual([0, 1])
    second.resolve([1])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(asked).toEqual([0, 1, 0, 1])
  })
})

describe('what is not shown', () => {
  test('is marked as stale, not fetched; who mounts it fetches it once', async () => {
    const it = await page()
    const stop = it.show(list)
    await vi.advanceTimersByTimeAsync(0)
    stop()
    await it.hear({})
    expect([it.fetched[name], it.queries.getQueryState(list)?.isInvalidated]).toEqual([1, true])
    it.show(list)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[name]).toBe(2)
  })

  test('stays marked when a fetch that began before the event, or the page itself, gives it data', async () => {
    const it = await page()
    const first = deferred<string>()
    void it.queries.prefetchQuery({ queryKey: list, queryFn: () => first.promise })
    await it.hear({})
    first.resolve('before')
    await vi.advanceTimersByTimeAsync(0)
    expect(it.queries.getQueryState(list)).toMatchObject({ data: 'before', isInvalidated: true })
    it.queries.setQueryData(list, 'the page\'s own')
    expect(it.queries.getQueryState(list)?.isInvalidated).toBe(true)
  })

  test('nor is what is switched off, until it is switched on', async () => {
    const it = await page()
    it.show(list, () => ({}), { enabled: false })
    await it.hear({})
    expect(it.fetched[name]).toBe(0)
  })
})

describe('bursts', () => {
  test('of a hundred events are one fetch', async () => {
    const it = await page()
    await shown(it, list)
    for (let i = 0; i < 100; i++) it.line.say(event({ resource_id: i }))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(it.fetched[name]).toBe(2)
  })

  test('without an end: at most one fetch in an interval, and the last event is not lost', async () => {
    const it = await page()
    await shown(it, list)
    for (let i = 0; i < 1_000; i++) {
      it.line.say(event())
      await vi.advanceTimersByTimeAsync(10)
    }
    expect(it.fetched[name]).toBeGreaterThanOrEqual(10)
    expect(it.fetched[name]).toBeLessThanOrEqual(12)
    const last = it.fetched[name]!
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[name]).toBe(last + 1)
  })

  test('slower than a fetch: none is cut short', async () => {
    const it = await page({ interval: 100 })
    const ended: number[] = []
    it.show(list, () => new Promise((resolve) => setTimeout(() => resolve(ended.push(Date.now())), 3_000)))
    for (let i = 0; i < 100; i++) {
      it.line.say(event())
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(ended).toHaveLength(3)
  })
})

describe('jitter', () => {
  // Each query waits a random time of its own, as each browser does: so many of one are as so many browsers with one.
  async function waits(options: SyncOptions, queries: number, rounds: number): Promise<number[]> {
    const it = await page(options)
    let made: number[] = []
    for (let i = 0; i < queries; i++) it.show(['stock-levels', i], () => made.push(Date.now()))
    const waited: number[] = []
    for (let round = 0; round < rounds; round++) {
      await vi.advanceTimersByTimeAsync(10_000)
      made = []
      const then = Date.now()
      it.line.say({ type: 'resync', channel: 'stock', resource: 'stock-levels', reason: 'drift' })
      await vi.advanceTimersByTimeAsync(10_000)
      waited.push(...made.map((at) => at - then))
    }
    return waited
  }

  test('spreads the fetches of many browsers evenly', async () => {
    // Numbers that are spread as evenly as can be: what is not so afterwards is the fetches' doing, not chance.
    let drawn = 0
    vi.spyOn(Math, 'random').mockImplementation(() => (drawn++ * 0.6180339887498949) % 1)
    const made = await waits({ jitter: { stock: 2_000 } }, 200, 1)
    expect(made).toHaveLength(200)
    const histogram = Array.from({ length: 20 }, (_, i) => made.filter((ms) => Math.floor(ms / 100) === i).length)
    expect(histogram.reduce((sum, n) => sum + n)).toBe(200) // none later than 2 s
    for (const n of histogram) expect(Math.abs(n - 10)).toBeLessThanOrEqual(2)
  })

  test('is 250 ms where nothing is said', async () => {
    const made = await waits({ jitter: { approvals: 9_000 } }, 50, 2)
    expect(Math.max(...made)).toBeLessThanOrEqual(250)
    expect(Math.max(...made)).toBeGreaterThan(150)
  })

  test('does not hold up who has just written', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1)
    const it = await page({ jitter: 5_000 })
    await shown(it, list)
    await vi.advanceTimersByTimeAsync(10_000)
    it.fresh()
    it.line.say(event())
    await vi.advanceTimersByTimeAsync(4_000)
    expect(it.fresh()).toEqual([])
    await new MutationObserver(it.queries, { mutationFn: async () => 'written' }).mutate()
    it.line.say(event())
    await vi.advanceTimersByTimeAsync(60)
    expect(it.fresh()).toEqual([name])
  })
})

describe('a clock that is put back by an hour', () => {
  const back = () => vi.setSystemTime(Date.now() - 3_600_000)

  test('holds up no fetch', async () => {
    const it = await page()
    await shown(it, list)
    back()
    await it.hear({})
    expect(it.fetched[name]).toBe(2)
  })

  test('makes nobody one who has just written', async () => {
    const it = await page()
    await shown(it, list)
    await new MutationObserver(it.queries, { mutationFn: async () => 'written' }).mutate()
    back()
    await vi.advanceTimersByTimeAsync(10_000)
    it.fresh()
    const before = it.fetched[name]!
    for (let i = 0; i < 50; i++) {
      it.line.say(event())
      await vi.advanceTimersByTimeAsync(60)
    }
    expect(it.fetched[name]! - before).toBeLessThanOrEqual(4)
  })
})

describe('a hidden page', () => {
  async function hidden() {
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
    vi.stubGlobal('document', document)
    const it = await page()
    await shown(it, list)
    const turn = (visibilityState: string): void => {
      document.visibilityState = visibilityState
      document.dispatchEvent(new Event('visibilitychange'))
    }
    return { it, turn }
  }

  test('fetches nothing, and once when it is seen again', async () => {
    const { it, turn } = await hidden()
    turn('hidden')
    for (let i = 0; i < 10; i++) await it.hear({})
    expect(it.fetched[name]).toBe(1)
    turn('visible')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[name]).toBe(2)
  })

  test('and nothing at all when nothing was heard', async () => {
    const { it, turn } = await hidden()
    turn('hidden')
    turn('visible')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[name]).toBe(1)
  })
})

test('offline it waits, and fetches once when the network is back', async () => {
  const it = await page()
  await shown(it, list)
  onlineManager.setOnline(false)
  await it.hear({})
  expect(it.fetched[name]).toBe(1)
  onlineManager.setOnline(true)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(it.fetched[name]).toBe(2)
})

describe('an optimistic update', () => {
  test.each([
    ['by onMutate', { onMutate: () => {} }],
    ['by its key', { mutationKey: ['stock-levels', 'adjust'] }],
  ])('under way, told %s, is not overwritten: the fetch waits until it is settled', async (_, options) => {
    const it = await page({ map: { 'stock-levels': { patch: true } } })
    it.show(['stock-levels', 17], () => ({ id: 17, quantity: 5 }))
    await vi.advanceTimersByTimeAsync(2_000)
    const written = deferred<string>()
    const mutation = new MutationObserver(it.queries, { mutationFn: () => written.promise, ...options }).mutate()
    it.queries.setQueryData(['stock-levels', 17], { id: 17, quantity: 9 })
    await it.hear({ data: { id: 17, quantity: 5 }, old: { quantity: 4 } })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(it.queries.getQueryData(['stock-levels', 17])).toEqual({ id: 17, quantity: 9 })
    written.resolve('ok')
    await mutation
    await vi.advanceTimersByTimeAsync(1)
    expect(it.queries.getQueryData(['stock-levels', 17])).toEqual({ id: 17, quantity: 5 })
    expect(it.fetched['["stock-levels",17]']).toBe(2)
  })

  test('a mutation that changes nothing on the page holds up nothing', async () => {
    const it = await page()
    await shown(it, list)
    void new MutationObserver(it.queries, { mutationKey: ['upload'], mutationFn: () => new Promise(() => {}) }).mutate()
    await it.hear({})
    expect(it.fetched[name]).toBe(2)
  })
})

test('stop ends it: no event is heard, no timer is left, and the subscriptions are given back', async () => {
  const channels = [{ channel: 'stock', resource: 'stock-levels' }, { channel: 'approvals', key: 3 }]
  const it = await page({ channels })
  await shown(it, list)
  it.line.say(event())
  it.stop()
  await it.hear({})
  expect(it.fresh()).toEqual([])
  expect(it.line.of('unsubscribe')).toHaveLength(2)
})

test.each(['delete', 'leave'] as const)('stop between a %s and its fetch: the query is not left without either', async (op) => {
  vi.spyOn(Math, 'random').mockReturnValue(0.9)
  const it = await page()
  await shown(it, ['stock-levels', 17])
  it.line.say(event({ op }))
  await vi.advanceTimersByTimeAsync(60)
  expect(it.queries.getQueryState(['stock-levels', 17])).toMatchObject({ status: 'pending', fetchStatus: 'idle' })
  it.stop()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(it.queries.getQueryState(['stock-levels', 17])?.status).toBe('success')
})

test('stop in the middle of a burst: what it concerns is marked as stale', async () => {
  const it = await page()
  await shown(it, list)
  it.line.say(event())
  it.stop()
  expect(it.queries.getQueryState(list)?.isInvalidated).toBe(true)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(it.fresh()).toEqual([])
})

test('what is removed from the cache is forgotten', async () => {
  const it = await page()
  await shown(it, list)
  it.line.say(event())
  await vi.advanceTimersByTimeAsync(50)
  it.queries.clear()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(it.fresh()).toEqual([])
})
