import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { EventFrame } from '../../src/index.js'
import type { QueryRule } from '../../src/tanstack/index.js'
import { event } from '../fakesocket.js'
import { deferred, page } from './bench.js'
import type { Page } from './bench.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const detail = ['stock-levels', '17']
const list = ['stock-levels', { low: true }]
const onlyPatched: QueryRule = { patch: true, listColumns: ['warehouse'] }

/** A page that shows what `held` has, where what is fetched later is marked. */
async function holding(rule: QueryRule, key: readonly unknown[], held: unknown): Promise<Page> {
  const it = await page({ map: { 'stock-levels': rule } })
  let first = true
  it.show(key, () => {
    const data = first ? held : 'fetched'
    first = false
    return data
  })
  await vi.advanceTimersByTimeAsync(2_000)
  return it
}

function update(data: object, old: object, fields: Partial<EventFrame> = {}): EventFrame {
  return event({ data: { id: 17, ...data }, old: { ...old }, ...fields })
}

async function after(it: Page, ...events: EventFrame[]): Promise<void> {
  events.forEach((one) => it.line.say(one))
  await vi.advanceTimersByTimeAsync(5_000)
}

describe('a row', () => {
  const row = { id: 17, quantity: 5, name: 'Bolt', sku: { id: 9 } }

  test.each<[string, EventFrame[], unknown]>([
    ['goes on with an event', [update({ quantity: 4 }, { quantity: 5 })], { ...row, quantity: 4 }],
    ['and with the next', [update({ quantity: 4 }, { quantity: 5 }), update({ quantity: 3 }, { quantity: 4 })],
      { ...row, quantity: 3 }],
    ['takes no fields that it does not have', [update({ quantity: 4, more: 1 }, { quantity: 5 })],
      { ...row, quantity: 4 }],
    ['has the event already', [update({ quantity: 5 }, { quantity: 6 })], row],
    ['is not what was before the event: fetched', [update({ quantity: 3 }, { quantity: 4 })], 'fetched'],
    ['lacks what changed: fetched', [update({ sku_id: 10 }, { sku_id: 9 })], 'fetched'],
    ['has it in another form: fetched', [update({ quantity: '4' }, { quantity: 5 })], 'fetched'],
    ['is told of a change in what events do not show: fetched', [update({ quantity: 5 }, {})], 'fetched'],
  ])('%s', async (_, events, expected) => {
    const it = await holding({ patch: true }, detail, row)
    await after(it, ...events)
    expect(it.queries.getQueryData(detail)).toEqual(expected)
  })

  test('is made by a function of the map, or fetched where that gives nothing', async () => {
    const patch = vi.fn((row: object, { left }: { left?: number }) => (left ? { ...row, left } : undefined))
    const it = await holding({ patch }, detail, { id: 17, left: 1 })
    const one = update({ left: 2 }, { left: 1 })
    await after(it, one)
    expect(it.queries.getQueryData(detail)).toEqual({ id: 17, left: 2 })
    expect(patch).toHaveBeenCalledWith({ id: 17, left: 1 }, one.data, one)
    await after(it, update({}, { left: 2 }))
    expect(it.queries.getQueryData(detail)).toBe('fetched')
  })

  test('what is under it is fetched', async () => {
    const it = await holding({ patch: true }, [...detail, 'comments'], [{ id: 17, quantity: 5 }])
    await after(it, update({ quantity: 4 }, { quantity: 5 }))
    expect(it.queries.getQueryData([...detail, 'comments'])).toBe('fetched')
  })

  test('is no fresher for a patch, and stays marked as stale', async () => {
    const it = await page({ map: { 'stock-levels': { patch: true } } })
    it.queries.setQueryData(detail, row, { updatedAt: 1 })
    await it.queries.invalidateQueries({ queryKey: detail })
    await after(it, update({ quantity: 4 }, { quantity: 5 }))
    const state = it.queries.getQueryState(detail)
    expect(state).toMatchObject({ data: { quantity: 4 }, dataUpdatedAt: 1, isInvalidated: true })
  })
})

