import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ConnectionState, EventFrame, ResyncFrame } from '../src/index.js'
import { createFakeServer } from '../src/testing/index.js'
import type { FakeServer, FakeServerOptions } from '../src/testing/index.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const level = { type: 'stock_changed', resource: 'stock-levels' }

/** A client with a subscription to the channel, live, and what it hears. */
async function listening(options: FakeServerOptions = {}) {
  const server = createFakeServer(options)
  const client = server.client()
  const heard: EventFrame[] = []
  const resyncs: ResyncFrame[] = []
  client.subscribe({ channel: 'stock' }, (event) => heard.push(event), { onResync: (frame) => resyncs.push(frame) })
  await server.live()
  return { server, client, heard, resyncs }
}

/** Lets a dropped client come back. */
async function back(server: FakeServer): Promise<void> {
  await vi.advanceTimersByTimeAsync(20_000)
  await server.live()
}

const ns = (events: EventFrame[]): unknown[] => events.map(({ data }) => data?.n)

test('an event is heard before emit returns, filled in where the test says nothing', async () => {
  const { server, heard } = await listening()
  const event = server.emit('stock', { ...level, data: { id: 17, n: 1 } })
  expect(heard).toEqual([{ ...event, cursor: expect.any(String) as string }])
  expect(event).toMatchObject({ channel: 'stock', resource_id: 17, op: 'update' })
  server.emit('approvals', { ...level, data: { id: 18, n: 2 } })
  expect(heard).toHaveLength(1)
})

test('sent and sessions say what clients do', async () => {
  const { server, client } = await listening({ authenticate: (token) => ({ user: `of ${token}`, name: 'Siti' }) })
  expect(server.sent.map(({ type }) => type)).toEqual(['auth', 'subscribe'])
  expect(server.sessions).toMatchObject([{ live: true, who: { user: 'of fake' } }])
  expect(client.state.get()).toEqual({ status: 'live', user: 'of fake', name: 'Siti' })
  client.close()
  expect(server.sessions).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})

test('a handler may emit: what it causes comes after what it heard', async () => {
  const { server, client, heard } = await listening()
  const one = { channel: 'stock', key: 1, resource: 'stock-levels' }
  client.subscribe(one, () => void server.emit('stock', { ...level, data: { id: 2, n: 2 } }))
  await server.live()
  server.emit('stock', { ...level, data: { id: 1, n: 1 } })
  expect(ns(heard)).toEqual([1, 2])
})

