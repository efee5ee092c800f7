import { act, renderHook } from '@testing-library/react'
import { expect, test, vi } from 'vitest'
import { RowfeedProvider, useChannel, useClient, useConnection, useEvent } from '../../src/react/index.js'
import { FakeSocket, event } from '../fakesocket.js'
import { open, quietly } from './bench.js'

quietly()

const topic = { channel: 'stock' }

test('a component subscribes once, under StrictMode too, and hears each event once', async () => {
  const page = open()
  const heard = vi.fn()
  const { result } = page.hook(() => useChannel({ channel: 'stock', where: { sku_id: [5] } }, heard))
  expect(result.current).toEqual({ status: 'subscribing' })
  const socket = await page.live()
  expect(socket.of('subscribe')).toHaveLength(1)
  expect(socket.of('unsubscribe')).toEqual([])
  expect(result.current.status).toBe('live')
  page.say(event())
  expect(heard).toHaveBeenCalledTimes(1)
})

test('the activity feed of `rewind` begins once', async () => {
  const page = open()
  page.client.connect()
  const socket = await page.live()
  page.hook(() => useChannel(topic, () => {}, { rewind: 20 }))
  await page.pass()
  expect(socket.sent.filter(({ type }) => type !== 'auth')).toMatchObject([{ type: 'subscribe', rewind: 20 }])
})

test('an equal topic stays, another one replaces it, null pauses, and the newest handler hears', async () => {
  const page = open()
  const heard: string[] = []
  type Props = { key: number | null; as: string }
  const { result, rerender, unmount } = page.hook(
    ({ key, as }: Props) =>
      useChannel(key === null ? null : { channel: 'stock', resource: 'stock-levels', key }, ({ id }) => heard.push(`${as} ${id}`)),
    { key: 17, as: 'one' } as Props,
  )
  const socket = await page.live()
  rerender({ key: 17, as: 'two' })
  await page.pass()
  expect(socket.of('subscribe')).toHaveLength(1)
  page.say(event({ id: 'a' }))
  expect(heard).toEqual(['two a'])

  rerender({ key: 18, as: 'two' })
  expect(result.current.status).toBe('subscribing')
  page.say(event({ id: 'b', resource_id: 17 })) // before the old one has ended on the wire
  await page.pass()
  expect(socket.of('subscribe').map(({ key }) => key)).toEqual([17, 18])
  expect(socket.of('unsubscribe')).toHaveLength(1)

  rerender({ key: null, as: 'two' })
  expect(result.current.status).toBe('idle')
  await page.pass()
  expect(socket.of('unsubscribe')).toHaveLength(2)
  page.say(event({ id: 'c', resource_id: 18 }))
  expect(heard).toEqual(['two a'])
  unmount()
  await page.pass()
  expect(socket.of('unsubscribe')).toHaveLength(2)
})

test('of two components on one topic, one may go; a page that makes way for another is not heard on the wire', async () => {
  const page = open()
  const heard: string[] = []
  const One = ({ as }: { as: string }) => {
    useChannel(topic, () => heard.push(as))
    return null
  }
  const { rerender } = page.show([<One key="a" as="a" />, <One key="b" as="b" />])
  const socket = await page.live()
  page.say(event())
  expect(heard).toEqual(['a', 'b'])
  rerender([<One key="b" as="b" />])
  await page.pass()
  page.say(event())
  expect(heard).toEqual(['a', 'b', 'b'])
  rerender([<One key="c" as="c" />])
  await page.pass()
  page.say(event())
  expect(heard).toEqual(['a', 'b', 'b', 'c'])
  expect(socket.of('subscribe')).toHaveLength(1)
  expect(socket.of('unsubscribe')).toEqual([])
})

test('nothing is handed to what is unmounted, not even before the wire knows', async () => {
  const page = open()
  const heard = vi.fn()
  const { unmount } = page.hook(() => useChannel(topic, heard))
  await page.live()
  unmount()
  page.say(event())
  expect(heard).not.toHaveBeenCalled()
})

test('a refusal is a status, and told once; on the next connection it is asked again', async () => {
  const page = open()
  const told = vi.spyOn(console, 'error').mockImplementation(() => {})
  const { result } = page.hook(() => useChannel(topic))
  await page.pass()
  const socket = page.sockets[0]!
  act(() => socket.welcome())
  const error = { type: 'error', ref: socket.of('subscribe')[0]!.ref, code: 'forbidden', message: 'not yours' } as const
  page.say(error)
  expect(result.current).toEqual({ status: 'refused', error })
  expect(told.mock.calls).toEqual([['rowfeed:', error]])
  expect(page.unhandled).toEqual([])
  await page.again()
  expect(result.current.status).toBe('live')
})

test('onError and onResync are the newest ones; a drop is not live', async () => {
  const page = open()
  const onResync = vi.fn()
  const { result } = page.hook(() => useChannel(topic, undefined, { onResync: (frame) => onResync(frame) }))
  await page.live()
  page.say({ type: 'resync', channel: 'stock', reason: 'drift' })
  expect(onResync).toHaveBeenCalledExactlyOnceWith({ type: 'resync', channel: 'stock', reason: 'drift' })
  act(() => page.sockets[0]!.end(1006))
  expect(result.current.status).toBe('subscribing')
})

test('useEvent: the row first, the whole event second, the newest handler, once under StrictMode', async () => {
  const page = open({ channels: ['stock'] })
  const heard: unknown[] = []
  const { rerender, unmount } = page.hook(
    ({ as }: { as: string }) => useEvent('stock_changed', (data, { op }) => heard.push([as, data.new_quantity, op])),
    { as: 'one' },
  )
  await page.live()
  page.say(event())
  rerender({ as: 'two' })
  page.say(event())
  unmount()
  page.say(event())
  expect(heard).toEqual([['one', 8, 'update'], ['two', 8, 'update']])
})

test('useConnection says what the connection does', async () => {
  const page = open()
  const { result } = page.hook(() => useConnection())
  expect(result.current).toEqual({ state: { status: 'idle' }, isLive: false })
  act(() => page.client.connect())
  await page.live()
  expect(result.current).toEqual({ state: { status: 'live', user: '42', name: 'Siti' }, isLive: true })
})

test('without a provider the message says what to do', () => {
  vi.spyOn(console, 'error').mockImplementation(() => {})
  expect(() => renderHook(() => useClient())).toThrow('put <RowfeedProvider client={client}> around the page')
})

test('a provider with options makes one client, connects it, and closes it when it is gone', async () => {
  const sockets: FakeSocket[] = []
  vi.stubGlobal('WebSocket', class extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols)
      sockets.push(this)
    }
  })
  const pass = () => act(async () => void (await vi.advanceTimersByTimeAsync(0)))
  const { result, unmount } = renderHook(() => useClient(), {
    reactStrictMode: true,
    wrapper: ({ children }) => <RowfeedProvider options={{ url: 'wss://live.example/ws' }}>{children}</RowfeedProvider>,
  })
  await pass()
  expect(sockets).toHaveLength(1)
  const socket = sockets[0]!
  act(() => socket.welcome())
  expect(result.current.state.get().status).toBe('live')
  expect(socket.closedWith).toBeUndefined()
  unmount()
  await pass()
  expect(socket.closedWith).toBe(1000)
  expect(sockets).toHaveLength(1)
  vi.unstubAllGlobals()
})
