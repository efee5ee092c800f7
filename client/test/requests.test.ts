import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { setup } from './fakesocket.js'
import type { Bench } from './fakesocket.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

async function live(bench: Bench) {
  bench.client.connect()
  const socket = await bench.socket()
  socket.welcome()
  return socket
}

const lease = { type: 'lease.acquire', resource: 'stock-levels', key: 17, ttl_ms: 30_000 } as const

test('a request made before the connection is sent once it is live, and its own answer settles it', async () => {
  const bench = setup()
  const [one, two] = [bench.client.request(lease), bench.client.request({ type: 'notifications.list', limit: 5 })]
  const socket = await live(bench)
  expect(socket.sent.slice(1)).toEqual([
    { ...lease, ref: 'r1' },
    { type: 'notifications.list', limit: 5, ref: 'r2' },
  ])
  const list = { type: 'notifications', ref: 'r2', items: [{ id: 1, at: 'now' }], unread: 1 } as const
  socket.say(list as never)
  socket.say({ type: 'lease', ref: 'r1', granted: true, fence: 918, expires_in_ms: 30_000 })
  expect(await one).toEqual({ type: 'lease', ref: 'r1', granted: true, fence: 918, expires_in_ms: 30_000 })
  expect(await two).toEqual(list)
  expect(vi.getTimerCount()).toBe(1) // the connection's own watch
})

test('an error with the ref rejects, with its code, and nobody else hears of it', async () => {
  const bench = setup()
  const refused = expect(bench.client.request(lease)).rejects.toMatchObject({
    code: 'unknown_type',
    message: 'lease.acquire: not in this version',
  })
  const socket = await live(bench)
  socket.say({ type: 'error', ref: 'r1', code: 'unknown_type', message: 'not in this version' })
  await refused
  expect(bench.unhandled).toEqual([])
})

test('a lost connection rejects what was sent; what was not waits for the next one', async () => {
  const bench = setup()
  const sent = expect(bench.client.request(lease)).rejects.toMatchObject({ code: 'connection_lost' })
  const socket = await live(bench)
  socket.end(1006)
  await sent
  const waiting = bench.client.request(lease)
  await vi.advanceTimersByTimeAsync(500)
  const next = await bench.socket()
  next.welcome()
  expect(next.sent.slice(1)).toEqual([{ ...lease, ref: 'r2' }])
  next.say({ type: 'lease', ref: 'r2', granted: false })
  expect(await waiting).toMatchObject({ granted: false })
})

test('where the connection ends for good, what waits is rejected too', async () => {
  const bench = setup()
  const waiting = expect(bench.client.request(lease)).rejects.toMatchObject({ code: 'closed' })
  bench.client.close()
  await waiting
})

test('who is not answered in 10 s is told so', async () => {
  const bench = setup()
  const late = expect(bench.client.request(lease)).rejects.toMatchObject({ code: 'timeout' })
  await live(bench)
  await vi.advanceTimersByTimeAsync(10_000)
  await late
})

test('presence: enter is answered by who is in that room; update and leave have no answer', async () => {
  const bench = setup()
  const socket = await live(bench)
  const heard: string[] = []
  bench.client.listen('presence', ({ room }) => heard.push(room))
  const stop = bench.client.listen('presence.joined', ({ user }) => heard.push(user))
  const entered = bench.client.request({ type: 'presence.enter', room: 'grant-proposals/17' })
  socket.say({ type: 'presence', room: 'grant-proposals/18', users: [] })
  const here = { type: 'presence', room: 'grant-proposals/17', users: [{ user: '42' }] } as const
  socket.say(here as never)
  expect(await entered).toEqual(here)
  await bench.client.request({ type: 'presence.update', room: 'grant-proposals/17', state: { field: 'budget' } })
  await bench.client.request({ type: 'presence.leave', room: 'grant-proposals/17' })
  expect(socket.sent.map(({ type }) => type)).toEqual(['auth', 'presence.enter', 'presence.update', 'presence.leave'])
  socket.say({ type: 'presence.joined', room: 'grant-proposals/17', user: '7' })
  stop()
  socket.say({ type: 'presence.joined', room: 'grant-proposals/17', user: '8' })
  expect(heard).toEqual(['grant-proposals/18', 'grant-proposals/17', '7'])
})

test('notifications.read is answered by the count that every tab hears', async () => {
  const bench = setup()
  const socket = await live(bench)
  const counts: number[] = []
  bench.client.listen('notification_count', ({ unread }) => counts.push(unread))
  const read = bench.client.request({ type: 'notifications.read', all: true })
  socket.say({ type: 'notification_count', unread: 0 })
  expect(await read).toEqual({ type: 'notification_count', unread: 0 })
  expect(counts).toEqual([0])
})

test('a listener that throws stops nobody else', async () => {
  const bench = setup()
  const socket = await live(bench)
  const heard = vi.fn()
  bench.client.listen('notification_count', () => {
    throw new Error('mine')
  })
  bench.client.listen('notification_count', heard)
  socket.say({ type: 'notification_count', unread: 3 })
  expect(heard).toHaveBeenCalledTimes(1)
  expect(bench.reported).toMatchObject([{ message: 'mine' }])
})
