import type { QueryKey } from '@tanstack/query-core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { EventFrame } from '../../src/index.js'
import type { SyncOptions } from '../../src/tanstack/index.js'
import { event } from '../fakesocket.js'
import { page, shown } from './bench.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const uuid = '0b5e1c1e-9d0f-4c55-8d5a-6f3a4f4b2c01'
const another = 'f7d3a1b2-1111-4222-8333-944445555666'

describe('which queries an event concerns', () => {
  test.each<[string, QueryKey, EventFrame['resource_id'], boolean]>([
    ['all of the resource', ['stock-levels'], 17, true],
    ['a list with filters', ['stock-levels', { warehouse: 3 }], 17, true],
    ['a list by name', ['stock-levels', 'low'], 17, true],
    ['a page of a list by name', ['stock-levels', 'list', 2], 17, true],
    ['the row', ['stock-levels', 17], 17, true],
    ['the row, its id from a router', ['stock-levels', '17'], 17, true],
    ['the row, a number for a text', ['stock-levels', 17], '17', true],
    ['what is under the row', ['stock-levels', '17', 'comments'], 17, true],
    ['another row', ['stock-levels', 18], 17, false],
    ['another row, its id from a router', ['stock-levels', '118'], 17, false],
    ['what is under another row', ['stock-levels', 18, 'comments'], 17, false],
    ["a key factory's lists", ['stock-levels', 'list', { page: 1 }], 17, true],
    ["a key factory's row", ['stock-levels', 'detail', '17'], 17, true],
    ["a key factory's other row", ['stock-levels', 'detail', 18], 17, false],
    ["a key factory's other row, by a word", ['currencies', 'detail', 'EUR'], 'USD', false],
    ['a row by UUID', ['documents', uuid], uuid, true],
    ['another row by UUID', ['documents', another], uuid, false],
    ['a row by code', ['skus', 'SKU-0017'], 'SKU-0017', true],
    ['another row by code', ['skus', 'SKU-18'], 'SKU-0017', false],
    ['a list by name beside codes', ['skus', 'top10'], 'SKU-0017', true],
    ['a list by name as long as a number', ['stock-levels', 'q4'], 17, true],
    ['a row by two columns', ['prices', [5, '2026']], [5, 2026], true],
    ['another row by two columns', ['prices', [6, 2026]], [5, 2026], false],
    ['another resource', ['skus', 17], 17, false],
    ['a key that begins alike', ['stock-levels-archive'], 17, false],
    ['a key that is no text', [{ scope: 'stock-levels' }], 17, false],
  ])('%s: %j', async (_, key, id, expected) => {
    const it = await page()
    await shown(it, key)
    const own = ['documents', 'currencies', 'prices', 'skus'].includes(key[0] as string) && id !== 17
    await it.hear({ resource: own ? (key[0] as string) : 'stock-levels', resource_id: id })
    expect(it.fresh()).toEqual(expected ? [JSON.stringify(key)] : [])
  })

  const named: SyncOptions['map'] = { 'stock-levels': { queryKey: ['inventory', 'stock'] } }
  const factory: SyncOptions['map'] = {
    'stock-levels': {
      queryKey: [{ scope: 'stock' }],
      detailKey: (id) => [{ scope: 'stock', entity: 'detail', id }],
      isList: (key) => (key[0] as { entity: string }).entity === 'list',
    },
  }
  const elsewhere: SyncOptions['map'] = { 'stock-levels': { detailKey: (id) => ['stock-level', id, 'full'] } }
  const places: SyncOptions['map'] = { 'stock-levels': [{}, { queryKey: ['dashboard'] }] }
  const words: SyncOptions['map'] = { currencies: { isList: (key) => key.length === 1 } }
  const nothing: SyncOptions['map'] = { 'stock-levels': [] }
  test.each<[string, SyncOptions['map'], QueryKey, boolean]>([
    ['a list under another name', named, ['inventory', 'stock', { low: true }], true],
    ['a row under another name', named, ['inventory', 'stock', '17'], true],
    ['another row under another name', named, ['inventory', 'stock', 18], false],
    ['beside that name', named, ['inventory', 'skus'], false],
    ['under its own name no more', named, ['stock-levels'], false],
    ["an object factory's lists", factory, [{ scope: 'stock', entity: 'list', low: true }], true],
    ["an object factory's row", factory, [{ scope: 'stock', entity: 'detail', id: '17' }], true],
    ["an object factory's other row", factory, [{ scope: 'stock', entity: 'detail', id: 18 }], false],
    ["an object factory's other scope", factory, [{ scope: 'skus', entity: 'list' }], false],
    ['a row elsewhere', elsewhere, ['stock-level', '17', 'full'], true],
    ['another row elsewhere', elsewhere, ['stock-level', '18', 'full'], false],
    ['a list beside it', elsewhere, ['stock-levels', { page: 2 }], true],
    ['the first of two places', places, ['stock-levels', 17], true],
    ['the second of two places', places, ['dashboard', 'low-stock'], true],
    ['a resource that is left alone', nothing, ['stock-levels'], false],
  ])('by the map: %s', async (_, map, key, expected) => {
    const it = await page({ map: map! })
    await shown(it, key)
    await it.hear({})
    expect(it.fresh()).toEqual(expected ? [JSON.stringify(key)] : [])
  })

  test('isList tells lists where ids are words', async () => {
    const it = await page({ map: words })
    await shown(it, ['currencies'], ['currencies', 'USD'], ['currencies', 'EUR'])
    await it.hear({ resource: 'currencies', resource_id: 'USD' })
    expect(it.fresh()).toEqual(['["currencies"]', '["currencies","USD"]'])
  })
})

test.each(['insert', 'enter'] as const)('%s: lists are fetched, and a query of the row', async (op) => {
  const it = await page()
  await shown(it, ['stock-levels'], ['stock-levels', 17], ['stock-levels', 18])
  await it.hear({ op })
  expect(it.fresh()).toEqual(['["stock-levels"]', '["stock-levels",17]'])
})

describe.each(['delete', 'leave'] as const)('%s', (op) => {
  test('of a row that is shown: nothing of it stays on the page, and it is asked for once more', async () => {
    const it = await page()
    let there = true
    it.show(['stock-levels', '17'], () => {
      if (there) return { id: 17 }
      throw new Error('404')
    })
    await shown(it, ['stock-levels'])
    there = false
    await it.hear({ op, data: undefined as never })
    expect(it.queries.getQueryState(['stock-levels', '17'])).toMatchObject({ status: 'error', data: undefined })
    expect(it.fresh()).toEqual(['["stock-levels","17"]', '["stock-levels"]'])
  })

  test('of a row that is not shown: nothing of it stays in memory', async () => {
    const it = await page()
    it.queries.setQueryData(['stock-levels', 17], { id: 17 })
    it.queries.setQueryData(['stock-levels', 18], { id: 18 })
    await it.hear({ op })
    expect(it.queries.getQueriesData({}).map(([key]) => key)).toEqual([['stock-levels', 18]])
  })

  test('and back within a moment: it is fetched', async () => {
    const it = await page()
    await shown(it, ['stock-levels', 17])
    const states: unknown[] = []
    it.queries.getQueryCache().subscribe(({ query }) => states.push(query.state.status))
    it.line.say(event({ op }))
    await it.hear({ op: 'insert' })
    expect(it.fresh()).toEqual(['["stock-levels",17]'])
    expect(states).not.toContain('pending')
  })
})
