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

describe('a doubtful connection', () => {
  test('after a sleep in which nothing was heard is dropped, and made anew at once', async () => {
    const bench = setup()
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    vi.setSystemTime(Date.now() + 3_600_000) // the clock went on, the timers did not
    await vi.advanceTimersByTimeAsync(5_000)
    expect(socket.closedWith).toBe(4002)
    expect(bench.sockets).toHaveLength(2)
  })

  test('is dropped when the page is woken, without waiting for a timer', async () => {
    const bench = setup()
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    vi.setSystemTime(Date.now() + 60_000)
    bench.wake()
    expect(socket.closedWith).toBe(4002)
    await bench.socket()
    expect(bench.sockets).toHaveLength(2)
  })

  test('has 5 s to answer a ping when the network or the page comes back', async () => {
    const bench = setup()
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    await vi.advanceTimersByTimeAsync(20_000)
    bench.wake()
    expect(socket.of('ping')).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(4_999)
    socket.say({ type: 'pong' })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(bench.client.state.get().status).toBe('live')
    bench.wake(true) // the browser says that it is offline
    await vi.advanceTimersByTimeAsync(5_000)
    expect(bench.client.state.get()).toMatchObject({ status: 'waiting', code: 4002 })
  })

  test('being offline does not end the wait', async () => {
    const bench = setup()
    bench.client.connect()
    ;(await bench.socket()).end(1006)
    bench.wake(true)
    await vi.advanceTimersByTimeAsync(499)
    expect(bench.sockets).toHaveLength(1)
  })

  test('a clock that is put back drops nothing, and silence still counts', async () => {
    const bench = setup()
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    vi.setSystemTime(Date.now() - 3_600_000)
    await vi.advanceTimersByTimeAsync(34_000)
    expect(bench.client.state.get().status).toBe('live')
    await vi.advanceTimersByTimeAsync(6_000)
    expect(bench.client.state.get().status).toBe('waiting')
  })
})

describe('the token', () => {
  test('is renewed by the own clock where the bridge does not ask, and the renewal renewed', async () => {
    const tokens = ['first', 'second', 'third']
    const bench = setup({ getToken: () => tokens.shift()! })
    bench.client.connect()
    const socket = await bench.socket()
    const beat = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 5_000) {
        await vi.advanceTimersByTimeAsync(5_000)
        socket.say({ type: 'heartbeat', cursors: {} })
      }
    }
    socket.welcome()
    await beat(265_000)
    expect(socket.of('auth')).toHaveLength(1)
    await beat(10_000)
    expect(socket.of('auth').map(({ token }) => token)).toEqual(['first', 'second'])
    socket.say({ type: 'welcome', user: '42', session: 's-1', expires_in_ms: 60_000, heartbeat_ms: 25_000 })
    await beat(50_000)
    expect(socket.of('auth').map(({ token }) => token)).toEqual(['first', 'second', 'third'])
    await beat(60_000)
    expect(socket.of('auth')).toHaveLength(3)
  })

  test('is asked for again where getToken failed to renew it', async () => {
    const getToken = vi.fn().mockResolvedValue('second')
    getToken.mockResolvedValueOnce('first').mockRejectedValueOnce(new Error('502'))
    const bench = setup({ getToken })
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    socket.say({ type: 'auth_expiring', in_ms: 60_000 })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(bench.unhandled).toMatchObject([{ message: 'getToken: no token', cause: { message: '502' } }])
    expect(socket.of('auth').map(({ token }) => token)).toEqual(['first', 'second'])
  })

  test('that never comes is given up, told, and asked for again', async () => {
    const getToken = vi.fn().mockReturnValueOnce(new Promise(() => {})).mockResolvedValue('t')
    const bench = setup({ getToken })
    bench.client.connect()
    await vi.advanceTimersByTimeAsync(35_000)
    expect(bench.unhandled).toMatchObject([{ message: 'getToken: no token', cause: { message: 'no answer in 35 s' } }])
    await vi.advanceTimersByTimeAsync(500)
    expect(bench.sockets).toHaveLength(1)
    ;(await bench.socket()).welcome()
    expect(bench.client.state.get().status).toBe('live')
  })
})

test('a bridge that is too busy says how long to stay away, if only by 1013', async () => {
  const bench = setup()
  bench.client.connect()
  ;(await bench.socket()).end(1013, 'database is away; retry_ms=3000')
  expect(bench.client.state.get()).toMatchObject({ status: 'waiting', retryInMs: 3000 })
})

