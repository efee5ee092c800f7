import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ClientOptions } from '../src/index.js'
import { Browser, change, serve } from './browser.js'
import type { Tab } from './browser.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const seconds = (n: number) => vi.advanceTimersByTimeAsync(n * 1000)

/** Opens a tab for each token; the user is what comes before its dot. */
async function open(browser: Browser, ...tokens: (string | ClientOptions['getToken'])[]): Promise<Tab[]> {
  const opened: Tab[] = []
  for (const token of tokens) {
    opened.push(browser.open({ getToken: typeof token === 'string' ? () => token : token! }).listen())
    await vi.dynamicImportSettled()
    await serve(browser)
  }
  return opened
}

/** The data of every message that went from tab to tab with a row in it, by the channel's name. */
function rows(browser: Browser): [name: string, id: string][] {
  return browser.overheard.flatMap(({ name, data }) => (data.frame?.op ? [[name, data.frame.id] as [string, string]] : []))
}

describe('two users in one browser', () => {
  test.each([
    ['other users', '42.x', '43.x'],
    ['the same user of another tenant, or with other rights', '42.x', '42.y'],
  ])('%s never share', async (_, a, b) => {
    const browser = new Browser()
    const [a1, b1, a2, b2] = await open(browser, a, b, a, b)
    for (const tab of [a1!, b1!]) {
      if (tab.open.length === 0) throw new Error('no leader')
    }
    expect(browser.sockets).toHaveLength(2)
    const leaders = browser.tabs.filter(({ open }) => open.length)
    const sent = leaders.map(() => change())
    leaders.forEach((tab, i) => tab.receives(sent[i]!))
    await serve(browser)
    const mine = (tab: Tab) => ([a1, a2].includes(tab) ? [a1!, a2!] : [b1!, b2!])
    leaders.forEach((leader, i) => {
      for (const tab of browser.tabs) expect(tab.heard.includes(sent[i]!.id)).toBe(mine(leader).includes(tab))
    })
    const names = new Map(rows(browser).map(([name, id]) => [id, name]))
    expect(names.get(sent[0]!.id)).not.toBe(names.get(sent[1]!.id))
  })

  test('without a digest from the bridge nothing is shared', async () => {
    const browser = new Browser()
    const tabs = [browser.open(), browser.open()]
    for (const tab of tabs) tab.bench.client.connect()
    await vi.dynamicImportSettled()
    await vi.advanceTimersByTimeAsync(0)
    for (const { socket } of tabs) {
      socket.open()
      socket.say({ type: 'welcome', user: '42', session: 's', expires_in_ms: 300_000, heartbeat_ms: 25_000 })
    }
    await seconds(20)
    expect(browser.sockets).toHaveLength(2)
    expect(tabs.map(({ status }) => status)).toEqual(['live', 'live'])
    expect(browser.overheard).toEqual([])
  })

  test('a forged leader of an older term, and frames of a tab that does not lead, are not heard', async () => {
    const browser = new Browser()
    const [leader, follower] = await open(browser, '42.x', '42.x')
    const name = browser.overheard.find(({ data }) => data.is === 'lead')!.name
    await open(browser, '43.x')
    const forged = change()
    const say = (data: object) => {
      for (const other of browser.channels) if (other.name === name) other.onmessage?.({ data })
    }
    say({ is: 'down', from: 'stranger', n: 1, frame: forged })
    say({ is: 'lead', from: 'stranger', term: 0, life: 1, n: 0, state: { status: 'live', user: '43' } })
    say({ is: 'down', from: 'stranger', n: 1, frame: forged })
    await serve(browser)
    expect([leader!.heard, follower!.heard]).toEqual([[], []])
  })
})

