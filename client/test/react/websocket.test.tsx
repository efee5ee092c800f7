import { act, cleanup, render, renderHook } from '@testing-library/react'
import { StrictMode, useEffect, useState } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { useWebSocket } from '../../src/react/index.js'
import { event } from '../fakesocket.js'
import './bench.js'

const sockets: PlainSocket[] = []

/** A browser's socket, as far as a page sees it, with the far end in the test's hands. */
class PlainSocket extends EventTarget {
  readonly url: string
  closed = false

  constructor(url: string | URL, readonly protocols: string[] = []) {
    super()
    this.url = String(url)
    sockets.push(this)
  }

  close(): void {
    this.closed = true
  }

  open(): void {
    this.dispatchEvent(new Event('open'))
  }

  say(data: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data: typeof data === 'string' ? data : JSON.stringify(data) }))
  }

  end(code: number, reason = ''): void {
    this.dispatchEvent(new CloseEvent('close', { code, reason }))
  }
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', PlainSocket)
  vi.spyOn(Math, 'random').mockReturnValue(1)
  sockets.length = 0
})

afterEach(() => {
  cleanup()
  vi.advanceTimersByTime(0) // what lets go a tick late
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

const pass = (ms = 0) => act(async () => void (await vi.advanceTimersByTimeAsync(ms)))
const last = () => sockets.at(-1)!

/** The analysis's own hook on useWebSocket, and what it shows. */
function useNotifications(): string[] {
  const [notifications, setNotifications] = useState<string[]>([])
  const { socket } = useWebSocket('/ws/notifications/')
  useEffect(() => {
    socket?.addEventListener('message', (e) => {
      const notification = JSON.parse(e.data)
      setNotifications((prev) => [notification.id, ...prev])
    })
  }, [socket])
  return notifications
}

async function shown(): Promise<{ result: { current: string[] }; unmount: () => void }> {
  const hook = renderHook(useNotifications, { reactStrictMode: true })
  await pass()
  return hook
}

test('one socket under StrictMode, to the page\'s own host; it ends with the component', async () => {
  const { result, unmount } = await shown()
  expect(sockets.map(({ url }) => url)).toEqual(['ws://localhost:3000/ws/notifications/'])
  act(() => last().open())
  act(() => last().say(event({ id: 'a' })))
  expect(result.current).toEqual(['a'])
  unmount()
  await pass()
  expect(last().closed).toBe(true)
  last().end(1000)
  await pass(60_000)
  expect(sockets).toHaveLength(1)
})

test('an address with a host stays; isConnected follows the connection', async () => {
  const { result } = renderHook(() => useWebSocket('wss://live.example/ws/stock?x=1'))
  expect(result.current.isConnected).toBe(false)
  await pass()
  expect(last().url).toBe('wss://live.example/ws/stock?x=1')
  act(() => last().open())
  expect(result.current).toEqual({ socket: last(), isConnected: true })
  act(() => last().end(1006))
  expect(result.current.isConnected).toBe(false)
})

test('after a drop another socket goes on from the last cursor, and nothing is shown twice', async () => {
  const { result } = await shown()
  act(() => last().open())
  act(() => last().say(event({ id: 'a', cursor: '7f3a:1' })))
  act(() => last().say(event({ id: 'b' })))
  act(() => last().end(1006))
  await pass(500)
  expect(sockets).toHaveLength(2)
  expect(last().url).toBe('ws://localhost:3000/ws/notifications/?cursor=7f3a%3A1')
  act(() => last().open())
  for (const id of ['b', 'c']) act(() => last().say(event({ id })))
  expect(result.current).toEqual(['c', 'b', 'a'])
})

test('what comes before the page has its listener is not lost, not even over a drop', async () => {
  const seen: string[] = []
  const Page = () => {
    const { socket } = useWebSocket('/ws/stock')
    useEffect(() => {
      socket?.addEventListener('message', ({ data }) => seen.push(JSON.parse(data).id))
    }, [socket])
    return null
  }
  render(<StrictMode><Page /></StrictMode>)
  await pass()
  act(() => {
    last().end(1006)
    vi.advanceTimersByTime(500)
  })
  await act(async () => { // in one turn, before React has a chance
    await vi.advanceTimersByTimeAsync(500)
    last().open()
    last().say(event({ id: 'a', cursor: 'c1' }))
    last().end(1006)
    await vi.advanceTimersByTimeAsync(20_000)
    last().open()
    last().say(event({ id: 'a' }))
    last().say(event({ id: 'b' }))
  })
  await pass()
  expect(last().url).toContain('?cursor=c1')
  expect(seen).toEqual(['a', 'b'])
})

test.each([4003, 4005])('after %i it comes back without a cursor', async (code) => {
  await shown()
  act(() => last().open())
  act(() => last().say(event({ cursor: '7f3a:1' })))
  act(() => last().end(code))
  await pass(500)
  expect(last().url).toBe('ws://localhost:3000/ws/notifications/')
  expect(sockets).toHaveLength(2)
})

test.each([4500, 4501, 4999, 1003, 1007, 1009])('after %i it stays away', async (code) => {
  await shown()
  act(() => last().end(code))
  act(() => void globalThis.dispatchEvent(new Event('online')))
  await pass(60_000)
  expect(sockets).toHaveLength(1)
})

test('waits longer each time, short again after a good connection, and as long as a draining node says', async () => {
  await shown()
  const waits: number[] = []
  const wait = async () => {
    const before = sockets.length
    const since = Date.now()
    while (sockets.length === before) await pass(250)
    waits.push(Date.now() - since)
  }
  for (let i = 0; i < 7; i++) {
    act(() => last().end(1006))
    await wait()
  }
  act(() => last().open())
  await pass(5_000)
  act(() => last().end(1006))
  await wait()
  act(() => last().end(4000, 'draining; retry_ms=7250'))
  await wait()
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 20_000, 500, 7250])
})