describe('where no WebSocket gets through', () => {
  /** A bridge that can only be reached by fetch, or not at all; it counts the requests. */
  function network() {
    const stream = undefined as ReadableStreamDefaultController<Uint8Array> | undefined
    const wire = { open: true, requests: 0, stream }
    const text = 'data: {"type":"welcome","user":"42","session":"s","expires_in_ms":0,"heartbeat_ms":1000000000}\n\n'
    const fetch = async (): Promise<Response> => {
      wire.requests++
      if (!wire.open) throw new TypeError('fetch failed')
      return new Response(
        new ReadableStream<Uint8Array>({
          start(stream) {
            wire.stream = stream
            stream.enqueue(new TextEncoder().encode(text))
          },
        }),
      )
    }
    return { wire, environment: { fetch: fetch as typeof globalThis.fetch } }
  }

  /** Two WebSockets that get nowhere. */
  async function blocked() {
    const { wire, environment } = network()
    const bench = setup({ environment })
    bench.client.connect()
    for (let i = 0; i < 2; i++) {
      ;(await bench.socket()).end(1006)
      await vi.advanceTimersByTimeAsync(1_000)
    }
    return { wire, bench }
  }

  const transport = ({ client }: ReturnType<typeof setup>) => client.state.get()

  test('the third attempt is a stream, and it stays with that', async () => {
    const { wire, bench } = await blocked()
    await vi.waitFor(() => expect(transport(bench)).toEqual({ status: 'live', user: '42', transport: 'sse' }))
    expect(bench.sockets).toHaveLength(3) // beside it: perhaps the bridge was away just then
    bench.sockets[2]!.end(1006)
    wire.stream!.close()
    await vi.waitFor(() => expect(transport(bench).status).toBe('waiting'))
    await vi.advanceTimersByTimeAsync(20_000)
    await vi.waitFor(() => expect(transport(bench).status).toBe('live'))
    expect([bench.sockets.length, wire.requests]).toEqual([3, 2])
  })

  test('it tries a WebSocket at once and now and then, and goes over to it when it is welcomed there', async () => {
    const { bench } = await blocked()
    await vi.waitFor(() => expect(transport(bench).status).toBe('live'))
    const [, , first] = bench.sockets
    first!.open() // opened, but nothing gets through
    await vi.advanceTimersByTimeAsync(35_000)
    expect(bench.sockets).toHaveLength(4)
    expect(first!.closedWith).toBe(1000)
    bench.sockets[3]!.end(1006)
    await vi.advanceTimersByTimeAsync(65_000)
    expect(bench.sockets).toHaveLength(5)
    expect(transport(bench)).toMatchObject({ status: 'live', transport: 'sse' })
    bench.client.subscribe(stock, () => {})
    const states: string[] = []
    bench.client.state.subscribe(({ status }) => states.push(status))
    bench.sockets[4]!.welcome()
    expect(states).toEqual(['live'])
    expect(transport(bench)).toEqual({ status: 'live', user: '42', name: 'Siti' })
    expect(bench.sockets[4]!.sent).toEqual([
      { type: 'auth', token: 'a.b.c' },
      { type: 'subscribe', ref: '1', channel: 'stock' },
    ])
    bench.sockets[4]!.end(1006)
    await vi.advanceTimersByTimeAsync(5_000)
    await vi.waitFor(() => expect(transport(bench)).toMatchObject({ transport: 'sse' }))
    expect(bench.sockets).toHaveLength(5) // and not again at once
  })

  test('a WebSocket that is cut again and again has not got through either; one that lives has', async () => {
    const { environment } = network()
    const bench = setup({ environment })
    bench.client.connect()
    const cut = async (after: number) => {
      const socket = await bench.socket()
      socket.welcome()
      await vi.advanceTimersByTimeAsync(after)
      socket.end(1006)
      await vi.advanceTimersByTimeAsync(5_000)
    }
    for (const after of [100, 5_000, 100, 100]) await cut(after)
    await vi.waitFor(() => expect(transport(bench)).toMatchObject({ transport: 'sse' }))
    bench.client.close()
    expect(bench.sockets.at(-1)!.closedWith).toBe(1000) // also the one that was tried beside
  })

  test('a WebSocket without a welcome for 15 s has got nowhere', async () => {
    const { environment } = network()
    const bench = setup({ environment })
    bench.client.connect()
    await vi.advanceTimersByTimeAsync(15_500 + 16_000)
    await vi.waitFor(() => expect(transport(bench)).toMatchObject({ transport: 'sse' }))
    expect(bench.sockets).toHaveLength(3)
  })

  test('where nothing gets through it tries both in turn', async () => {
    const { wire, environment } = network()
    wire.open = false
    const bench = setup({ environment })
    const tried: string[] = []
    bench.client.connect()
    while (tried.length < 6) {
      const { sockets } = bench
      const before = [sockets.length, wire.requests]
      await vi.waitFor(() => expect([sockets.length, wire.requests]).not.toEqual(before))
      tried.push(sockets.length > before[0]! ? 'socket' : 'stream')
      if (sockets.length > before[0]!) sockets.at(-1)!.end(1006)
      await vi.waitFor(() => expect(transport(bench).status).toBe('waiting'))
      const state = transport(bench)
      if (state.status === 'waiting') await vi.advanceTimersByTimeAsync(state.retryInMs - 200)
    }
    expect(tried).toEqual(['socket', 'socket', 'stream', 'socket', 'stream', 'socket'])
  })

  test('without fetch and WebSocket it says what is missing', async () => {
    const bench = setup({ environment: { WebSocket: undefined } })
    bench.client.connect()
    await vi.advanceTimersByTimeAsync(0)
    const reason = expect.stringContaining('environment.WebSocket') as string
    expect(bench.client.state.get()).toMatchObject({ status: 'stopped', reason })
  })
})

