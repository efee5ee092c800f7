import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Browser, change, serve } from './browser.js'
import type { Tab } from './browser.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const seconds = (n: number) => vi.advanceTimersByTimeAsync(n * 1000)

/** So many tabs of one user that listen to the channel `stock`, the leader first. */
async function group(count: number): Promise<[Browser, ...Tab[]]> {
  const browser = new Browser()
  await vi.dynamicImportSettled()
  for (let i = 0; i < count; i++) {
    browser.open({ getToken: () => '42.x' }).listen()
    await vi.dynamicImportSettled()
    await serve(browser)
  }
  return [browser, ...browser.tabs]
}

const heartbeat = (cursor: string) => ({ type: 'heartbeat' as const, cursors: { stock: cursor } })

describe('five tabs of one user', () => {
  test('have one connection with one subscription, and hear everything once', async () => {
    const [browser, leader, ...others] = await group(5)
    expect(browser.sockets).toEqual([leader!.socket])
    expect(leader!.socket.of('subscribe')).toHaveLength(1)
    const sent = [change(), change(), change()]
    for (const frame of sent) leader!.receives(frame)
    await serve(browser)
    for (const tab of [leader!, ...others]) {
      expect(tab.heard).toEqual(sent.map(({ id }) => id))
      expect(tab.status).toBe('live')
      expect(tab.resyncs).toEqual([])
    }
  })

  test('go on from their own cursors when the leader crashes', async () => {
    const [browser, leader, ...others] = await group(5)
    const sent = [change(), change()]
    leader!.receives(sent[0]!)
    await serve(browser)
    leader!.crash()
    await vi.advanceTimersByTimeAsync(0)
    expect(others.map(({ status }) => status)).toEqual(Array(4).fill('connecting'))
    await serve(browser)
    expect(browser.sockets).toHaveLength(1)
    const next = others.find(({ open }) => open.length)!
    expect(next.socket.of('subscribe').map(({ cursor }) => cursor)).toEqual([sent[0]!.cursor])
    for (const frame of sent) next.receives(frame)
    await serve(browser)
    for (const tab of others) {
      expect(tab.heard).toEqual(sent.map(({ id }) => id))
      expect(tab.status).toBe('live')
      expect(tab.resyncs).toEqual([])
    }
  })

  test('the state of the connection is that of every tab; each resumes by itself when it is back', async () => {
    const [browser, leader, ...others] = await group(3)
    const sent = [change(), change()]
    leader!.receives(sent[0]!)
    await serve(browser)
    leader!.socket.end(1006)
    await serve(browser)
    expect(browser.tabs.map(({ status }) => status)).toEqual(['waiting', 'waiting', 'waiting'])
    others[0]!.bench.client.connect() // whoever asks, the leader tries at once
    await serve(browser)
    expect(browser.tabs.map(({ status }) => status)).toEqual(['live', 'live', 'live'])
    expect(leader!.socket.of('subscribe').map(({ cursor }) => cursor)).toEqual([sent[0]!.cursor])
    for (const frame of sent) leader!.receives(frame)
    await serve(browser)
    for (const tab of browser.tabs) expect(tab.heard).toEqual(sent.map(({ id }) => id))
  })

  test('a topic is unsubscribed when the last tab that has it is gone, however it goes', async () => {
    const [browser, leader, other, third] = await group(3)
    const topic = { channel: 'approvals' }
    const stop = other!.bench.client.subscribe(topic, () => {})
    third!.bench.client.subscribe(topic, () => {})
    await serve(browser)
    expect(leader!.socket.of('subscribe').map(({ channel }) => channel)).toEqual(['stock', 'approvals'])
    stop()
    await serve(browser)
    expect(leader!.socket.of('unsubscribe')).toEqual([])
    third!.crash()
    await serve(browser)
    const { ref } = leader!.socket.of('subscribe')[1]!
    expect(leader!.socket.of('unsubscribe')).toEqual([expect.objectContaining({ subscription: ref })])
  })

  test('an answer reaches the tab that asked, and nobody else', async () => {
    const [browser, leader, other] = await group(2)
    const refused: unknown[] = []
    leader!.listen({ key: 1, resource: 'skus' }, { onResync: () => refused.push('leader') })
    other!.listen({ key: 2, resource: 'skus' }, { onResync: () => refused.push('other') })
    await serve(browser)
    const of = (key: number) => leader!.socket.of('subscribe').find((frame) => frame.key === key)!.ref
    leader!.receives({ type: 'resync', channel: 'stock', ref: of(2), reason: 'drift' })
    await serve(browser)
    expect(refused).toEqual(['other'])
    const asked = other!.bench.client.request({ type: 'lease.acquire', resource: 'skus', key: 1, ttl_ms: 1 })
    await serve(browser)
    const { ref } = leader!.socket.of('lease.acquire')[0]!
    leader!.receives({ type: 'lease', ref, granted: true })
    expect(await asked).toMatchObject({ granted: true })
  })

  test('a room is left when the last tab leaves it', async () => {
    const [browser, leader, other] = await group(2)
    for (const tab of [leader!, other!]) {
      const entered = tab.bench.client.request({ type: 'presence.enter', room: 'po/1' })
      await serve(browser)
      leader!.receives({ type: 'presence', room: 'po/1', users: [] })
      await entered
    }
    await leader!.bench.client.request({ type: 'presence.leave', room: 'po/1' })
    await serve(browser)
    expect(leader!.socket.of('presence.leave')).toEqual([])
    other!.crash()
    await serve(browser)
    expect(leader!.socket.of('presence.leave')).toMatchObject([{ room: 'po/1' }])
  })
})

