import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { isEvent, parseFrame } from '../src/index.js'
import type { ClientFrame } from '../src/index.js'
import { golden, setup } from './fakesocket.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const all = golden()
const fromClient = all.filter(({ from }) => from === 'client')
const fromServer = all.filter(({ from }) => from === 'server')

test('there are golden frames of each kind', () => {
  const types = (frames: typeof all) => [...new Set(frames.map(({ frame }) => frame.type))].sort()
  expect(types(fromClient)).toEqual(['auth', 'ping', 'subscribe', 'unsubscribe'])
  expect(types(fromServer)).toEqual(
    expect.arrayContaining(['auth_expiring', 'error', 'heartbeat', 'notification', 'pong', 'resync', 'stock_changed']),
  )
  expect(all).toHaveLength(fromClient.length + fromServer.length)
})

test.each(fromServer)('$name is read whole', ({ name, frame }) => {
  const parsed = parseFrame(JSON.stringify(frame))
  expect(parsed).toEqual(frame)
  expect(parsed && isEvent(parsed)).toBe(name.startsWith('event-'))
})

test('each frame of the client is written as the bridge reads it', async () => {
  const frames = fromClient.map(({ frame }) => frame as ClientFrame)
  const auth = frames.find((frame) => frame.type === 'auth')!
  const bench = setup({ getToken: () => auth.token })
  const wanted = frames.filter((frame) => frame.type === 'subscribe')
  const stops = wanted.map(({ type, ref, cursor, rewind, ...topic }) =>
    bench.client.subscribe(topic, () => {}, rewind === undefined ? {} : { rewind }),
  )
  const socket = await bench.socket()
  socket.welcome()
  stops[0]!()
  expect(socket.of('auth')).toEqual([auth])
  const fresh = wanted.map(({ cursor, ...frame }, i) => ({ ...frame, ref: String(i + 1) }))
  expect(socket.of('subscribe')).toEqual(fresh)
  expect(socket.of('unsubscribe')).toEqual([{ type: 'unsubscribe', ref: String(wanted.length + 1), subscription: '1' }])
  expect(frames).toContainEqual(expect.objectContaining({ type: 'unsubscribe', subscription: '1' }))
})

test('a cursor is given back as the bridge reads it', async () => {
  const wanted = fromClient.map(({ frame }) => frame as ClientFrame)
  const resumed = wanted.find((frame) => frame.type === 'subscribe' && frame.cursor !== undefined)
  if (resumed?.type !== 'subscribe') throw new Error('no golden frame with a cursor')
  const { type, ref, cursor, rewind, ...topic } = resumed
  const bench = setup()
  bench.client.subscribe(topic, () => {})
  const first = await bench.socket()
  first.welcome()
  first.say({ type: 'subscribed', ref: '1' })
  first.say({ type: 'heartbeat', cursors: { [topic.channel]: cursor! } })
  first.end(1006)
  await vi.advanceTimersByTimeAsync(20_000)
  const second = await bench.socket()
  second.welcome()
  expect(second.of('subscribe')).toEqual([{ ...resumed, ref: '1' }])
})

test.each([
  '',
  'null',
  '[]',
  '"welcome"',
  '{}',
  '{"type":1}',
  '{"type":"toString"}',
  '{"type":"something_newer","ref":"1"}',
  '{"type":"welcome","user":42}',
  '{"type":"resync","reason":"drift"}',
  '{"type":"heartbeat","cursors":{"stock":1}}',
  '{"type":"stock_changed","op":"update","id":"1"}',
  '{"type":"stock_changed","op":"upsert","id":"1","channel":"c","resource":"r","resource_id":1,"at":"","txid":"1"}',
])('%s is none of our frames', (text) => {
  expect(parseFrame(text)).toBeUndefined()
})

test('binary is none of our frames', () => {
  expect(parseFrame(new ArrayBuffer(2))).toBeUndefined()
})