test('sends 40 frames a second: the bridge drops what is more than it takes', async () => {
  const bench = setup()
  for (let key = 0; key < 100; key++) bench.client.subscribe({ channel: 'stock', resource: 'skus', key }, () => {})
  const socket = await bench.socket()
  socket.welcome()
  expect(socket.of('subscribe')).toHaveLength(40)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(socket.of('subscribe')).toHaveLength(80)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(socket.of('subscribe').map(({ key }) => key)).toEqual([...Array(100).keys()])
  bench.client.close()
  expect(vi.getTimerCount()).toBe(0)
})

describe('what waits to be sent', () => {
  async function many(bench = setup()) {
    for (let key = 0; key < 100; key++) bench.client.subscribe({ channel: 'stock', resource: 'skus', key }, () => {})
    const socket = await bench.socket()
    socket.welcome()
    return { bench, socket }
  }

  test('is not for the next connection: each topic is asked for there once, after the token', async () => {
    const { bench, socket } = await many()
    socket.end(4000)
    await vi.advanceTimersByTimeAsync(500)
    const next = await bench.socket()
    await vi.advanceTimersByTimeAsync(300)
    expect(next.sent).toEqual([]) // a real one throws where it is not open yet
    next.welcome()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(next.sent[0]!.type).toBe('auth')
    expect(next.of('subscribe').map(({ key }) => key)).toEqual([...Array(100).keys()])
  })

  test('goes on with the answers where timers sleep', async () => {
    const sleepy = (run: () => void, ms: number) => setTimeout(run, Math.max(ms, ms && 60_000))
    const { socket } = await many(setup({ environment: { setTimeout: sleepy } }))
    for (let said = 0; said < 100 && socket.of('subscribe').length < 100; said++) {
      await vi.advanceTimersByTimeAsync(50)
      socket.say({ type: 'subscribed', ref: '1' })
    }
    expect(socket.of('subscribe')).toHaveLength(100)
  })
})

test('closed by who hears that it connects, it stays closed', async () => {
  const getToken = vi.fn(() => 'a.b.c')
  const bench = setup({ getToken })
  bench.client.connect()
  ;(await bench.socket()).end(1006)
  bench.client.state.subscribe(({ status }) => status === 'connecting' && bench.client.close())
  const later: string[] = []
  bench.client.state.subscribe(({ status }) => later.push(status))
  await vi.advanceTimersByTimeAsync(120_000)
  expect(bench.client.state.get()).toEqual({ status: 'idle' })
  expect([bench.sockets.length, getToken.mock.calls.length, vi.getTimerCount()]).toEqual([1, 1, 0])
  expect(later.at(-1)).toBe('idle')
})
