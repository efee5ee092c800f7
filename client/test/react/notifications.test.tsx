import { act } from '@testing-library/react'
import { expect, test, vi } from 'vitest'
import { useNotifications } from '../../src/react/index.js'
import type { EventFrame, NotificationItem } from '../../src/index.js'
import { event } from '../fakesocket.js'
import { open, quietly } from './bench.js'
import type { Page } from './bench.js'

quietly()

const at = (n: number): string => `2026-11-23T08:${String(n).padStart(2, '0')}:00.000Z`

const item = (n: number, read = false): NotificationItem =>
  ({ id: `n${n}`, at: at(n), message: `message ${n}`, link: `/${n}`, read_at: read ? at(59) : null, data: { type: 'leave' } })

const brought = (n: number, fields: Partial<EventFrame> = {}): EventFrame => event({
  type: 'notification', channel: 'notifications', resource: 'notifications', resource_id: `n${n}`, op: 'insert', at: at(n),
  data: { type: 'leave', message: `message ${n}`, link: `/${n}`, read_at: null }, ...fields,
})

/** Answers the newest list. */
async function list(page: Page, items: NotificationItem[], unread: number): Promise<void> {
  page.say({ type: 'notifications', ref: page.last('notifications.list').ref, items, unread })
  await page.pass()
}

const lists = (page: Page): unknown[] =>
  page.sockets.at(-1)!.of('notifications.list').map(({ before, limit }) => [before, limit])

const refs = (page: Page): void => {
  for (const { ref } of page.sockets.at(-1)!.of('subscribe')) page.say({ type: 'subscribed', ref })
}

/** The bridge keeps them: listed, subscribed, and listed again for what came in between. */
async function kept(items: NotificationItem[], unread: number, limit = 50) {
  const page = open()
  const { result } = page.hook(() => useNotifications({ limit }))
  await page.live()
  await list(page, items, unread)
  refs(page)
  await page.pass(1_000)
  await list(page, items, unread)
  const now = () => result.current
  return { page, now, ids: () => now().notifications.map(({ id, read_at }) => `${id}${read_at ? ' read' : ''}`) }
}

/** The bridge keeps none: the channel brings them. */
async function fed(options: Parameters<typeof useNotifications>[0] = {}) {
  const page = open()
  const { result } = page.hook(() => useNotifications(options))
  await page.live()
  page.say({ type: 'error', ref: page.last('notifications.list').ref, code: 'unknown_type', message: 'no' })
  await page.pass()
  refs(page)
  const now = () => result.current
  return { page, now, ids: () => now().notifications.map(({ id, read_at }) => `${id}${read_at ? ' read' : ''}`) }
}

test('the bridge keeps them: its list, its count, and what comes live', async () => {
  const { page, now, ids } = await kept([item(2), item(1, true)], 7)
  expect(now()).toMatchObject({ unread: 7, status: 'live', hasMore: false })
  expect(now().notifications[0]).toEqual({
    id: 'n2', at: at(2), message: 'message 2', link: '/2', read_at: null, data: { type: 'leave' },
  })
  expect(page.sockets[0]!.of('subscribe')).toMatchObject([{ channel: 'notifications' }])
  expect(page.last('subscribe')).not.toHaveProperty('rewind')
  page.say(brought(3))
  expect(ids()).toEqual(['n3', 'n2', 'n1 read'])
  expect(now().unread).toBe(7) // absolute: the bridge counts
  page.say({ type: 'notification_count', unread: 8 })
  expect(now().unread).toBe(8)
})

test('where no count comes along with what is new, it is asked for', async () => {
  const { page, now } = await kept([item(1)], 1)
  const before = lists(page).length
  page.say(brought(2))
  await page.pass(999)
  expect(lists(page)).toHaveLength(before)
  await page.pass(1)
  await list(page, [item(2), item(1)], 2)
  expect(now().unread).toBe(2)
})