describe('the sharing ends', () => {
  test('with a logout: every tab proves itself again', async () => {
    const browser = new Browser()
    const tokens = { now: '42.x' }
    const tabs = await open(browser, () => tokens.now, () => tokens.now, () => tokens.now)
    tokens.now = '43.x'
    tabs[1]!.bench.client.close()
    await vi.advanceTimersByTimeAsync(0)
    expect(tabs.map(({ status }) => status)).toEqual(['connecting', 'idle', 'connecting'])
    await serve(browser)
    for (const tab of [tabs[0]!, tabs[2]!]) {
      expect(tab.bench.client.state.get()).toMatchObject({ status: 'live', user: '43' })
      expect(tab.bench.sockets.at(-1)!.of('auth')).toEqual([{ type: 'auth', token: '43.x' }])
    }
  })

  test('with another login: tabs of before prove themselves again', async () => {
    const browser = new Browser()
    const tokens = { now: '42.x' }
    const [first, second] = await open(browser, () => tokens.now, () => tokens.now)
    tokens.now = '43.x'
    await open(browser, () => tokens.now)
    for (const tab of [first!, second!]) expect(tab.bench.client.state.get()).toMatchObject({ user: '43' })
  })

  test('with another login in a tab that logged out and was not loaded anew', async () => {
    const browser = new Browser()
    const tokens = { now: '42.x' }
    const [first, second] = await open(browser, () => tokens.now, () => tokens.now)
    first!.bench.client.close()
    await serve(browser) // the old token is good for a while
    expect(second!.bench.client.state.get()).toMatchObject({ status: 'live', user: '42' })
    tokens.now = '43.x'
    first!.bench.client.connect()
    await serve(browser)
    for (const tab of [first!, second!]) expect(tab.bench.client.state.get()).toMatchObject({ status: 'live', user: '43' })
  })

  test('with other grants on the open connection of a tab that does not know yet whose it uses', async () => {
    const browser = new Browser()
    const [leader] = await open(browser, '42.x')
    leader!.freeze()
    const tab = browser.open({ getToken: () => '42.x' }).listen()
    await vi.dynamicImportSettled()
    await serve(browser)
    expect(tab.status).toBe('connecting')
    tab.receives({ type: 'welcome', user: '42', session: 's', grants: 'more', expires_in_ms: 300_000, heartbeat_ms: 25_000 })
    await seconds(2)
    await serve(browser)
    expect([tab.status, tab.socket.of('subscribe').length]).toEqual(['live', 1])
  })

  test('with every lock, where it is closed before they were granted', async () => {
    const browser = new Browser()
    const tab = browser.open({ getToken: () => '42.x' })
    await vi.dynamicImportSettled()
    tab.bench.client.connect()
    tab.bench.client.close()
    await serve(browser)
    expect([...browser.queues.values()].filter(({ held }) => held)).toEqual([])
  })

  test('with a leader who comes back as somebody else: what it hears is not for those who followed', async () => {
    const browser = new Browser()
    const tokens = { now: '42.x' }
    const [leader, follower] = await open(browser, () => tokens.now, '42.x')
    tokens.now = '43.x'
    leader!.socket.end(1006)
    await seconds(1)
    await serve(browser)
    const theirs = change()
    leader!.receives(theirs)
    await serve(browser)
    expect(leader!.bench.client.state.get()).toMatchObject({ status: 'live', user: '43' })
    expect(follower!.bench.client.state.get()).toMatchObject({ status: 'live', user: '42' })
    expect([leader!.heard, follower!.heard]).toEqual([[theirs.id], []])
  })

  test('with new grants of the leader on its open connection', async () => {
    const browser = new Browser()
    const [leader, follower] = await open(browser, '42.x', '42.x')
    leader!.receives({ type: 'welcome', user: '42', session: 's', grants: 'more', expires_in_ms: 300_000, heartbeat_ms: 25_000 })
    await serve(browser)
    expect(browser.sockets).toEqual([leader!.socket, follower!.socket])
    const theirs = change()
    leader!.receives(theirs)
    await serve(browser)
    expect(follower!.heard).toEqual([])
  })

  test('with a resync that says so: all are told, and prove themselves again', async () => {
    const browser = new Browser()
    const tabs = await open(browser, '42.x', '42.x')
    const [leader] = tabs
    leader!.receives(change())
    leader!.receives({ type: 'resync', channel: 'stock', reason: 'grants_changed' })
    await serve(browser, 'g2')
    for (const tab of tabs) {
      expect(tab.resyncs).toEqual(['grants_changed', 'reconnected'])
      expect(tab.bench.sockets.length).toBeGreaterThan(1)
      expect(tab.status).toBe('live')
    }
  })

  test.each([[4501, 'stopped'], [4003, 'waiting']])('with close %i of the leader', async (code, status) => {
    const browser = new Browser()
    const [leader, follower] = await open(browser, '42.x', '42.x')
    const before = follower!.bench.sockets.length
    leader!.socket.end(code)
    await vi.advanceTimersByTimeAsync(0)
    expect([leader!.status, follower!.status]).toEqual([status, 'connecting'])
    expect(follower!.bench.sockets).toHaveLength(before + 1)
    follower!.bench.sockets.at(-1)!.open()
    follower!.bench.sockets.at(-1)!.end(4501, 'revoked')
    expect(follower!.bench.client.state.get()).toEqual({ status: 'stopped', code: 4501, reason: 'revoked' })
    await seconds(30)
    expect(follower!.status).toBe('stopped')
  })
})