describe('a leader that is frozen', () => {
  test('is replaced after 5 s; thawed, it hands out nothing to others, catches up by itself and follows', async () => {
    const [browser, leader, ...others] = await group(3)
    const [one, two, three] = [change(), change(), change()]
    leader!.receives(one)
    await serve(browser)
    leader!.freeze()
    leader!.receives(two)
    await seconds(4)
    expect(others.map(({ open }) => open)).toEqual([[], []])
    await seconds(2)
    await serve(browser)
    const next = others.find(({ open }) => open.length)!
    expect(others.map(({ status }) => status)).toEqual(['live', 'live'])
    next.receives(three) // out of order, were the frozen one's heard as well
    await serve(browser)
    const old = leader!.socket
    leader!.thaw()
    await serve(browser)
    expect(old.closedWith).toBe(1000)
    for (const tab of others) expect(tab.heard).toEqual([one.id, three.id])
    expect(leader!.heard).toEqual([one.id, two.id])
    expect(leader!.socket.of('subscribe').map(({ cursor }) => cursor)).toEqual([two.cursor])
    leader!.receives(three)
    leader!.receives(heartbeat(three.cursor!))
    await serve(browser)
    expect(browser.sockets).toEqual([next.socket])
    const four = change()
    next.receives(four)
    await serve(browser)
    expect(leader!.heard).toEqual([one.id, two.id, three.id, four.id])
    for (const tab of others) expect(tab.heard).toEqual([one.id, three.id, four.id])
    expect(browser.tabs.map(({ status }) => status)).toEqual(['live', 'live', 'live'])
  })

  test('does not keep a new tab waiting: its own connection does, and stays', async () => {
    const [browser, leader] = await group(1)
    leader!.freeze()
    const tab = browser.open({ getToken: () => '42.x' }).listen()
    await vi.dynamicImportSettled()
    await serve(browser)
    expect(tab.status).toBe('connecting')
    await seconds(1)
    await serve(browser)
    expect(tab.status).toBe('live')
    await seconds(6)
    leader!.thaw()
    await serve(browser)
    expect(tab.states).toEqual(['connecting', 'connecting', 'live']) // before its code is there, and after
    expect(tab.bench.sockets).toHaveLength(1)
    expect(tab.resyncs).toEqual([])
  })

  test('a healthy leader is not replaced, however quiet the bridge is', async () => {
    const [browser, leader] = await group(3)
    await seconds(34)
    expect(browser.sockets).toEqual([leader!.socket])
  })
})

describe('a follower that is frozen', () => {
  test('hears what it missed when it thaws', async () => {
    const [browser, leader, other] = await group(2)
    other!.freeze()
    const sent = [change(), change()]
    for (const frame of sent) leader!.receives(frame)
    await seconds(20)
    other!.thaw()
    await serve(browser)
    expect(other!.heard).toEqual(sent.map(({ id }) => id))
    expect(browser.sockets).toEqual([leader!.socket])
  })

  test('and where the browser has thrown that away, resumes by itself', async () => {
    const [browser, leader, other] = await group(2)
    const [one, two, three] = [change(), change(), change()]
    leader!.receives(one)
    await serve(browser)
    const mine = [...browser.channels].filter(({ tab }) => tab === other)
    for (const channel of mine) browser.channels.delete(channel)
    leader!.receives(two)
    await serve(browser)
    for (const channel of mine) browser.channels.add(channel)
    leader!.receives(three)
    await serve(browser)
    expect(other!.heard).toEqual([one.id])
    expect(other!.socket.of('subscribe').map(({ cursor }) => cursor)).toEqual([one.cursor])
    for (const frame of [two, three]) other!.receives(frame)
    await serve(browser)
    expect(other!.heard).toEqual([one.id, two.id, three.id])
  })
})

