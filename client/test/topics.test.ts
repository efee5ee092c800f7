import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { EventFrame, ResyncFrame } from '../src/index.js'
import { event, setup } from './fakesocket.js'
import type { Bench, FakeSocket } from './fakesocket.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

async function live(bench: Bench): Promise<FakeSocket> {
  bench.client.connect()
  const socket = await bench.socket()
  socket.welcome()
  for (const { ref } of socket.of('subscribe')) socket.say({ type: 'subscribed', ref })
  return socket
}

/** Drops the connection and brings the next one to life. */
async function reconnect(bench: Bench, grants?: string): Promise<FakeSocket> {
  bench.sockets.at(-1)!.end(1006)
  await vi.advanceTimersByTimeAsync(20_000)
  const socket = await bench.socket()
  socket.welcome(grants)
  return socket
}

describe('subscribe', () => {
  test('two handlers of one topic share a subscription; the last to go ends it', async () => {
    const bench = setup()
    const one = bench.client.subscribe({ channel: 'stock', where: { a: 1, b: [2] } }, () => {})
    const two = bench.client.subscribe({ channel: 'stock', where: { b: [2], a: 1 } }, () => {})
    const socket = await live(bench)
    expect(socket.of('subscribe')).toHaveLength(1)
    one()
    one()
    expect(socket.of('unsubscribe')).toEqual([])
    two()
    expect(socket.of('unsubscribe')).toEqual([{ type: 'unsubscribe', ref: '2', subscription: '1' }])
  })

  test('one function may listen twice, and stop once', async () => {
    const bench = setup()
    const heard = vi.fn()
    bench.client.subscribe({ channel: 'stock' }, heard)
    const stop = bench.client.subscribe({ channel: 'stock' }, heard)
    const socket = await live(bench)
    socket.say(event())
    expect(heard).toHaveBeenCalledTimes(2)
    stop()
    socket.say(event())
    expect(heard).toHaveBeenCalledTimes(3)
  })

  test.each<[string, Partial<EventFrame>, boolean]>([
    ['its row', {}, true],
    ['its row, the key as text', { resource_id: '17' }, true],
    ['another row', { resource_id: 18 }, false],
    ['another resource', { resource: 'skus' }, false],
    ['another channel', { channel: 'approvals' }, false],
  ])('hears %s: %o', async (_, fields, expected) => {
    const bench = setup()
    const heard = vi.fn()
    bench.client.subscribe({ channel: 'stock', resource: 'stock-levels', key: 17 }, heard)
    const socket = await live(bench)
    socket.say(event(fields))
    expect(heard).toHaveBeenCalledTimes(expected ? 1 : 0)
  })

  test.each<[string, Partial<EventFrame>, Partial<EventFrame> | undefined]>([
    ['inside', { data: { sku_id: 5 } }, { op: 'update', data: { sku_id: 5 } }],
    ['outside', { data: { sku_id: 9 } }, undefined],
    ['moving in', { data: { sku_id: 5 }, old: { sku_id: 9 } }, { op: 'enter', data: { sku_id: 5 } }],
    ['moving out', { data: { sku_id: 9 }, old: { sku_id: 5 }, message: 'm' }, { op: 'leave' }],
    ['deleted inside', { op: 'delete', data: { sku_id: 6 } }, { op: 'delete', data: { sku_id: 6 } }],
    ['inserted outside', { op: 'insert', data: { sku_id: 9 } }, undefined],
    ['said to leave by the bridge', { op: 'leave', data: undefined as never }, { op: 'leave' }],
  ])('where, %s', async (_, fields, expected) => {
    const bench = setup()
    const heard: EventFrame[] = []
    bench.client.subscribe({ channel: 'stock', where: { sku_id: [5, 6] } }, (frame) => heard.push(frame))
    const whole: EventFrame[] = []
    bench.client.subscribe({ channel: 'stock' }, (frame) => whole.push(frame))
    const socket = await live(bench)
    const sent = JSON.parse(JSON.stringify(event(fields))) as EventFrame
    socket.say(sent)
    const { id, type, channel, resource, resource_id, at, txid } = sent
    expect(heard).toEqual(expected ? [{ id, type, channel, resource, resource_id, at, txid, ...expected }] : [])
    expect(whole).toEqual([sent])
  })

  test('each event once, also when it is sent again after a drop', async () => {
    const bench = setup()
    const heard = vi.fn()
    bench.client.subscribe({ channel: 'stock' }, heard)
    const again = event()
    const socket = await live(bench)
    socket.say(again)
    socket.say(again)
    const next = await reconnect(bench)
    next.say(again)
    expect(heard).toHaveBeenCalledTimes(1)
  })

  test('what comes again after a drop is not handed to a later handler either: it has heard what followed', async () => {
    const bench = setup()
    const heard: string[] = []
    bench.client.subscribe({ channel: 'stock' }, () => {})
    const socket = await live(bench)
    const [one, two] = [event({ cursor: '7f3a:1' }), event()]
    socket.say(one)
    bench.client.subscribe({ channel: 'stock', resource: 'stock-levels' }, ({ id }) => heard.push(id))
    socket.say({ type: 'subscribed', ref: '2' })
    socket.say(two)
    const next = await reconnect(bench)
    next.say(one)
    next.say(two)
    expect(heard).toEqual([two.id])
  })

  test('a handler that throws stops nobody else', async () => {
    const bench = setup()
    const heard = vi.fn()
    bench.client.subscribe({ channel: 'stock' }, () => {
      throw new Error('mine')
    })
    bench.client.subscribe({ channel: 'stock' }, heard)
    const socket = await live(bench)
    socket.say(event())
    expect(heard).toHaveBeenCalledTimes(1)
    expect(bench.reported).toMatchObject([{ message: 'mine' }])
  })

  test('a refusal reaches the one who asked, or else the client; what was refused is not unsubscribed', async () => {
    const bench = setup()
    const refused = vi.fn()
    const stop = bench.client.subscribe({ channel: 'stock' }, () => {}, { onError: refused })
    bench.client.subscribe({ channel: 'nope' }, () => {})
    const socket = await live(bench)
    socket.say({ type: 'error', ref: '1', code: 'forbidden', message: 'no' })
    socket.say({ type: 'error', ref: '2', code: 'unknown_channel', message: 'no channel nope' })
    socket.say({ type: 'error', code: 'rate_limited', message: 'slow down' })
    expect(refused).toHaveBeenCalledWith({ type: 'error', ref: '1', code: 'forbidden', message: 'no' })
    expect(bench.unhandled).toMatchObject([{ code: 'unknown_channel' }, { code: 'rate_limited' }])
    stop()
    expect(socket.of('unsubscribe')).toEqual([])
  })
})

