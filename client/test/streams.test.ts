import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createClient } from '../src/index.js'
import type { Client, ClientOptions, ConnectionState, EventFrame } from '../src/index.js'
import { event } from './fakesocket.js'

// Server-Sent Events by real HTTP; the far end is the test's.

interface Call {
  request: IncomingMessage
  response: ServerResponse
  wanted: { ref: string; channel: string; cursor?: string; rewind?: number }[]
  /** Sends frames; the first make the stream begin. */
  say(...frames: object[]): void
  gone: Promise<unknown>
}

let server: Server
let calls: Call[]
let waiting: ((call: Call) => void)[]
let clients: Client[]

beforeEach(async () => {
  calls = []
  waiting = []
  clients = []
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (part) => (body += String(part)))
    request.on('end', () => {
      const call: Call = {
        request,
        response,
        wanted: (JSON.parse(body) as { subscriptions: Call['wanted'] }).subscriptions,
        say: (...frames) => void response.write(frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join('')),
        gone: once(response, 'close'),
      }
      const next = waiting.shift()
      if (next) next(call)
      else calls.push(call)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  for (const client of clients) client.close()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

/** The next request that was not looked at yet. */
function nextCall(): Promise<Call> {
  const call = calls.shift()
  return call ? Promise.resolve(call) : new Promise((resolve) => waiting.push(resolve))
}

const errors: unknown[] = []

function setup(options: Partial<ClientOptions> = {}): Client {
  errors.length = 0
  const client = createClient({
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`,
    getToken: () => 'a.b.c',
    onError: (error) => errors.push(error),
    ...options,
    environment: { WebSocket: undefined, random: () => 0, ...options.environment },
  })
  clients.push(client)
  return client
}

function until<S extends ConnectionState['status']>(
  client: Client,
  status: S,
): Promise<Extract<ConnectionState, { status: S }>> {
  return new Promise((resolve) => {
    const look = (state: ConnectionState): void => {
      if (state.status === status) resolve(state as Extract<ConnectionState, { status: S }>)
    }
    client.state.subscribe(look)
    look(client.state.get())
  })
}

const welcome = (grants = 'g1') =>
  ({ type: 'welcome', user: '42', session: 's', grants, expires_in_ms: 300_000, heartbeat_ms: 25_000 })
const subscribed = (ref: string, resumed = false) => ({ type: 'subscribed', ref, resumed })

/** A client that hears `stock` by its second stream; what it was told is in heard. */
async function hearing(options: Partial<ClientOptions> = {}) {
  const heard: string[] = []
  const client = setup(options)
  const hear = (channel: string, rewind?: number) =>
    client.subscribe({ channel }, ({ id }) => heard.push(id), {
      onLive: () => heard.push(`${channel} live`),
      onResync: ({ reason }) => heard.push(`${channel} ${reason}`),
      onError: ({ code }) => heard.push(`${channel} ${code}`),
      ...(rewind !== undefined && { rewind }),
    })
  const stop = hear('stock')
  const first = await nextCall()
  first.say(welcome())
  const second = await nextCall()
  return { client, heard, hear, stop, first, second }
}

/** Waits for what comes last, so that all before it has come. */
async function heardOf(heard: string[], last: string): Promise<string[]> {
  await expect.poll(() => heard.at(-1)).toBe(last)
  return heard.splice(0)
}

test('says who it is with an empty list, then subscribes, and closes the first when the second has begun', async () => {
  const { client, heard, first, second } = await hearing()
  const { method, url, headers } = first.request
  expect([method, url, headers.authorization, first.wanted]).toEqual(['POST', '/sse', 'Bearer a.b.c', []])
  expect(client.state.get()).toEqual({ status: 'live', user: '42', transport: 'sse' })
  expect(second.wanted).toEqual([{ ref: '1', channel: 'stock' }])
  expect(first.response.closed).toBe(false)
  const one = event()
  second.say(welcome(), subscribed('1'), one)
  await first.gone
  expect(await heardOf(heard, one.id)).toEqual(['stock live', one.id])
})

test('another subscription is a new stream from the cursors on; what the old one still says comes by the new', async () => {
  const { client, heard, hear, second } = await hearing()
  const [one, two] = [event({ cursor: '7f3a:1' }), event()]
  second.say(welcome(), subscribed('1'), one)
  await heardOf(heard, one.id)
  hear('approvals')
  hear('activity', 5)
  client.subscribe({ channel: 'stock', key: 17 }, ({ id }) => heard.push(`keyed ${id}`))
  const third = await nextCall() // one for three
  expect(third.wanted).toEqual([
    { ref: '2', channel: 'approvals' },
    { ref: '3', channel: 'activity', rewind: 5 },
    { ref: '4', channel: 'stock', key: 17, cursor: '7f3a:1' },
    { ref: '1', channel: 'stock', cursor: '7f3a:1' },
  ])
  second.say(two)
  third.say(welcome(), subscribed('2'), subscribed('3'), subscribed('4', true), subscribed('1', true), one, two)
  await second.gone
  const told = await heardOf(heard, `keyed ${two.id}`)
  expect(told).toEqual(['approvals live', 'activity live', `keyed ${one.id}`, two.id, `keyed ${two.id}`])
  expect(calls).toEqual([])
})

test('without a cursor to go on from the application is told', async () => {
  const { heard, hear, second } = await hearing()
  second.say(welcome(), subscribed('1'))
  await heardOf(heard, 'stock live')
  hear('approvals')
  const third = await nextCall()
  third.say(welcome(), subscribed('2'), subscribed('1'))
  expect(await heardOf(heard, 'stock reconnected')).toEqual(['approvals live', 'stock reconnected'])
})

test('the last one who stops leaves a stream without subscriptions, which still says that it lives', async () => {
  const { client, heard, stop, second } = await hearing()
  second.say(welcome(), subscribed('1'))
  await heardOf(heard, 'stock live')
  stop()
  const third = await nextCall()
  expect(third.wanted).toEqual([])
  third.say(welcome())
  await second.gone
  expect(client.state.get().status).toBe('live')
})

test('a fresh token is a new stream', async () => {
  const tokens = ['first', 'second']
  const { heard, second } = await hearing({ getToken: () => tokens.shift()! })
  second.say(welcome(), subscribed('1'), event({ cursor: '7f3a:1' }), { type: 'auth_expiring', in_ms: 60_000 })
  const third = await nextCall()
  expect(third.request.headers.authorization).toBe('Bearer second')
  expect(third.wanted).toEqual([{ ref: '1', channel: 'stock', cursor: '7f3a:1' }])
  third.say(welcome(), subscribed('1', true), event({ id: 'last' }))
  await heardOf(heard, 'last')
})

test('other grants than the stream before had: it begins anew, and the application is told', async () => {
  const { heard, hear, second } = await hearing()
  second.say(welcome(), subscribed('1'), event({ id: 'one', cursor: '7f3a:1' }))
  await heardOf(heard, 'one')
  hear('approvals')
  ;(await nextCall()).say(welcome('g2'))
  ;(await nextCall()).say(welcome('g2'))
  const fresh = await nextCall()
  expect(fresh.wanted).toEqual([
    { ref: '1', channel: 'stock' },
    { ref: '2', channel: 'approvals' },
  ])
  fresh.say(welcome('g2'), subscribed('1'), subscribed('2'))
  expect(await heardOf(heard, 'approvals live')).toEqual(['stock live', 'stock reconnected', 'approvals live'])
})

test('a stream that ends is lost, and the next one goes on', async () => {
  const { client, heard, second } = await hearing()
  second.say(welcome(), subscribed('1'), event({ id: 'one', cursor: '7f3a:1' }))
  await heardOf(heard, 'one')
  second.response.end()
  expect(await until(client, 'waiting')).toMatchObject({ code: 1006 })
  ;(await nextCall()).say(welcome())
  expect((await nextCall()).wanted).toEqual([{ ref: '1', channel: 'stock', cursor: '7f3a:1' }])
})

test('event: close has the code and the reason', async () => {
  const { client, second } = await hearing()
  second.say(welcome())
  second.response.write('event: close\ndata: {"code":4501,"reason":"user is deactivated"}\n\n')
  expect(await until(client, 'stopped')).toEqual({ status: 'stopped', code: 4501, reason: 'user is deactivated' })
  await second.gone
})

test('a refused subscription is not asked for again', async () => {
  const { client, heard, hear, second } = await hearing()
  second.say(welcome(), { type: 'error', ref: '1', code: 'unknown_channel', message: 'no channel stock' })
  await heardOf(heard, 'stock unknown_channel')
  hear('approvals')
  expect((await nextCall()).wanted).toEqual([{ ref: '2', channel: 'approvals' }])
  expect(client.state.get().status).toBe('live')
})

test('what a stream can not carry is refused', async () => {
  const { client, second } = await hearing()
  second.say(welcome(), subscribed('1'))
  const request = client.request({ type: 'presence.enter', room: 'grant-proposals/17' })
  await expect(request).rejects.toMatchObject({ code: 'unsupported_transport' })
})

test.each([
  [401, {}, 'stopped', 4501],
  [403, {}, 'stopped', 4503],
  [413, {}, 'stopped', 1009],
  [405, {}, 'stopped', 4505],
  [429, { 'Retry-After': '7' }, 'waiting', 1013],
  [503, { 'Retry-After': '7' }, 'waiting', 1013],
  [500, {}, 'waiting', 1006],
  [404, {}, 'waiting', 1006],
] as const)('HTTP %i %o is %s, %i', async (status, headers, expected, code) => {
  const client = setup()
  client.connect()
  const { response } = await nextCall()
  response.writeHead(status, headers).end(JSON.stringify({ error: 'a_word', message: 'in words' }))
  const state = await until(client, expected)
  expect(state).toMatchObject({ code, reason: expect.stringContaining('in words') as string })
  if ('retryInMs' in state) expect(state.retryInMs).toBe(code === 1013 ? 7000 : 0)
})

test('an error that is not in the words of the bridge is a proxy, and no verdict', async () => {
  const client = setup()
  client.connect()
  ;(await nextCall()).response.writeHead(403).end('<h1>Blocked</h1>')
  expect(await until(client, 'waiting')).toMatchObject({ code: 1006, reason: 'HTTP 403' })
})

test('events that were cut anywhere, and in the middle of a letter, are whole', async () => {
  const { client, second } = await hearing()
  const names: unknown[] = []
  client.subscribe({ channel: 'stock' }, ({ data }: EventFrame) => names.push(data?.name))
  const text = Buffer.from(`data: ${JSON.stringify(event({ data: { name: 'Bogør — 12 €' } }))}\n\n`)
  second.say(welcome(), subscribed('1'))
  for (let at = 0; at < text.length; at += 7) {
    await new Promise((done) => second.response.write(text.subarray(at, at + 7), done))
  }
  await expect.poll(() => names).toEqual(['Bogør — 12 €'])
})

test('many subscriptions are one stream', async () => {
  const { client, second } = await hearing()
  second.say(welcome(), subscribed('1'))
  for (let key = 0; key < 100; key++) client.subscribe({ channel: 'stock', resource: 'skus', key }, () => {})
  expect((await nextCall()).wanted).toHaveLength(101)
})

test('subscriptions that change before a stream is answered wait: each stream gets to say what it has', async () => {
  const { heard, hear, second } = await hearing()
  second.say(welcome(), subscribed('1'), event({ id: 'one', cursor: '7f3a:1' }))
  await heardOf(heard, 'one')
  hear('approvals')
  const third = await nextCall()
  hear('activity') // before the third has begun
  third.say(welcome(), subscribed('2'))
  await heardOf(heard, 'approvals live')
  hear('orders') // before it has answered all
  third.say(event({ id: 'two' }), subscribed('1', true))
  const fourth = await nextCall()
  expect(await heardOf(heard, 'two')).toEqual(['two'])
  expect(fourth.wanted.map(({ channel }) => channel)).toEqual(['activity', 'orders', 'stock', 'approvals'])
  fourth.say(welcome(), ...['3', '4', '1', '2'].map((ref) => subscribed(ref, true)), event({ id: 'last' }))
  await expect.poll(() => heard).toContain('last')
  expect(calls).toEqual([])
})

test('who subscribes again, to a channel that nobody listened to meanwhile, does not go on from where that ended', async () => {
  const { heard, hear, stop, second } = await hearing()
  second.say(welcome(), subscribed('1'), event({ id: 'one', cursor: '7f3a:1' }))
  await heardOf(heard, 'one')
  stop()
  const third = await nextCall()
  third.say(welcome())
  await second.gone
  hear('stock')
  expect((await nextCall()).wanted).toEqual([{ ref: '3', channel: 'stock' }])
})