test('markRead shows at once, and takes the bridge\'s count', async () => {
  const { page, now, ids } = await kept([item(2), item(1)], 5)
  let done: Promise<void> | undefined
  act(() => void (done = now().markRead(['n2'])))
  expect([ids(), now().unread]).toEqual([['n2 read', 'n1'], 4])
  expect(page.last('notifications.read')).toMatchObject({ ids: ['n2'] })
  page.say({ type: 'notification_count', unread: 3 })
  await act(() => done!)
  expect(now().unread).toBe(3)
  act(() => void (done = now().markRead('all')))
  expect([ids(), now().unread]).toEqual([['n2 read', 'n1 read'], 0])
  expect(page.last('notifications.read')).toMatchObject({ all: true })
  page.say({ type: 'notification_count', unread: 0 })
  await act(() => done!)
})

test('a markRead that is refused is taken back', async () => {
  const { page, now, ids } = await kept([item(1)], 1)
  let done: Promise<void> | undefined
  act(() => void (done = now().markRead('all')))
  const refused = expect(done).rejects.toMatchObject({ code: 'internal' })
  page.say({ type: 'error', ref: page.last('notifications.read').ref, code: 'internal', message: 'no' })
  await page.pass()
  await refused
  expect([ids(), now().unread]).toEqual([['n1'], 1])
})

test('another tab has read them: all, or some, which are asked for', async () => {
  const { page, now, ids } = await kept([item(2), item(1)], 2)
  page.say({ type: 'notification_count', unread: 1 })
  await page.pass(1_000)
  await list(page, [item(2, true), item(1)], 1)
  expect([ids(), now().unread]).toEqual([['n2 read', 'n1'], 1])
  const before = lists(page).length
  page.say({ type: 'notification_count', unread: 0 })
  await page.pass(1_000)
  expect([ids(), now().unread]).toEqual([['n2 read', 'n1 read'], 0])
  expect(lists(page)).toHaveLength(before)
})

test('loadMore pages through the bridge\'s list', async () => {
  const { page, now, ids } = await kept([item(4), item(3)], 0, 2)
  expect(now().hasMore).toBe(true)
  act(() => now().loadMore())
  expect(lists(page).at(-1)).toEqual(['n3', 2])
  await list(page, [item(2)], 0)
  expect(ids()).toEqual(['n4', 'n3', 'n2'])
  expect(now().hasMore).toBe(false)
})

test('a resync lists afresh, and what is no longer there goes', async () => {
  const { page, ids } = await kept([item(2), item(1)], 2)
  page.say({ type: 'resync', channel: 'notifications', reason: 'grants_changed' })
  await page.pass(1_000)
  await list(page, [item(3)], 1)
  expect(ids()).toEqual(['n3'])
})

test('after a drop it lists again', async () => {
  const { page, now, ids } = await kept([item(1)], 1)
  await page.again()
  await list(page, [item(2), item(1, true)], 1)
  expect([ids(), now().status]).toEqual([['n2', 'n1 read'], 'live'])
})

test('a table of the ERP: the last events, live ones, and reads as they are written', async () => {
  const { page, now, ids } = await fed({ limit: 20 })
  expect(page.sockets[0]!.of('subscribe')).toMatchObject([{ channel: 'notifications', rewind: 20 }])
  page.say(brought(1))
  page.say(brought(2))
  page.say(brought(1, { id: 'u1', type: 'notification_read', op: 'update', data: { message: 'message 1', read_at: at(9) } }))
  page.say(brought(0, { id: 'u0', op: 'update', data: { read_at: at(9) } })) // an old one, read elsewhere
  page.say(brought(5, { id: 'x', type: 'something_else' }))
  expect([ids(), now().unread, now().status]).toEqual([['n2', 'n1 read'], 1, 'live'])
  page.say(brought(2, { id: 'd2', op: 'delete' }))
  expect(ids()).toEqual(['n1 read'])
})

test('markRead of the application: shown at once, taken back where it fails', async () => {
  const markRead = vi.fn<(ids: unknown) => Promise<void>>().mockResolvedValueOnce().mockRejectedValueOnce(new Error('503'))
  const { page, now, ids } = await fed({ markRead })
  page.say(brought(1))
  page.say(brought(2))
  await act(() => now().markRead(['n1']))
  expect([ids(), now().unread, markRead.mock.calls]).toEqual([['n2', 'n1 read'], 1, [[['n1']]]])
  await act(() => expect(now().markRead('all')).rejects.toThrow('503'))
  expect([ids(), now().unread]).toEqual([['n2', 'n1 read'], 1])
})

test('without a markRead the message says what to do', async () => {
  const { now } = await fed()
  await expect(now().markRead('all')).rejects.toThrow('give useNotifications a `markRead`')
})