test('ids that JavaScript has rounded are told of once a resource, with what to do, and never by value', async () => {
  const bench = setup({ channels: ['stock'] })
  const socket = await live(bench)
  const big = 2 ** 53
  const tell = (fields: Partial<EventFrame>) => {
    socket.say(event(fields))
    return bench.reported.splice(0).map(String)
  }
  const words = (name: string) => [expect.stringMatching(new RegExp(`${name}: ids past 2\\^53 .* \`strings\`$`)) as string]
  expect(tell({ resource_id: big - 1, data: { sku_id: -(big - 1), ratio: 1e300, n: big } })).toEqual([])
  expect(tell({ resource_id: big })).toEqual(words('stock/stock-levels'))
  expect(tell({ resource_id: big })).toEqual([])
  expect(tell({ resource: 'skus', data: { supplierId: -big } })).toEqual(words('stock/skus'))
  expect(tell({ resource: 'places', resource_id: ['a', big] })).toEqual(words('stock/places'))
  expect(tell({ resource: 'strings', resource_id: String(big) })).toEqual([])
})

describe('onLive', () => {
  test('is told on each connection, and soon to who comes later', async () => {
    const bench = setup()
    const heard: string[] = []
    const hear = (name: string) =>
      bench.client.subscribe({ channel: 'stock' }, () => {}, { onLive: () => heard.push(name) })
    hear('first')
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    hear('before the answer')
    await Promise.resolve()
    expect(heard).toEqual([])
    socket.say({ type: 'subscribed', ref: '1' })
    expect(heard).toEqual(['first', 'before the answer'])
    hear('later')()
    const stop = hear('later still')
    expect(heard).toHaveLength(2)
    await Promise.resolve()
    expect(heard.splice(0)).toEqual(['first', 'before the answer', 'later still'])
    stop()
    const next = await reconnect(bench)
    hear('while it is asked again')
    await Promise.resolve()
    expect(heard).toEqual([])
    next.say({ type: 'subscribed', ref: '1', resumed: true })
    expect(heard).toEqual(['first', 'before the answer', 'while it is asked again'])
  })

  test('who comes after the topic was refused is told of it', async () => {
    const bench = setup()
    const [one, two] = [vi.fn(), vi.fn()]
    bench.client.subscribe({ channel: 'nope' }, () => {}, { onError: one })
    bench.client.connect()
    const socket = await bench.socket()
    socket.welcome()
    const error = { type: 'error', ref: '1', code: 'unknown_channel', message: 'no channel nope' } as const
    socket.say(error)
    bench.client.subscribe({ channel: 'nope' }, () => {}, { onError: two, onLive: two })
    await Promise.resolve()
    expect(one.mock.calls).toEqual([[error]])
    expect(two.mock.calls).toEqual([[error]])
  })
})

