import { QueryClient, dehydrate, hydrate } from '@tanstack/query-core'
import type { DehydratedState } from '@tanstack/query-core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { syncQueries } from '../../src/tanstack/index.js'
import type { SyncOptions } from '../../src/tanstack/index.js'
import { setup } from '../fakesocket.js'
import { deferred, page, shown } from './bench.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const stock = '["stock-levels"]'
const requests = '["expense-requests",3]'
const me = '["me"]'
const keys = [['stock-levels'], ['expense-requests', 3], ['me'], [{ scope: 'x' }]]

const known: SyncOptions = {
  map: { 'stock-levels': { channel: 'stock' }, 'expense-requests': { channel: 'approvals' }, me: [] },
}

describe('resync', () => {
  const topics: SyncOptions = { channels: [{ channel: 'stock', resource: 'stock-levels' }, 'approvals'] }
  test.each<[string, SyncOptions, object, string[]]>([
    ['of a resource', {}, { resource: 'stock-levels' }, [stock]],
    ['of another resource of the channel', {}, { resource: 'skus' }, []],
    ['of a channel whose resources the map says', known, {}, [stock]],
    ['of a channel that is told of by its topic alone', topics, {}, [stock]],
    ['of a channel, nothing being known: what may be of it', {}, {}, [stock, requests, me]],
  ])('%s', async (_, options, fields, expected) => {
    const it = await page(options)
    await shown(it, ...keys)
    it.line.say({ type: 'resync', channel: 'stock', reason: 'drift', ...fields })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fresh()).toEqual(expected)
  })

  test('of a channel leaves alone what events have shown to be of another', async () => {
    const it = await page({ map: { me: [] } })
    await shown(it, ...keys)
    await it.hear({ channel: 'approvals', resource: 'expense-requests', resource_id: 99 })
    it.line.say({ type: 'resync', channel: 'stock', reason: 'cursor_expired' })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fresh()).toEqual([stock])
  })

  test('where rights changed: what is not shown leaves the memory', async () => {
    const it = await page()
    await shown(it, ['stock-levels'])
    it.queries.setQueryData(['stock-levels', 17], { id: 17 })
    it.queries.setQueryData(['me'], {})
    it.line.say({ type: 'resync', channel: 'stock', resource: 'stock-levels', reason: 'grants_changed' })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.queries.getQueriesData({}).map(([key]) => key)).toEqual([['stock-levels'], ['me']])
    expect(it.fresh()).toEqual([stock])
  })

  test('during the first fetch: one more follows', async () => {
    const it = await page()
    const first = deferred<number>()
    it.show(['stock-levels'], () => (it.fetched[stock] === 1 ? first.promise : 2))
    it.line.say({ type: 'resync', channel: 'stock', reason: 'truncated' })
    await vi.advanceTimersByTimeAsync(5_000)
    first.resolve(1)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.queries.getQueryData(['stock-levels'])).toBe(2)
  })
})

describe('before the connection is live', () => {
  test('nothing vouches for what was fetched: it is fetched once more', async () => {
    const it = await page({ map: { me: [] } }, (it) => {
      it.show(['stock-levels'])
      it.show(['me'])
    })
    expect([it.fetched[stock], it.fetched[me]]).toEqual([2, 1])
  })

  test('what is fetched later is not fetched twice, nor anything after a drop that is resumed', async () => {
    const it = await page(known)
    await shown(it, ...keys)
    it.line.say({ type: 'heartbeat', cursors: { stock: '7f3a:1' } })
    it.line.end(1006)
    await vi.advanceTimersByTimeAsync(1_000)
    const line = await it.socket()
    line.welcome()
    for (const { ref } of line.of('subscribe')) line.say({ type: 'subscribed', ref, resumed: ref === '1' })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(line.of('subscribe').map(({ cursor }) => cursor)).toEqual(['7f3a:1', undefined])
    expect(it.fresh()).toEqual([requests]) // of the channel without a cursor
  })
})