test('a resync of the ERP\'s table begins the feed anew, from its last events', async () => {
  const { page, now, ids } = await fed()
  page.say(brought(1, { id: 'i1' }))
  page.say({ type: 'resync', channel: 'notifications', reason: 'truncated' })
  await page.pass()
  const socket = page.sockets[0]!
  expect(socket.of('subscribe').map(({ rewind }) => rewind)).toEqual([50, 50])
  expect(socket.of('unsubscribe')).toHaveLength(1)
  expect(ids()).toEqual(['n1'])
  page.say({ type: 'subscribed', ref: page.last('subscribe').ref })
  page.say(brought(2))
  expect([ids(), now().status]).toEqual([['n2'], 'live'])
})

test('loadMore of the ERP\'s table begins farther back', async () => {
  const { page, now, ids } = await fed({ limit: 2 })
  const last = [brought(3), brought(4)]
  last.forEach((frame) => page.say(frame))
  expect(now().hasMore).toBe(true)
  act(() => now().loadMore())
  expect(page.last('subscribe')).toMatchObject({ rewind: 4 })
  page.say({ type: 'subscribed', ref: page.last('subscribe').ref })
  for (const frame of [brought(2), ...last]) page.say(frame)
  expect([ids(), now().hasMore]).toEqual([['n4', 'n3', 'n2'], false])
})

test('neither: unsupported', async () => {
  const page = open()
  const { result } = page.hook(() => useNotifications())
  await page.live()
  page.say({ type: 'error', ref: page.last('notifications.list').ref, code: 'unknown_type', message: 'no' })
  await page.pass()
  page.say({ type: 'error', ref: page.last('subscribe').ref, code: 'unknown_channel', message: 'no' })
  expect(result.current).toMatchObject({ notifications: [], unread: 0, status: 'unsupported' })
  expect(page.unhandled).toEqual([])
})

test('the bell and the page share them: read in one is read in the other, and asked once', async () => {
  const page = open()
  const { result } = page.hook(() => [useNotifications({ limit: 1 }), useNotifications({ limit: 5 })] as const)
  const socket = await page.live()
  expect(socket.of('notifications.list')).toHaveLength(1)
  await list(page, [item(3), item(2), item(1)], 3)
  const [bell, whole] = [() => result.current[0], () => result.current[1]]
  expect([bell().notifications.length, bell().hasMore, whole().notifications.length]).toEqual([1, true, 3])
  act(() => void whole().markRead(['n3']).catch(() => {}))
  expect([bell().unread, bell().notifications[0]!.read_at !== null]).toEqual([2, true])
})

test('a list that could not be had is asked for again', async () => {
  const page = open()
  const { result } = page.hook(() => useNotifications())
  await page.live()
  page.say({ type: 'error', ref: page.last('notifications.list').ref, code: 'internal', message: 'no' })
  await page.pass(5_000)
  expect(lists(page)).toHaveLength(2)
  await list(page, [item(1)], 1)
  refs(page)
  expect(result.current).toMatchObject({ unread: 1, status: 'live' })
})

test('where no WebSocket gets through the channel brings them', async () => {
  const page = open()
  const { result } = page.hook(() => useNotifications())
  await page.live()
  page.say({ type: 'error', ref: page.last('notifications.list').ref, code: 'unsupported_transport', message: 'no' })
  await page.pass()
  refs(page)
  page.say(brought(1))
  expect(result.current).toMatchObject({ unread: 1, status: 'live' })
})

test('a markRead that fails takes back no more than it did', async () => {
  let fail = (_: Error): void => {}
  const { page, now, ids } = await fed({ markRead: () => new Promise((_, reject) => (fail = reject)) })
  for (const n of [1, 2, 3]) page.say(brought(n))
  let done: Promise<void> | undefined
  act(() => void (done = now().markRead('all')))
  page.say(brought(1, { id: 'u1', op: 'update', data: { read_at: at(9) } })) // on another device
  page.say(brought(2, { id: 'd2', op: 'delete' }))
  const refused = expect(done).rejects.toThrow('503')
  await act(async () => fail(new Error('503')))
  await refused
  expect([ids(), now().unread]).toEqual([['n3', 'n1 read'], 1])
})
