import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { parseFrame } from '../src/index.js'
import type { EventFrame, SocketLike } from '../src/index.js'
import { createFakeServer } from '../src/testing/index.js'
import type { FakeServer, FakeServerOptions, FakeUser, PartialEvent, Seen } from '../src/testing/index.js'
import { golden } from './fakesocket.js'
import type { Golden } from './fakesocket.js'

beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-11-23T08:15:02.114Z') }))
afterEach(() => void vi.useRealTimers())

type Frame = Record<string, any>

const siti = { user: '42', name: 'Siti Rahma', grants: '7ef673f7df5457a101ab521ec9e2e8e3' }
const ahead = golden('../../../client/test/testdata/wire/') // of what the bridge does not send yet
const wire = new Map([...golden('control/'), ...golden().filter(({ name }) => name.startsWith('event-')), ...ahead]
  .map((one) => [one.name, one.frame as Frame]))

/** A connection as it is on the wire, authenticated. */
interface Line {
  server: FakeServer
  heard: Frame[]
  /** Sends a frame, and gives the last that was heard after it. */
  ask(frame: Frame | undefined): Promise<Frame | undefined>
}

const turn = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0)

async function join(server: FakeServer, token = 'siti'): Promise<Line> {
  const socket: SocketLike = new server.environment.WebSocket!('wss://fake.example/ws', ['rowfeed.v1'])
  const heard: Frame[] = []
  socket.onmessage = ({ data }: { data: string }) => heard.push(JSON.parse(data) as Frame)
  await turn()
  const ask = async (frame: Frame | undefined): Promise<Frame | undefined> => {
    socket.send(JSON.stringify(frame))
    await turn()
    return heard.at(-1)
  }
  await ask({ type: 'auth', token })
  return { server, heard, ask }
}

function connect(options: FakeServerOptions = {}): Promise<Line> {
  const budi = { user: '7', name: 'Budi' }
  const authenticate = (token: string): FakeUser => (token === 'budi' ? budi : siti)
  return join(createFakeServer({ authenticate, ...options }))
}

async function after(frame: Frame | undefined): Promise<Line> {
  const line = await connect()
  await line.ask(frame)
  return line
}

const room = 'grant-proposals/17'
const frame = (name: string): Frame | undefined => wire.get(`client-${name}`)
const channel = { type: 'subscribe', ref: '1', channel: 'stock' }

/** Siti, in the room, and what Budi asks there, who has come in with nothing to say, is heard by her. */
async function beside(asked: Frame | undefined): Promise<Frame | undefined> {
  const { server, heard } = await after(frame('presence-enter'))
  const budi = await join(server, 'budi')
  await budi.ask({ type: 'presence.enter', ref: '1', room })
  await budi.ask(asked)
  return heard.at(-1)
}