describe('connections', () => {
  test('what happens while a client is dropped comes when it is back, once', async () => {
    const { server, heard, resyncs } = await listening()
    server.emit('stock', { ...level, data: { n: 1 } })
    server.drop()
    server.emit('stock', { ...level, data: { n: 2 } })
    expect(ns(heard)).toEqual([1])
    await back(server)
    server.emit('stock', { ...level, data: { n: 3 } })
    expect(ns(heard)).toEqual([1, 2, 3])
    expect(resyncs).toEqual([])
  })

  test.each([
    ['forget', 'cursor_expired'],
    ['restart', 'other_epoch'],
  ] as const)('%s: who comes back is told that the past can not be told', async (verb, reason) => {
    const { server, resyncs } = await listening()
    server.emit('stock', { ...level })
    server[verb]()
    server.drop()
    await back(server)
    expect(resyncs.map((frame) => frame.reason)).toEqual([reason])
  })

  test('a bad token stops the client, and the reason is told', async () => {
    const server = createFakeServer({ authenticate: () => undefined })
    const client = server.client()
    const states: ConnectionState[] = []
    client.state.subscribe((state) => states.push(state))
    client.connect()
    await vi.advanceTimersByTimeAsync(0)
    expect(states.at(-1)).toEqual({ status: 'stopped', code: 4501, reason: 'token refused' })
  })

  test('who says nothing is closed with 4500', async () => {
    const server = createFakeServer()
    const socket = new server.environment.WebSocket!('wss://fake.example/ws', ['rowfeed.v1'])
    socket.onclose = vi.fn()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(socket.onclose).toHaveBeenCalledWith({ code: 4500, reason: 'no token in time' })
  })

  test('a cookie needs no token', async () => {
    const { server } = await listening({ cookie: '42' })
    expect(server.sessions).toMatchObject([{ who: { user: '42' } }])
    expect(server.sent.map(({ type }) => type)).toEqual(['subscribe'])
  })

  test('offline: no connection comes about until the network is back, and then at once', async () => {
    const fetch = vi.spyOn(globalThis, 'fetch')
    const { server, client, heard } = await listening()
    server.offline()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(client.state.get().status).toBe('waiting')
    expect(fetch).not.toHaveBeenCalled()
    server.online()
    await server.live()
    server.emit('stock', { ...level, data: { n: 1 } })
    expect(ns(heard)).toEqual([1])
  })

  test('silence: the client finds out by itself that nobody is there', async () => {
    const { server, client, heard } = await listening()
    server.offline({ silent: true })
    server.emit('stock', { ...level, data: { n: 1 } })
    await vi.advanceTimersByTimeAsync(34_999)
    expect(client.state.get().status).toBe('live')
    await vi.advanceTimersByTimeAsync(1)
    expect(client.state.get()).toMatchObject({ status: 'waiting', code: 4002 })
    server.online()
    await back(server)
    expect(heard).toEqual([]) // it had no cursor yet: that is a resync
  })

  test('heartbeats keep an idle connection alive; a token is renewed before its end', async () => {
    const { server, client } = await listening()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(client.state.get().status).toBe('live')
    expect(server.sessions).toHaveLength(1)
    expect(server.sent.filter(({ type }) => type === 'auth')).toHaveLength(3)
  })

  test('a short token ends with 4004, and the client comes back', async () => {
    const { server, client } = await listening({ authenticate: () => ({ user: '1', expiresInMs: 5_000 }) })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(client.state.get()).toMatchObject({ status: 'waiting', code: 4004 })
    await back(server)
    expect(client.state.get().status).toBe('live')
  })

  test('close lets nobody back in', async () => {
    const { server, client } = await listening()
    server.close()
    await vi.advanceTimersByTimeAsync(70_000)
    expect(server.sessions).toEqual([])
    expect(client.state.get().status).not.toBe('live')
    client.close()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('who sees what', () => {
  const users: FakeServerOptions = { authenticate: (token) => token }

  test('an update that moves a row from one user to another is a leave and an enter', async () => {
    const server = createFakeServer(users)
    const heard: [string, string][] = []
    for (const user of ['siti', 'budi', 'wati']) {
      server.client({ getToken: () => user }).subscribe({ channel: 'stock' }, ({ op }) => heard.push([user, op]))
    }
    await vi.advanceTimersByTimeAsync(0)
    server.emit('stock', { ...level, data: { n: 1 } }, { to: 'siti', was: ['budi'] })
    server.emit('stock', { ...level, data: { n: 1 } }, { to: (user) => user === 'wati' })
    server.emit('stock', { ...level, op: 'delete', data: { n: 1 } }, { to: [], was: 'budi' })
    expect(heard).toEqual([['siti', 'enter'], ['budi', 'leave'], ['wati', 'update'], ['budi', 'delete']])
  })

  test('resync of one user, of one resource', async () => {
    const { server, resyncs } = await listening(users)
    server.resync('stock', 'drift', { user: 'somebody else' })
    server.resync('approvals')
    expect(resyncs).toEqual([])
    server.resync('stock', 'truncated', { resource: 'stock-levels' })
    expect(resyncs).toEqual([{ type: 'resync', channel: 'stock', resource: 'stock-levels', reason: 'truncated' }])
  })

  test('other grants than before: nothing is resumed', async () => {
    let grants = 'before'
    const { server, resyncs } = await listening({ authenticate: () => ({ user: '1', grants }) })
    server.emit('stock', { ...level })
    grants = 'after'
    server.drop()
    await back(server)
    expect(resyncs.map(({ reason }) => reason)).toEqual(['reconnected'])
  })
})

describe('refusals', () => {
  test('of a topic, until it is taken back', async () => {
    const { server, client } = await listening()
    const refused = vi.fn()
    const stop = server.refuse({ channel: 'approvals' }, 'forbidden')
    client.subscribe({ channel: 'approvals' }, () => {}, { onError: refused })
    await server.live()
    expect(refused).toHaveBeenCalledWith(expect.objectContaining({ code: 'forbidden', message: 'refused by the test' }))
    stop()
    server.drop()
    await back(server)
    expect(refused).toHaveBeenCalledTimes(1)
    expect(server.sessions[0]!.subscriptions.size).toBe(2)
  })

  test('of a lease, by the type of its frame', async () => {
    const { server, client } = await listening()
    server.refuse({ type: 'lease.acquire', resource: 'stock-levels' }, 'forbidden')
    const lease = { type: 'lease.acquire', key: 17, ttl_ms: 1000 } as const
    await expect(client.request({ ...lease, resource: 'stock-levels' })).rejects.toMatchObject({ code: 'forbidden' })
    await expect(client.request({ ...lease, resource: 'skus' })).resolves.toMatchObject({ granted: true, fence: 918 })
  })

  test('a bridge without presence, leases and notifications says so', async () => {
    const { client } = await listening({ features: { presence: false, leases: false, notifications: false } })
    const unknown = { code: 'unknown_type' }
    await expect(client.request({ type: 'presence.enter', room: 'r' })).rejects.toMatchObject(unknown)
    await expect(client.request({ type: 'lease.release', resource: 'r', key: 1 })).rejects.toMatchObject(unknown)
    await expect(client.request({ type: 'notifications.list' })).rejects.toMatchObject(unknown)
  })
})

describe('beyond events', () => {
  test('two tabs of one user are one in a room, and gone with the last', async () => {
    const server = createFakeServer({ authenticate: (token) => token })
    const [siti, tab, budi] = ['siti', 'siti', 'budi'].map((user) => server.client({ getToken: () => user }))
    const told: string[] = []
    for (const type of ['presence.joined', 'presence.left'] as const) {
      budi!.listen(type, ({ user }) => told.push(`${user} ${type}`))
    }
    const enter = { type: 'presence.enter', room: 'proposals/17' } as const
    await budi!.request(enter)
    await siti!.request(enter)
    const { users } = await tab!.request(enter)
    expect(users.map(({ user }) => user)).toEqual(['budi', 'siti'])
    siti!.close()
    await server.live()
    expect(told).toEqual(['siti presence.joined'])
    tab!.close()
    await server.live()
    expect(told).toEqual(['siti presence.joined', 'siti presence.left'])
    server.leave('proposals/17', 'nobody')
    expect(told).toHaveLength(2)
  })

  test('a lease is held by one, runs out, and then has a higher fence', async () => {
    const server = createFakeServer({ authenticate: (token) => token })
    const [siti, budi] = ['siti', 'budi'].map((user) => server.client({ getToken: () => user }))
    const lease = { resource: 'stock-levels', key: 17, ttl_ms: 10_000 }
    const ask = { ...lease, type: 'lease.acquire' } as const
    expect(await siti!.request(ask)).toMatchObject({ granted: true, fence: 918 })
    expect(await budi!.request(ask)).toMatchObject({ granted: false, user: 'siti', expires_in_ms: 10_000 })
    await vi.advanceTimersByTimeAsync(9_000)
    expect(await siti!.request({ ...lease, type: 'lease.renew' })).toMatchObject({ granted: true, fence: 918 })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await budi!.request(ask)).toMatchObject({ granted: true, fence: 919 })
    await expect(siti!.request({ ...lease, type: 'lease.renew' })).rejects.toMatchObject({ code: 'lease_lost' })
    await budi!.request({ type: 'lease.release', resource: 'stock-levels', key: '17' })
    expect(await siti!.request(ask)).toMatchObject({ granted: true, fence: 920 })
  })

  test("notifications are one's own, listed in pages, and read", async () => {
    const { server, client } = await listening()
    const events: EventFrame[] = []
    client.subscribe({ channel: 'notifications' }, (event) => events.push(event))
    await server.live()
    const [one, two] = [server.notify('1', { message: 'one' }), server.notify('1', { message: 'two' })]
    server.notify('2', { message: 'of somebody else' })
    expect(events.map(({ message }) => message)).toEqual(['one', 'two'])
    const first = await client.request({ type: 'notifications.list', limit: 1 })
    expect(first).toMatchObject({ items: [{ id: two.id }], unread: 2 })
    const rest = await client.request({ type: 'notifications.list', before: two.id })
    expect(rest.items.map(({ id }) => id)).toEqual([one.id])
    expect(await client.request({ type: 'notifications.read', ids: [one.id] })).toMatchObject({ unread: 1 })
    expect(await client.request({ type: 'notifications.read', all: true })).toMatchObject({ unread: 0 })
  })
})

test('close is the end: no timer is left, so that the test\'s process can end', async () => {
  const server = createFakeServer()
  const client = server.client({ channels: ['stock'] })
  client.connect()
  await server.live()
  server.close()
  expect(client.state.get().status).toBe('waiting')
  expect(vi.getTimerCount()).toBe(0)
})