describe('resync', () => {
  function listening(): [Bench, ResyncFrame[][]] {
    const bench = setup()
    const heard: ResyncFrame[][] = [[], [], []]
    const topics = [{ channel: 'stock' }, { channel: 'stock', resource: 'skus' }, { channel: 'approvals' }]
    topics.forEach((topic, i) =>
      bench.client.subscribe(topic, () => {}, { onResync: (frame) => heard[i]!.push(frame) }),
    )
    return [bench, heard]
  }

  test.each<[string, Partial<ResyncFrame>, number[]]>([
    ['a channel', {}, [1, 1, 0]],
    ['a resource', { resource: 'stock-levels' }, [1, 0, 0]],
    ['one subscription', { ref: '2' }, [0, 1, 0]],
  ])('of %s reaches whom it concerns', async (_, fields, expected) => {
    const [bench, heard] = listening()
    const socket = await live(bench)
    socket.say({ type: 'resync', channel: 'stock', reason: 'drift', ...fields })
    expect(heard.map((frames) => frames.length)).toEqual(expected)
  })

  test('after a drop without a cursor the application is told, once it is live again', async () => {
    const [bench, heard] = listening()
    await live(bench)
    expect(heard.flat()).toEqual([])
    const socket = await reconnect(bench)
    expect(heard.flat()).toEqual([])
    socket.say({ type: 'subscribed', ref: '2' })
    expect(heard[1]).toEqual([
      { type: 'resync', channel: 'stock', resource: 'skus', ref: '2', reason: 'reconnected' },
    ])
  })

  test('with a cursor it resumes, and is not told', async () => {
    const [bench, heard] = listening()
    const first = await live(bench)
    first.say(event({ cursor: '7f3a:1' }))
    first.say({ type: 'heartbeat', cursors: { stock: '7f3a:2', other: 'x' } })
    const socket = await reconnect(bench)
    expect(socket.of('subscribe').map((frame) => frame.cursor)).toEqual(['7f3a:2', '7f3a:2', undefined])
    socket.say({ type: 'subscribed', ref: '1', resumed: true })
    expect(heard.flat()).toEqual([])
    socket.say({ type: 'resync', channel: 'stock', ref: '2', reason: 'cursor_expired' })
    socket.say({ type: 'subscribed', ref: '2' })
    expect(heard.map((frames) => frames.length)).toEqual([0, 1, 0])
  })

  test('who comes back with other grants does not resume, and is told', async () => {
    const [bench, heard] = listening()
    const first = await live(bench)
    first.say(event({ cursor: '7f3a:1' }))
    const second = await reconnect(bench, 'g2')
    expect(second.of('subscribe').map(({ cursor }) => cursor)).toEqual([undefined, undefined, undefined])
    for (const ref of ['1', '2', '3']) second.say({ type: 'subscribed', ref, resumed: false })
    expect(heard.map((frames) => frames.length)).toEqual([1, 1, 1])
    second.say(event({ cursor: '7f3a:2' }))
    const third = await reconnect(bench, 'g2')
    expect(third.of('subscribe').map(({ cursor }) => cursor)).toEqual(['7f3a:2', '7f3a:2', undefined])
  })

  test('nor whose grants changed on the way, to what they had been even', async () => {
    const [bench] = listening()
    const first = await live(bench)
    first.say({ type: 'resync', channel: 'stock', reason: 'grants_changed' })
    first.say(event({ cursor: '7f3a:1' }))
    const second = await reconnect(bench)
    expect(second.of('subscribe').map(({ cursor }) => cursor)).toEqual([undefined, undefined, undefined])
  })

  test('a subscription that was not live before goes on from where the others of its channel do', async () => {
    const bench = setup()
    bench.client.subscribe({ channel: 'stock' }, () => {})
    const first = await live(bench)
    first.say(event({ cursor: '7f3a:1' }))
    bench.client.subscribe({ channel: 'stock', key: 1 }, () => {})
    bench.client.subscribe({ channel: 'stock' }, () => {}, { rewind: 5 })
    const socket = await reconnect(bench)
    expect(socket.of('subscribe').map(({ cursor, rewind }) => [cursor, rewind])).toEqual([
      ['7f3a:1', undefined],
      ['7f3a:1', undefined],
      [undefined, 5],
    ])
  })

  test('who was not there before the drop hears what follows from the cursor on, be it known to others', async () => {
    const bench = setup()
    const heard: string[] = []
    bench.client.subscribe({ channel: 'stock', where: { sku_id: [5] } }, () => {})
    const first = await live(bench)
    const [unseen, seen] = [event({ data: { sku_id: 6 } }), event()]
    first.say(event({ cursor: '7f3a:1' }))
    first.say(seen)
    first.end(1006)
    bench.client.subscribe({ channel: 'stock' }, ({ id }) => heard.push(id))
    await vi.advanceTimersByTimeAsync(500)
    const second = await bench.socket()
    second.welcome()
    for (const ref of ['1', '2']) second.say({ type: 'subscribed', ref, resumed: true })
    for (const frame of [unseen, seen, seen]) second.say(frame)
    expect(heard).toEqual([unseen.id, seen.id])
  })

  test('a cursor that came after it was asked for helps nobody: the application is told', async () => {
    const [bench, heard] = listening()
    await live(bench)
    const socket = await reconnect(bench)
    socket.say({ type: 'subscribed', ref: '1' })
    socket.say(event({ cursor: '7f3a:1' }))
    socket.say({ type: 'subscribed', ref: '2' })
    expect(heard.map((frames) => frames.length)).toEqual([1, 1, 0])
  })

  test('who was not there before the drop hears what others were sent while it waited for its answer', async () => {
    const bench = setup()
    const whole: string[] = []
    const part: string[] = []
    bench.client.subscribe({ channel: 'stock' }, ({ id }) => whole.push(id))
    const socket = await live(bench)
    socket.say(event({ cursor: '7f3a:1' }))
    const had = event()
    socket.say(had)
    socket.end(1006)
    bench.client.subscribe({ channel: 'stock', where: { sku_id: 5 } }, ({ id }) => part.push(id))
    await vi.advanceTimersByTimeAsync(20_000)
    const next = await bench.socket()
    next.welcome()
    const [first, second] = next.of('subscribe')
    next.say({ type: 'subscribed', ref: first!.ref, resumed: true })
    const missed = event()
    next.say(missed)
    next.say({ type: 'subscribed', ref: second!.ref, resumed: true })
    for (const again of [had, missed, missed]) next.say(again)
    expect(whole.slice(1)).toEqual([had.id, missed.id])
    expect(part).toEqual([had.id, missed.id])
  })

  test('a cursor that comes before all are answered does not count: it says nothing of what the others missed', async () => {
    const bench = setup()
    bench.client.subscribe({ channel: 'stock', key: 1, resource: 'stock-levels' }, () => {})
    bench.client.subscribe({ channel: 'stock', key: 2, resource: 'stock-levels' }, () => {})
    const first = await live(bench)
    first.say(event({ cursor: '7f3a:1' }))
    const second = await reconnect(bench)
    second.say({ type: 'subscribed', ref: '1', resumed: true })
    second.say(event({ cursor: '7f3a:2' }))
    const third = await reconnect(bench)
    expect(third.of('subscribe').map(({ cursor }) => cursor)).toEqual(['7f3a:1', '7f3a:1'])
    for (const ref of ['1', '2']) third.say({ type: 'subscribed', ref, resumed: true })
    third.say(event({ cursor: '7f3a:2' }))
    const fourth = await reconnect(bench)
    expect(fourth.of('subscribe').map(({ cursor }) => cursor)).toEqual(['7f3a:2', '7f3a:2'])
  })

  test('a part of a topic that resumes beside the whole does not turn round what the whole has missed', async () => {
    const bench = setup()
    const [part, whole]: [unknown[], unknown[]] = [[], []]
    bench.client.subscribe({ channel: 'stock', where: { bin: 'a' } }, ({ op, data }) => part.push([op, data?.n]))
    bench.client.subscribe({ channel: 'stock' }, ({ data }) => whole.push(data?.n))
    const first = await live(bench)
    first.say(event({ cursor: '7f3a:1', data: { bin: 'b', n: 1 } }))
    const second = await reconnect(bench)
    const two = event({ data: { bin: 'b', n: 2 }, old: { n: 1 } })
    const three = event({ data: { bin: 'a', n: 3 }, old: { bin: 'b', n: 2 } })
    for (const { ref, where } of second.of('subscribe')) { // as the bridge does: one after the other, what each missed
      second.say({ type: 'subscribed', ref, resumed: true })
      if (where) second.say({ ...three, op: 'enter' })
      else for (const frame of [two, three]) second.say(frame)
    }
    expect(whole).toEqual([1, 2, 3])
    expect(part).toEqual([['enter', 3]])
  })

  test('a cursor goes with the last subscription of its channel', async () => {
    const bench = setup()
    const stop = bench.client.subscribe({ channel: 'stock' }, () => {})
    const first = await live(bench)
    first.say(event({ cursor: '7f3a:1' }))
    stop()
    first.say({ type: 'heartbeat', cursors: { stock: '7f3a:2' } })
    bench.client.subscribe({ channel: 'stock' }, () => {})
    first.say({ type: 'subscribed', ref: '3' })
    const socket = await reconnect(bench)
    expect(socket.of('subscribe')).toEqual([{ type: 'subscribe', ref: '3', channel: 'stock' }])
  })
})