describe('what is past', () => {
  test('is asked for on a connection of its own, and reaches nobody else', async () => {
    const [browser, leader, other] = await group(2)
    const feed: string[] = []
    other!.bench.client.subscribe({ channel: 'stock' }, ({ id }) => feed.push(id), { rewind: 2 })
    await serve(browser)
    const old = [change(), change()]
    for (const frame of old) other!.receives(frame)
    other!.receives(heartbeat('7f3a:now'))
    await serve(browser)
    expect(feed).toEqual(old.map(({ id }) => id))
    expect(leader!.heard).toEqual([])
    expect(browser.sockets).toEqual([leader!.socket])
    const live = change()
    leader!.receives(live)
    await serve(browser)
    expect([feed.at(-1), leader!.heard, other!.heard.at(-1)]).toEqual([live.id, [live.id], live.id])
  })

  test('a leader that asks for it leads no longer until it has come', async () => {
    const [browser, leader, other] = await group(2)
    const feed: string[] = []
    leader!.bench.client.subscribe({ channel: 'stock' }, ({ id }) => feed.push(id), { rewind: 1 })
    await serve(browser)
    expect(browser.sockets).toHaveLength(2)
    const old = change()
    leader!.receives(old)
    await serve(browser)
    expect([feed, other!.heard]).toEqual([[old.id], []])
    leader!.receives(heartbeat('7f3a:now'))
    await serve(browser)
    expect(browser.sockets).toEqual([other!.socket])
  })
})