describe('by version', () => {
  const rule: QueryRule = { patch: true, version: 'version' }
  test.each<[string, unknown, unknown, unknown]>([
    ['a newer one', 3, 4, 'event'],
    ['the same', 4, 4, 'row'],
    ['an older one', 5, 4, 'row'],
    ['numbers as text', '9', '10', 'event'],
    ['a later time', '2026-11-23T08:15:02Z', '2026-11-23T08:15:02.114+00:00', 'event'],
    ['an earlier time, written otherwise', '2026-11-23T08:15:02.115Z', '2026-11-23T08:15:02.114+00:00', 'row'],
    ['times of one millisecond', '2026-11-23T08:15:02.114001Z', '2026-11-23T08:15:02.114002Z', 'fetched'],
    ['a row without one', undefined, 4, 'fetched'],
    ['an event without one', 4, undefined, 'fetched'],
    ['no numbers or times', 'a', 'b', 'fetched'],
  ])('%s: %j, then %j', async (_, held, told, expected) => {
    const it = await holding(rule, detail, { id: 17, quantity: 'row', version: held })
    await after(it, update({ quantity: 'event', version: told }, { quantity: 'whatever' }))
    const data = it.queries.getQueryData(detail)
    expect(data === 'fetched' ? data : (data as { quantity: string }).quantity).toBe(expected)
  })

  test('a function says where it is', async () => {
    const version = (row: object): unknown => ('rev' in row ? row.rev : (row as { meta: { rev: number } }).meta.rev)
    const patch: QueryRule['patch'] = (row, data) => ({ ...row, rev: version(data) })
    const it = await holding({ version, patch }, detail, { id: 17, rev: 3 })
    await after(it, update({ meta: { rev: 5 } }, {}), update({ meta: { rev: 4 } }, {}))
    expect(it.queries.getQueryData(detail)).toEqual({ id: 17, rev: 5 })
  })

  test('an event during a fetch is shown at once, and after it unless the fetch brings something newer', async () => {
    const it = await page({ map: { 'stock-levels': { ...rule, listColumns: ['warehouse'] } } })
    const answers = [deferred<object>(), deferred<object>(), deferred<object>()]
    let begun = 0
    it.show(detail, () => answers[begun++]!.promise)
    answers[0]!.resolve({ id: 17, quantity: 1, version: 1 })
    await vi.advanceTimersByTimeAsync(2_000)
    for (const [from, brings, shows] of [[1, 1, 2], [2, 9, 9]] as const) {
      void it.queries.refetchQueries({ queryKey: detail })
      await after(it, update({ quantity: from + 1, version: from + 1 }, { quantity: from }))
      expect(it.queries.getQueryData(detail)).toMatchObject({ quantity: from + 1 })
      answers[begun - 1]!.resolve({ id: 17, quantity: brings, version: brings })
      await vi.advanceTimersByTimeAsync(5_000)
      expect(it.queries.getQueryData(detail)).toMatchObject({ quantity: shows })
    }
    expect(begun).toBe(3)
  })
})

test('without a version an event during a fetch is not shown: the fetch may bring what is older or newer', async () => {
  const it = await page({ map: { 'stock-levels': { patch: true } } })
  const answers = [deferred<object>(), deferred<object>()]
  let begun = 0
  it.show(detail, () => (begun++ < 2 ? answers[begun - 1]!.promise : { id: 17, quantity: 7 }))
  answers[0]!.resolve({ id: 17, quantity: 5 })
  await vi.advanceTimersByTimeAsync(2_000)
  void it.queries.refetchQueries({ queryKey: detail })
  await after(it, update({ quantity: 6 }, { quantity: 5 }))
  expect(it.queries.getQueryData(detail)).toEqual({ id: 17, quantity: 5 })
  answers[1]!.resolve({ id: 17, quantity: 7 })
  await vi.advanceTimersByTimeAsync(5_000)
  expect([begun, it.queries.getQueryData(detail)]).toEqual([3, { id: 17, quantity: 7 }])
})

describe('a list', () => {
  const bolt = { id: 17, quantity: 5, warehouse: 1 }
  const nut = { id: 18, quantity: 5, lines: [{ id: 17, quantity: 5 }] }
  const change = (): EventFrame => update({ quantity: 4, warehouse: 1 }, { quantity: 5 })
  const patched = { ...bolt, quantity: 4 }

  test.each<[string, unknown, unknown]>([
    ['an array', [nut, bolt], [nut, patched]],
    ['a page of Django REST', { count: 2, results: [bolt, nut] }, { count: 2, results: [patched, nut] }],
    ['infinite pages', { pages: [{ results: [nut] }, { results: [bolt] }], pageParams: [0, 1] },
      { pages: [{ results: [nut] }, { results: [patched] }], pageParams: [0, 1] }],
    ['one that does not have it', [nut], [nut]],
    ['of no rows', ['17', null, 17], ['17', null, 17]],
  ])('%s: the row is patched in its place, and nothing else', async (_, held, expected) => {
    const it = await holding(onlyPatched, list, held)
    const before = it.queries.getQueryData<Record<string, unknown>>(list)
    await after(it, change())
    const data = it.queries.getQueryData<Record<string, unknown>>(list)
    expect(data).toEqual(expected)
    expect(data === before).toBe(JSON.stringify(held) === JSON.stringify(expected))
  })

  test.each<[string, QueryRule, EventFrame]>([
    ['where nothing says that it need not be', { patch: true }, change()],
    ['after a change of what decides of it', onlyPatched, update({ quantity: 5, warehouse: 2 }, { warehouse: 1 })],
    ['after an insert', onlyPatched, event({ op: 'insert', resource_id: 20 })],
    ['after a delete', onlyPatched, event({ op: 'delete', resource_id: 17 })],
  ])('is fetched %s', async (_, rule, told) => {
    const it = await holding(rule, list, [bolt])
    await after(it, told)
    expect(it.queries.getQueryData(list)).toBe('fetched')
  })

  test('that will be fetched is patched at once', async () => {
    const it = await holding({ patch: true }, list, [bolt])
    it.line.say(change())
    await vi.advanceTimersByTimeAsync(50)
    expect(it.queries.getQueryData(list)).toEqual([patched])
  })

  test('of rows by two columns, and by another name', async () => {
    const rule = { ...onlyPatched, id: ['sku', 'warehouse'] }
    const it = await holding(rule, list, [{ sku: 5, warehouse: 1, quantity: 5 }])
    await after(it, update({ quantity: 4 }, { quantity: 5 }, { resource_id: ['5', '1'] }))
    expect(it.queries.getQueryData(list)).toEqual([{ sku: 5, warehouse: 1, quantity: 4 }])
  })
})