describe('rewind', () => {
  test('is asked for at the beginning, and not where a cursor leads on', async () => {
    const bench = setup()
    const heard: string[] = []
    bench.client.subscribe({ channel: 'activity' }, ({ id }) => heard.push(id), { rewind: 20 })
    const first = await live(bench)
    expect(first.of('subscribe')).toEqual([{ type: 'subscribe', ref: '1', channel: 'activity', rewind: 20 }])
    const [one, two] = [event({ channel: 'activity' }), event({ channel: 'activity', cursor: '7f3a:1' })]
    first.say(one)
    const second = await reconnect(bench) // before any cursor: the rewind may have been cut short
    expect(second.of('subscribe')).toEqual([{ type: 'subscribe', ref: '1', channel: 'activity', rewind: 20 }])
    second.say({ type: 'subscribed', ref: '1' })
    second.say(one)
    second.say(two)
    const third = await reconnect(bench)
    expect(third.of('subscribe')).toEqual([{ type: 'subscribe', ref: '1', channel: 'activity', cursor: '7f3a:1' }])
    expect(heard).toEqual([one.id, two.id])
  })

  test('has a subscription of its own; what it brings again reaches its own handler only', async () => {
    const bench = setup()
    const heard: [string, string][] = []
    bench.client.subscribe({ channel: 'activity' }, ({ id }) => heard.push(['plain', id]))
    const socket = await live(bench)
    const past = event({ channel: 'activity' })
    socket.say(past)
    const stop = bench.client.subscribe({ channel: 'activity' }, ({ id }) => heard.push(['rewound', id]), { rewind: 5 })
    bench.client.subscribe({ channel: 'activity' }, () => {}, { rewind: 5 })
    socket.say({ type: 'subscribed', ref: '2' })
    socket.say(past)
    expect(heard).toEqual([['plain', past.id], ['rewound', past.id]])
    expect(socket.of('subscribe').map(({ ref, rewind }) => [ref, rewind])).toEqual([
      ['1', undefined],
      ['2', 5],
      ['3', 5],
    ])
    stop()
    expect(socket.of('unsubscribe').map(({ subscription }) => subscription)).toEqual(['2'])
  })
})