describe('a request that is made', () => {
  const list = { type: 'notifications.list', limit: 1 } as const

  test('while it is not yet known whose connection it goes by is sent by that', async () => {
    const browser = new Browser()
    const leader = browser.open({ getToken: () => '42.x' }).listen()
    await vi.dynamicImportSettled()
    await vi.advanceTimersByTimeAsync(0)
    leader.socket.open()
    leader.socket.say({ type: 'welcome', user: '42', session: 's', grants: 'g', expires_in_ms: 300_000, heartbeat_ms: 25_000 })
    expect(leader.status).toBe('connecting') // the lock is asked for
    const asked = leader.bench.client.request(list)
    await vi.advanceTimersByTimeAsync(0)
    expect(leader.status).toBe('live')
    expect(leader.socket.sent.map(({ type }) => type)).toEqual(['auth', 'subscribe', 'notifications.list'])
    leader.receives({ type: 'notifications', ref: leader.socket.of('notifications.list')[0]!.ref, items: [], unread: 0 })
    expect(await asked).toMatchObject({ unread: 0 })
  })

  test('before the code of sharing is there, and given up with it, fails at once', async () => {
    const tab = new Browser().open()
    const asked = expect(tab.bench.client.request(list)).rejects.toMatchObject({ code: 'closed' })
    tab.bench.client.close()
    await asked
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a lease', () => {
  const row = { resource: 'stock-levels', key: 17 }

  /** Asks for, or gives back, the lease by a tab; the bridge answers to what it was sent. */
  async function ask(leader: Tab, tab: Tab, type: 'lease.acquire' | 'lease.renew' | 'lease.release', granted: boolean) {
    const before = leader.socket.of(type).length
    const asked = tab.bench.client.request({ type, ttl_ms: 30_000, ...row } as never)
    await vi.advanceTimersByTimeAsync(0)
    const sent = leader.socket.of(type)[before]
    if (sent) leader.receives({ type: 'lease', ref: sent.ref, granted })
    await asked
    return sent !== undefined
  }

  test('is released when the last tab that has it does so', async () => {
    const [, leader, other] = await group(2)
    for (const tab of [leader!, other!]) await ask(leader!, tab, 'lease.acquire', true)
    expect(await ask(leader!, leader!, 'lease.release', false)).toBe(false)
    expect(await ask(leader!, other!, 'lease.renew', true)).toBe(true)
    expect(await ask(leader!, other!, 'lease.release', false)).toBe(true)
  })

  test('that a tab was not given, or that a tab had which is gone, keeps nobody from releasing', async () => {
    const [browser, leader, other, third] = await group(3)
    await ask(leader!, other!, 'lease.acquire', false)
    for (const tab of [leader!, third!]) await ask(leader!, tab, 'lease.acquire', true)
    third!.crash()
    await serve(browser)
    expect(leader!.socket.of('lease.release')).toEqual([]) // it may be on its way to a connection of its own
    expect(await ask(leader!, leader!, 'lease.release', false)).toBe(true)
  })
})

describe('more subscriptions than one connection may have', () => {
  const refuse = (tab: Tab, key: number) => {
    const { ref } = tab.socket.of('subscribe').find((frame) => frame.key === key)!
    tab.receives({ type: 'error', ref, code: 'too_many_subscriptions', message: 'at most 200' })
  }

  test('among all tabs: the one that finds no room goes to a connection of its own, and stays there', async () => {
    const [browser, leader, other] = await group(2)
    const refused: string[] = []
    other!.listen({ resource: 'skus', key: 1 }, { onError: () => refused.push('other') })
    await serve(browser)
    refuse(leader!, 1)
    await serve(browser)
    expect(browser.sockets).toHaveLength(2)
    for (let i = 0; i < 3; i++) {
      for (const tab of [leader!, other!]) tab.receives(heartbeat(`7f3a:h${i}`))
      await serve(browser)
    }
    expect(browser.sockets).toHaveLength(2)
    expect([other!.status, refused]).toEqual(['live', []])
    const sent = change()
    other!.receives(sent)
    await serve(browser)
    expect([leader!.heard, other!.heard]).toEqual([[], [sent.id]])
    refuse(other!, 1) // also there
    await serve(browser)
    expect(refused).toEqual(['other'])
  })

  test('the leader, whose followers have taken the room, does so too; alone it is told', async () => {
    const [browser, leader, other] = await group(2)
    const refused: string[] = []
    leader!.listen({ resource: 'skus', key: 2 }, { onError: () => refused.push('leader') })
    await serve(browser)
    refuse(leader!, 2)
    await serve(browser)
    expect([browser.sockets.length, leader!.status, other!.status, refused]).toEqual([2, 'live', 'live', []])
    refuse(leader!, 2)
    await serve(browser)
    expect(refused).toEqual(['leader'])
  })
})

describe('closed and connected again', () => {
  const nothing = async (): Promise<void> => {}
  const part: (tab: Tab) => Promise<void> = async (tab) => {
    await vi.advanceTimersByTimeAsync(0)
    tab.socket.open()
  }

  test.each<[string, number, (tab: Tab, browser: Browser) => Promise<void>]>([
    ['before its code is there', 0, nothing],
    ['while its socket opens', 0, async () => void (await vi.dynamicImportSettled())],
    ['before the welcome', 0, async (tab) => {
      await vi.dynamicImportSettled()
      await part(tab)
    }],
    ['as the leader', 0, async (_, browser) => {
      await vi.dynamicImportSettled()
      await serve(browser)
    }],
    ['as a follower', 1, async (_, browser) => {
      await vi.dynamicImportSettled()
      await serve(browser)
    }],
    ['beside a leader that does not answer', 1, async (_, browser) => {
      browser.tabs[0]!.freeze()
      await vi.dynamicImportSettled()
      await serve(browser)
    }],
    ['while it waits', 0, async (tab, browser) => {
      await vi.dynamicImportSettled()
      await serve(browser)
      tab.socket.end(1006)
      await vi.advanceTimersByTimeAsync(0)
    }],
    ['after it was refused', 0, async (tab, browser) => {
      await vi.dynamicImportSettled()
      await serve(browser)
      tab.socket.end(4501)
      await vi.advanceTimersByTimeAsync(0)
    }],
  ])('%s, a tab is idle, then live with all it had', async (_, others, reach) => {
    const [browser] = await group(others)
    const tab = browser.open({ getToken: () => '42.x' }).listen()
    await reach(tab, browser)
    tab.bench.client.close()
    expect(tab.status).toBe('idle')
    await vi.dynamicImportSettled()
    await seconds(3)
    expect([tab.status, tab.open.length]).toEqual(['idle', 0])
    tab.bench.client.connect()
    await serve(browser)
    await seconds(1)
    await serve(browser)
    expect(tab.status).toBe('live')
    const from = browser.tabs.find(({ open }) => open.length && open[0] === browser.sockets.at(-1))!
    const sent = change()
    from.receives(sent)
    await serve(browser)
    expect(tab.heard).toEqual([sent.id])
    tab.bench.client.close()
    await vi.advanceTimersByTimeAsync(0)
    expect(tab.open).toEqual([])
  })
})
