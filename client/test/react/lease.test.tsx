import { act } from '@testing-library/react'
import { expect, test, vi } from 'vitest'
import { useLease } from '../../src/react/index.js'
import { open, quietly } from './bench.js'
import type { Page } from './bench.js'

quietly()

const held = { status: 'held', fence: 918 }

async function begin(): Promise<{ page: Page; now: () => ReturnType<typeof useLease>; unmount: () => void }> {
  const page = open()
  const { result, unmount } = page.hook(() => useLease('stock-levels', 17, { ttl: 30_000 }))
  page.client.connect()
  await page.live()
  return { page, now: () => result.current, unmount }
}

/** Answers the newest request of a type. */
function answer(page: Page, type: string, fields: object): Promise<void> {
  page.say({ type: 'lease', ref: page.last(type).ref, granted: true, ...fields })
  return page.pass()
}

/** Asks for the lease, and gets it. */
async function acquire(page: Page, now: () => ReturnType<typeof useLease>): Promise<boolean> {
  const got = now().acquire()
  await answer(page, 'lease.acquire', { fence: 918, expires_in_ms: 30_000 })
  return got
}

test('is acquired, renewed at half its time, and released with the component', async () => {
  const { page, now, unmount } = await begin()
  expect(now()).toMatchObject({ status: 'idle' })
  expect(page.sockets[0]!.of('lease.acquire')).toEqual([])
  expect(await acquire(page, now)).toBe(true)
  expect(page.last('lease.acquire')).toMatchObject({ resource: 'stock-levels', key: 17, ttl_ms: 30_000 })
  expect(now()).toMatchObject(held)
  for (let renewals = 1; renewals < 4; renewals++) {
    await page.pass(14_999)
    expect(page.sockets[0]!.of('lease.renew')).toHaveLength(renewals - 1)
    await page.pass(1)
    expect(page.sockets[0]!.of('lease.renew')).toHaveLength(renewals)
    await answer(page, 'lease.renew', { expires_in_ms: 30_000 })
    page.say({ type: 'heartbeat', cursors: {} })
  }
  expect(now()).toMatchObject(held)
  unmount()
  await page.pass()
  expect(page.sockets[0]!.of('lease.release')).toMatchObject([{ resource: 'stock-levels', key: 17 }])
  await page.pass(30_000)
  expect(page.sockets[0]!.of('lease.renew')).toHaveLength(3)
})

test('who holds it is told, for as long as they do', async () => {
  const { page, now } = await begin()
  const got = now().acquire()
  await answer(page, 'lease.acquire', { granted: false, user: '7', name: 'Budi', expires_in_ms: 12_000 })
  expect(await got).toBe(false)
  expect(now()).toMatchObject({ status: 'held-by-other', holder: { user: '7', name: 'Budi' } })
  await page.pass(12_000)
  expect([now().status, now().holder]).toEqual(['idle', undefined])
})

test('two who ask at once ask once', async () => {
  const { page, now } = await begin()
  const both = [now().acquire(), now().acquire()]
  await answer(page, 'lease.acquire', { fence: 918, expires_in_ms: 30_000 })
  expect(await Promise.all(both)).toEqual([true, true])
  expect(await now().acquire()).toBe(true)
  expect(page.sockets[0]!.of('lease.acquire')).toHaveLength(1)
})

test('release lets go, also of what is granted only afterwards', async () => {
  const { page, now } = await begin()
  await acquire(page, now)
  act(() => now().release())
  expect(now().status).toBe('idle')
  expect(page.sockets[0]!.of('lease.release')).toHaveLength(1)
  const got = now().acquire()
  act(() => now().release())
  await answer(page, 'lease.acquire', { fence: 919, expires_in_ms: 30_000 })
  expect(await got).toBe(false)
  expect(now().status).toBe('idle')
  expect(page.sockets[0]!.of('lease.release')).toHaveLength(2)
})

test('a renewal that comes too late: lost', async () => {
  const { page, now } = await begin()
  await acquire(page, now)
  await page.pass(15_000)
  page.say({ type: 'error', ref: page.last('lease.renew').ref, code: 'lease_lost', message: 'it had run out' })
  await page.pass()
  expect(now()).toMatchObject({ status: 'lost', error: { code: 'lease_lost' } })
  expect(now().fence).toBeUndefined()
})

test('a drop is survived if the connection is back in time, else it is lost', async () => {
  const { page, now } = await begin()
  await acquire(page, now)
  act(() => page.sockets[0]!.end(1006))
  await page.pass(10_000)
  await page.live()
  expect(page.sockets[1]!.of('lease.renew')).toHaveLength(1)
  await answer(page, 'lease.renew', { expires_in_ms: 30_000 })
  expect(now()).toMatchObject(held)
  act(() => page.sockets[1]!.end(1006))
  await page.pass(29_999)
  expect(now()).toMatchObject(held)
  await page.pass(1)
  expect([now().status, now().fence]).toEqual(['lost', undefined])
})

test.each([
  ['unknown_type', 'unsupported'],
  ['unsupported_transport', 'unsupported'],
  ['forbidden', 'idle'],
])('a bridge that answers %s: %s, and acquire says false', async (code, status) => {
  const { page, now } = await begin()
  const got = now().acquire()
  page.say({ type: 'error', ref: page.last('lease.acquire').ref, code, message: 'no' })
  await page.pass()
  expect(await got).toBe(false)
  expect(now()).toMatchObject({ status, error: { code } })
})

test('released and wanted again before the first answer: the second is not let go with the first', async () => {
  const { page, now } = await begin()
  const first = now().acquire()
  const one = page.last('lease.acquire').ref
  act(() => now().release())
  const second = now().acquire()
  const two = page.last('lease.acquire').ref
  for (const ref of [one, two]) page.say({ type: 'lease', ref, granted: true, fence: 918, expires_in_ms: 30_000 })
  await page.pass()
  expect(await Promise.all([first, second])).toEqual([false, true])
  expect(now()).toMatchObject(held)
  expect(page.sockets[0]!.of('lease.release')).toEqual([])
})

test('a tab that was frozen for longer than its time asks again, whatever it shows', async () => {
  const { page, now } = await begin()
  await acquire(page, now)
  vi.setSystemTime(Date.now() + 31_000) // no timer has run
  const got = now().acquire()
  expect(page.sockets[0]!.of('lease.acquire')).toHaveLength(2)
  await answer(page, 'lease.acquire', { granted: false, user: '7', expires_in_ms: 9_000 })
  expect(await got).toBe(false)
  expect(now().status).toBe('held-by-other')
})

test('a renewal without an answer: it is not held for longer than it was granted', async () => {
  const page = open()
  const { result } = page.hook(() => useLease('stock-levels', 17, { ttl: 8_000 }))
  page.client.connect()
  await page.live()
  void result.current.acquire()
  await answer(page, 'lease.acquire', { fence: 918, expires_in_ms: 8_000 })
  await page.pass(4_000)
  expect(page.sockets[0]!.of('lease.renew')).toHaveLength(1)
  await page.pass(3_999)
  expect(result.current.status).toBe('held')
  await page.pass(1)
  expect(result.current.status).toBe('lost')
})

test('a clock that is put back, while the connection is lost, makes it no longer than once more', async () => {
  const { page, now } = await begin()
  await acquire(page, now)
  act(() => page.sockets[0]!.end(1006))
  vi.setSystemTime(Date.now() - 3_600_000)
  await page.pass(60_000)
  expect(now().status).toBe('lost')
})