describe("a follower's proof", () => {
  test('is made anew before it is over, and nothing is missed meanwhile', async () => {
    const browser = new Browser()
    const getToken = vi.fn(() => '42.x')
    const [leader, follower] = await open(browser, '42.x', getToken)
    await keepAlive(leader!, 209)
    expect(getToken).toHaveBeenCalledTimes(1)
    await keepAlive(leader!, 3)
    expect(getToken).toHaveBeenCalledTimes(2)
    await serve(browser)
    expect(browser.sockets).toEqual([leader!.socket])
    await keepAlive(leader!, 200)
    expect(follower!.states.filter((state) => state === 'live')).toHaveLength(1)
    const sent = change()
    leader!.receives(sent)
    await serve(browser)
    expect(follower!.heard).toEqual([sent.id])
  })

  test('that is refused ends its part at once', async () => {
    const browser = new Browser()
    const [leader, follower] = await open(browser, '42.x', '42.x')
    await keepAlive(leader!, 213, () => follower!.bench.sockets.at(-1)!.end(4501, 'revoked'))
    expect(follower!.status).toBe('stopped')
    await serve(browser)
    const sent = change()
    leader!.receives(sent)
    await serve(browser)
    expect([leader!.heard, follower!.heard]).toEqual([[sent.id], []])
  })

  test('that names somebody else ends its part: what was asked by the connection of before is lost, and it says so', async () => {
    const browser = new Browser()
    const tokens = { now: '42.x' }
    const [leader, follower] = await open(browser, '42.x', () => tokens.now)
    tokens.now = '43.x'
    await keepAlive(leader!, 213)
    const asked = follower!.bench.client.request({ type: 'notifications.list' })
    const lost = expect(asked).rejects.toMatchObject({ code: 'connection_lost' })
    const before = follower!.states.length
    await serve(browser)
    expect(follower!.states.slice(before)).toEqual(['connecting', 'live'])
    expect(follower!.bench.client.state.get()).toMatchObject({ status: 'live', user: '43' })
    await lost
  })

  test('that is not to be had lasts no longer than the token did', async () => {
    const browser = new Browser()
    const token = vi.fn(() => '42.x')
    const [leader, follower] = await open(browser, '42.x', token)
    token.mockImplementation(() => {
      throw new Error('offline')
    })
    await keepAlive(leader!, 299)
    expect(follower!.status).toBe('live')
    await keepAlive(leader!, 2)
    expect(follower!.status).not.toBe('live')
    leader!.receives(change())
    await serve(browser)
    expect(follower!.heard).toEqual([])
  })
})

/** Lets so many seconds go by, in which the bridge says something to the leader and answers no new connection. */
async function keepAlive(leader: Tab, count: number, also = (): void => {}): Promise<void> {
  for (let i = 0; i < count; i++) {
    leader.receives({ type: 'heartbeat', cursors: {} })
    await seconds(1)
  }
  also()
}

test('share: false keeps to itself', async () => {
  const browser = new Browser()
  for (const share of [false, true]) browser.open({ share, getToken: () => '42.x' }).listen()
  await vi.dynamicImportSettled()
  await serve(browser)
  expect(browser.sockets).toHaveLength(2)
})

test('where locks are forbidden each tab has a connection of its own', async () => {
  const browser = new Browser()
  const request = () => Promise.reject(new DOMException('opaque origin', 'SecurityError'))
  for (let i = 0; i < 2; i++) browser.open({ getToken: () => '42.x' }, { request } as never).listen()
  await vi.dynamicImportSettled()
  await serve(browser)
  await seconds(2)
  await serve(browser)
  expect(browser.sockets).toHaveLength(2)
  expect(browser.tabs.filter(({ status }) => status === 'live')).toHaveLength(2)
})