test('a handshake that never ends is given up after 35 s', async () => {
  await shown()
  await pass(34_999)
  expect(last().closed).toBe(false)
  await pass(1)
  expect(last().closed).toBe(true)
})

test('the network is back: the wait ends; a socket of before is replaced, with its cursor', async () => {
  const { result } = renderHook(() => useWebSocket('/ws/stock'), { reactStrictMode: true })
  await pass()
  act(() => last().end(1006))
  act(() => void globalThis.dispatchEvent(new Event('online')))
  await pass()
  expect(sockets).toHaveLength(2)
  act(() => last().open())
  act(() => last().say(event({ cursor: 'c2' })))
  act(() => void globalThis.dispatchEvent(new Event('offline')))
  act(() => void globalThis.dispatchEvent(new Event('online')))
  await pass()
  expect([sockets.length, sockets[1]!.closed, result.current.isConnected]).toEqual([3, true, false])
  expect(last().url).toContain('?cursor=c2')
  act(() => sockets[1]!.end(1006))
  await pass(10_000)
  expect(sockets).toHaveLength(3)
})

test('a token is fresh for each connection, beside rowfeed.plain; one that fails is asked for again', async () => {
  const told = vi.spyOn(console, 'error').mockImplementation(() => {})
  const getToken = vi.fn().mockResolvedValueOnce('t1').mockRejectedValueOnce(new Error('offline')).mockResolvedValueOnce('t2')
  renderHook(() => useWebSocket('/ws/stock', { getToken }), { reactStrictMode: true })
  await pass()
  expect(last().protocols).toEqual(['rowfeed.plain', 'bearer.t1'])
  act(() => last().end(4004))
  await pass(500)
  expect(sockets).toHaveLength(1)
  await pass(1_000)
  expect(last().protocols).toEqual(['rowfeed.plain', 'bearer.t2'])
  expect(told.mock.calls).toEqual([['rowfeed:', expect.objectContaining({ message: 'offline' })]])
})

test('a token that never comes is asked for again', async () => {
  const told = vi.spyOn(console, 'error').mockImplementation(() => {})
  const getToken = vi.fn<() => Promise<string>>().mockReturnValueOnce(new Promise(() => {})).mockResolvedValueOnce('t2')
  renderHook(() => useWebSocket('/ws/stock', { getToken }))
  await pass(34_999)
  expect(getToken).toHaveBeenCalledTimes(1)
  await pass(501)
  expect(last().protocols).toEqual(['rowfeed.plain', 'bearer.t2'])
  expect(told.mock.calls).toEqual([['rowfeed:', expect.objectContaining({ message: 'getToken: no answer in 35 s' })]])
})

test('what is none of the bridge\'s events passes as it is', async () => {
  const seen: unknown[] = []
  const { result } = renderHook(() => useWebSocket('/ws/chat'))
  await pass()
  result.current.socket!.addEventListener('message', ({ data }) => seen.push(data))
  act(() => last().open())
  for (let i = 0; i < 2; i++) for (const text of ['hello', 'null', '{"id":"1"}']) act(() => last().say(text))
  expect(seen).toEqual(['hello', 'null', '{"id":"1"}', 'hello', 'null', '{"id":"1"}'])
})

test('another address is another socket', async () => {
  const { rerender } = renderHook(({ url }) => useWebSocket(url), { initialProps: { url: '/ws/a' } })
  await pass()
  rerender({ url: '/ws/b' })
  await pass()
  expect(sockets.map(({ url, closed }) => [url, closed])).toEqual([
    ['ws://localhost:3000/ws/a', true],
    ['ws://localhost:3000/ws/b', false],
  ])
})