describe('on', () => {
  test('hears events by name, the row first; an empty one for a leave', async () => {
    const bench = setup({ channels: ['stock', 'approvals'] })
    const heard: unknown[] = []
    const stop = bench.client.on('stock_changed', ({ sku_id, new_quantity }, { op }) =>
      heard.push([sku_id, new_quantity, op]),
    )
    const socket = await live(bench)
    expect(socket.of('subscribe').map((frame) => frame.channel)).toEqual(['stock', 'approvals'])
    socket.say(event())
    socket.say(event({ type: 'low_stock' }))
    socket.say(JSON.parse(JSON.stringify(event({ op: 'leave', data: undefined as never }))) as EventFrame)
    stop()
    socket.say(event())
    expect(heard).toEqual([[5, 8, 'update'], [undefined, undefined, 'leave']])
  })

  test('a handler that is replaced by itself hears each event once', async () => {
    const bench = setup({ channels: ['stock'] })
    let [events, counts, resyncs] = [0, 0, 0]
    const swap = (listen: (again: () => void) => () => void) => {
      let stop = listen(function again() {
        stop()
        stop = listen(again)
      })
    }
    swap((again) => bench.client.on('stock_changed', () => events++ < 9 && again()))
    swap((again) => bench.client.listen('notification_count', () => counts++ < 9 && again()))
    swap((again) => bench.client.onResync(() => resyncs++ < 9 && again()))
    const socket = await live(bench)
    socket.say(event())
    socket.say({ type: 'notification_count', unread: 3 })
    socket.say({ type: 'resync', channel: 'stock', reason: 'drift' })
    expect([events, counts, resyncs]).toEqual([1, 1, 1])
  })

  test('who was stopped by another handler of the same event does not hear it', async () => {
    const bench = setup({ channels: ['stock'] })
    const heard = vi.fn()
    bench.client.on('stock_changed', () => stop())
    const stop = bench.client.on('stock_changed', heard)
    const socket = await live(bench)
    socket.say(event())
    expect(heard).not.toHaveBeenCalled()
  })

  test('without a channel to hear it says what is missing', () => {
    expect(() => setup().client.on('stock_changed', () => {})).toThrow('give createClient its `channels`')
  })

  test('onResync hears what concerns the channels', async () => {
    const bench = setup({ channels: ['stock'] })
    const heard = vi.fn()
    bench.client.onResync(heard)
    const socket = await live(bench)
    socket.say({ type: 'resync', channel: 'stock', reason: 'truncated' })
    expect(heard).toHaveBeenCalledWith({ type: 'resync', channel: 'stock', reason: 'truncated' })
  })
})