/** How each control frame of the bridge comes about. */
const scripts: Record<string, () => Promise<Frame | undefined>> = {
  'server-welcome': async () => ({ ...(await connect()).heard.at(-1), session: 's-5f0c' }),
  'server-pong': async () => (await connect()).ask(frame('ping')),
  'server-subscribed': async () => (await connect()).ask(channel),
  'server-subscribed-resumed': async () => {
    const { server, heard, ask } = await after(channel)
    server.emit('stock', { type: 'stock_changed', resource: 'stock-levels' })
    return ask({ ...channel, ref: '4', cursor: heard.at(-1)!.cursor })
  },
  'server-unsubscribed': async () => (await after(channel)).ask(frame('unsubscribe')),
  'server-error': async () => {
    const { ask } = await connect({ channels: { stock: { 'stock-levels': ['sku_id'] } } })
    return ask({ ...frame('subscribe'), where: { colour: 1 } })
  },
  'server-error-no-ref': async () => (await connect()).ask([]),
  'server-resync': async () => {
    const { server, ask } = await connect()
    server.emit('stock', { type: 'stock_changed', resource: 'stock-levels' })
    server.forget()
    return ask({ ...frame('subscribe'), cursor: 'fa0:0' })
  },
  'server-resync-channel': async () => {
    const { server, heard } = await after(frame('subscribe-channel'))
    server.resync('approvals')
    return heard.at(-1)
  },
  'server-auth-expiring': async () => {
    const { heard } = await connect()
    await vi.advanceTimersByTimeAsync(240_000)
    return heard.find(({ type }) => type === 'auth_expiring')
  },
  'server-heartbeat': async () => {
    const { heard } = await connect()
    await vi.advanceTimersByTimeAsync(25_000)
    return heard.at(-1)
  },
  'server-heartbeat-cursors': async () => {
    const { heard } = await after(channel)
    await vi.advanceTimersByTimeAsync(25_000)
    expect(heard.at(-1)?.cursors).toEqual({ stock: 'fa0:0' })
    return { ...heard.at(-1), cursors: { stock: '7f3a:4711' } }
  },
  'server-presence': async () => (await connect()).ask(frame('presence-enter')),
  'server-presence-joined': async () => {
    const { server, heard } = await after(frame('presence-enter'))
    server.enter(room, { user: '7', name: 'Budi' })
    return heard.at(-1)
  },
  'server-presence-changed': () => beside(frame('presence-update')),
  'server-presence-left': () => beside(frame('presence-leave')),
  'server-lease-granted': async () => (await connect()).ask(frame('lease-acquire')),
  'server-lease-held': async () => {
    const { server, ask } = await connect()
    server.hold('stock-levels', 17, { user: '7', name: 'Budi' }, 12_000)
    return ask(frame('lease-acquire'))
  },
  'server-lease-lost': async () => {
    const { ask } = await after(frame('lease-acquire'))
    await vi.advanceTimersByTimeAsync(30_000)
    return ask(frame('lease-renew'))
  },
  'server-notifications': async () => {
    const { server, ask } = await connect()
    server.notify('42', { kind: 'leave_approved', message: 'Your leave was approved', link: '/hr/leave/7' })
    return ask(frame('notifications-list'))
  },
  'server-notification-count': async () => {
    const { server, ask } = await connect()
    server.notify('42', {})
    const other = await join(server)
    expect(await ask(frame('notifications-read'))).toEqual(other.heard.at(-1))
    return other.heard.at(-1)
  },
}

const controls = [...wire].filter(([name]) => name.startsWith('server-'))

test('there is a script for each control frame of the bridge', () => {
  expect(Object.keys(scripts).sort()).toEqual(controls.map(([name]) => name).sort())
})

test.each(controls)('%s', async (name, golden) => {
  const sent = await scripts[name]!()
  const wanted = golden.type === 'error' ? { ...golden, message: sent?.message } : golden // in words of its own
  expect(sent).toEqual(wanted)
  expect(Object.keys(sent!)).toEqual(Object.keys(wanted)) // in the same order
})

/** The frame of the whole change, and who saw what of it. */
function change(seen: EventFrame): [PartialEvent, Seen] {
  const { op, ...rest } = seen
  const update = (more: object): PartialEvent => ({ ...rest, op: 'update', ...more })
  if (op === 'enter') return [update({ old: { status: 'pending' } }), { to: '42', was: '7' }]
  if (op === 'leave') return [update({ data: { id: 17 }, old: {}, message: '' }), { to: '7', was: '42' }]
  return [seen as PartialEvent, {}]
}

test.each([...wire].filter(([name]) => name.startsWith('event-')))('%s', async (_, whole) => {
  const { cursor, ...golden } = whole as EventFrame
  const { server, heard } = await after({ ...channel, channel: golden.channel })
  server.emit(golden.channel, ...change(golden))
  const { cursor: safe, ...sent } = heard.at(-1)!
  expect(safe).toMatch(/^fa0:1$/)
  expect(sent).toEqual(golden)
})

test.each(ahead.filter(({ from }) => from === 'server'))('$name is read whole by the client', ({ frame }: Golden) => {
  expect(parseFrame(JSON.stringify(frame))).toEqual(frame)
})
