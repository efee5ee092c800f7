import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { event, setup } from './fakesocket.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const stock = { channel: 'stock' }

test('connects at the first subscription, authenticates with the first frame, then subscribes', async () => {
  const { client, sockets } = setup()
  expect(client.state.get()).toEqual({ status: 'idle' })
  const seen: string[] = []
  client.state.subscribe((state) => seen.push(state.status))
  client.subscribe(stock, () => {})
  await vi.advanceTimersByTimeAsync(0)
  const one = sockets[0]!
  expect([one.url, one.protocols]).toEqual(['wss://live.example/ws', ['rowfeed.v1']])
  one.open()
  expect(one.sent).toEqual([{ type: 'auth', token: 'a.b.c' }])
  one.welcome()
  expect(one.of('subscribe')).toEqual([{ type: 'subscribe', ref: '1', channel: 'stock' }])
  expect(seen).toEqual(['connecting', 'live'])
  expect(client.state.get()).toEqual({ status: 'live', user: '42', name: 'Siti' })
})

test('without getToken it waits for the welcome that a cookie brings', async () => {
  const bench = setup({ getToken: undefined as never })
  bench.client.connect()
  const socket = await bench.socket()
  socket.welcome()
  expect(socket.sent).toEqual([])
  expect(bench.client.state.get().status).toBe('live')
})

test.each([1006, 1001, 4000, 4001, 4003, 4004])('comes back after close %i', async (code) => {
  const bench = setup()
  bench.client.connect()
  ;(await bench.socket()).welcome()
  bench.sockets[0]!.end(code, 'why')
  expect(bench.client.state.get()).toEqual({ status: 'waiting', attempt: 1, retryInMs: 500, code, reason: 'why' })
  await vi.advanceTimersByTimeAsync(499)
  expect(bench.sockets).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(bench.sockets).toHaveLength(2)
})

test.each([4500, 4501, 4503, 4504, 4505, 4999, 1003, 1007, 1009])('stops after close %i and says so', async (code) => {
  const bench = setup()
  bench.client.connect()
  ;(await bench.socket()).end(code, 'token expired')
  expect(bench.client.state.get()).toEqual({ status: 'stopped', code, reason: 'token expired' })
  bench.client.subscribe(stock, () => {})
  bench.wake()
  await vi.advanceTimersByTimeAsync(600_000)
  expect(bench.sockets).toHaveLength(1)
  bench.client.connect()
  await bench.socket()
  expect(bench.sockets).toHaveLength(2)
})

test('waits longer each time, up to 20 s, and short again after a good connection', async () => {
  const bench = setup()
  bench.client.connect()
  const waits: number[] = []
  for (let i = 0; i < 8; i++) {
    ;(await bench.socket()).end(1006)
    const state = bench.client.state.get()
    if (state.status === 'waiting') waits.push(state.retryInMs)
    await vi.advanceTimersByTimeAsync(20_000)
  }
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000])
  const good = await bench.socket()
  good.welcome()
  await vi.advanceTimersByTimeAsync(5_000)
  good.end(1006)
  expect(bench.client.state.get()).toMatchObject({ retryInMs: 500 })
})

test('a draining node says how long to stay away', async () => {
  const bench = setup()
  bench.client.connect()
  ;(await bench.socket()).end(4000, 'draining; retry_ms=7250')
  expect(bench.client.state.get()).toMatchObject({ status: 'waiting', retryInMs: 7250 })
})

test('silence for 35 s is the end of a connection; a heartbeat is not silence', async () => {
  const bench = setup()
  bench.client.connect()
  const socket = await bench.socket()
  socket.welcome()
  for (let i = 0; i < 3; i++) {
    await vi.advanceTimersByTimeAsync(34_999)
    socket.say({ type: 'heartbeat', cursors: {} })
  }
  expect(bench.client.state.get().status).toBe('live')
  await vi.advanceTimersByTimeAsync(35_000)
  expect(socket.closedWith).toBe(4002)
  expect(bench.client.state.get()).toMatchObject({ status: 'waiting', code: 4002 })
})

test('a handshake that never ends is given up after 35 s', async () => {
  const bench = setup()
  bench.client.connect()
  await vi.advanceTimersByTimeAsync(35_000)
  expect(bench.sockets[0]!.closedWith).toBe(4002)
  expect(bench.client.state.get().status).toBe('waiting')
})

test('auth_expiring asks for a fresh token and sends it on the open socket', async () => {
  const tokens = ['first', 'second']
  const bench = setup({ getToken: async () => tokens.shift()! })
  bench.client.connect()
  const socket = await bench.socket()
  socket.welcome()
  socket.say({ type: 'auth_expiring', in_ms: 60_000 })
  await vi.advanceTimersByTimeAsync(0)
  expect(socket.of('auth').map((frame) => frame.token)).toEqual(['first', 'second'])
  socket.say({ type: 'welcome', user: '42', session: 's-1', expires_in_ms: 300_000, heartbeat_ms: 25_000 })
  expect(socket.of('subscribe')).toEqual([])
  expect(bench.sockets).toHaveLength(1)
})

test('a getToken that fails is told, and tried again', async () => {
  const getToken = vi.fn().mockRejectedValueOnce(new Error('offline')).mockResolvedValue('t')
  const bench = setup({ getToken })
  bench.client.connect()
  await vi.advanceTimersByTimeAsync(0)
  expect(bench.unhandled).toMatchObject([{ message: 'getToken: no token', cause: { message: 'offline' } }])
  await vi.advanceTimersByTimeAsync(500)
  expect(bench.sockets).toHaveLength(1)
})

describe('close', () => {
  test('ends the socket and every timer', async () => {
    const bench = setup()
    bench.client.subscribe(stock, () => {})
    const socket = await bench.socket()
    socket.welcome()
    bench.client.close()
    expect(socket.closedWith).toBe(1000)
    expect(bench.client.state.get()).toEqual({ status: 'idle' })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('while the token is awaited no socket opens', async () => {
    const bench = setup()
    bench.client.connect()
    bench.client.close()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(bench.sockets).toEqual([])
  })

  test('what the dead socket still says is not heard', async () => {
    const bench = setup()
    const heard = vi.fn()
    bench.client.subscribe(stock, heard)
    const socket = await bench.socket()
    socket.welcome()
    bench.client.close()
    socket.say(event())
    socket.end(1006)
    expect(heard).not.toHaveBeenCalled()
    expect(bench.client.state.get()).toEqual({ status: 'idle' })
  })
})

test('waking up ends the wait', async () => {
  const bench = setup()
  bench.client.connect()
  ;(await bench.socket()).end(1006)
  bench.wake()
  await bench.socket()
  expect(bench.sockets).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(bench.sockets).toHaveLength(2) // the wait that was cut short does not open a second one
})

test('an address that is none stops', async () => {
  const bench = setup({
    environment: {
      WebSocket: class {
        constructor() {
          throw new SyntaxError('invalid url')
        }
      } as never,
    },
  })
  bench.client.connect()
  await vi.advanceTimersByTimeAsync(0)
  expect(bench.client.state.get()).toMatchObject({ status: 'stopped', reason: 'SyntaxError: invalid url' })
})