describe('what another made, a server or storage, is as old as they say', () => {
  const rendered = (key: unknown[], data: unknown, updatedAt: number): DehydratedState => {
    const server = new QueryClient()
    server.setQueryData(key, data, { updatedAt })
    return JSON.parse(JSON.stringify(dehydrate(server))) as DehydratedState
  }

  test('put into the page while it is live: it is fetched once more', async () => {
    const it = await page({ map: { me: [] } })
    hydrate(it.queries, rendered(['stock-levels'], 'rendered', Date.now() - 60_000))
    hydrate(it.queries, rendered(['me'], 'rendered', Date.now() - 60_000))
    it.show(['stock-levels'], () => 'fetched')
    it.show(['me'])
    expect(it.queries.getQueryData(['stock-levels'])).toBe('rendered')
    await vi.advanceTimersByTimeAsync(5_000)
    expect([it.queries.getQueryData(['stock-levels']), it.fetched[stock], it.fetched[me]]).toEqual(['fetched', 1, 0])
  })

  test('and over what the page has: likewise', async () => {
    const it = await page()
    await shown(it, ['stock-levels'])
    hydrate(it.queries, rendered(['stock-levels'], 'rendered', Date.now() + 1))
    expect(it.queries.getQueryData(['stock-levels'])).toBe('rendered')
    await vi.advanceTimersByTimeAsync(5_000)
    expect([it.queries.getQueryData(['stock-levels']), it.fetched[stock]]).toEqual([{}, 2])
  })

  test('before it is live: it is fetched once, when it is', async () => {
    const it = await page({}, (it) => {
      hydrate(it.queries, rendered(['stock-levels'], 'rendered', Date.now() - 86_400_000))
      it.show(['stock-levels'])
    })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[stock]).toBe(1)
  })

  test('a fetch that is cancelled brings back what was there, and that is as new as it was', async () => {
    const it = await page()
    const slow = deferred<string>()
    it.show(['stock-levels'], () => (it.fetched[stock] === 1 ? 'first' : slow.promise))
    await vi.advanceTimersByTimeAsync(2_000)
    void it.queries.refetchQueries({ queryKey: ['stock-levels'] })
    await vi.advanceTimersByTimeAsync(10)
    await it.queries.cancelQueries({ queryKey: ['stock-levels'] })
    it.queries.setQueryData(['stock-levels'], 'the page\'s own')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(it.fetched[stock]).toBe(2)
  })
})

describe('cut off', () => {
  test.each([
    ['stopped', 4501, 1],
    ['lost for long', 1006, 3],
  ])('%s: everything is stale as without live updates, and fetched when TanStack does', async (_, code, times) => {
    const it = await page({ map: { me: [] } })
    await shown(it, ['stock-levels'], ['me'])
    for (let i = 0; i < times; i++) {
      it.sockets.at(-1)!.end(code)
      await vi.advanceTimersByTimeAsync(2_000)
    }
    const stale = (key: unknown[]) => it.queries.getQueryState(key)?.isInvalidated
    expect([stale(['stock-levels']), stale(['me']), it.fresh()]).toEqual([true, false, []])
    it.show(['stock-levels', 18])
    await vi.advanceTimersByTimeAsync(0)
    expect([stale(['stock-levels', 18]), it.fetched['["stock-levels",18]']]).toEqual([true, 1])
  })
  test('closed by the application: nobody vouches for what is fetched', async () => {
    const it = await page()
    await shown(it, ['stock-levels'])
    it.client.close()
    expect(it.queries.getQueryState(['stock-levels'])?.isInvalidated).toBe(true)
    it.show(['stock-levels', 18])
    await vi.advanceTimersByTimeAsync(0)
    expect(it.queries.getQueryState(['stock-levels', 18])?.isInvalidated).toBe(true)
  })
})

test('without a channel the message says what to do', () => {
  const { client } = setup()
  expect(() => syncQueries(client, new QueryClient())).toThrow('give createClient its `channels`')
})
