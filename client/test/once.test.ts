import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Browser, change, serve } from './browser.js'
import type { Tab } from './browser.js'

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('IDBKeyRange', { upperBound: (at: number) => at })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** The little of IndexedDB that claims need; what `fail` throws is an error of storage. */
function storage(fail?: () => void): Map<string, { at: number }> {
  const claims = new Map<string, { at: number }>()
  const later = (request: any, error?: Error) => {
    queueMicrotask(() => {
      request.error = error
      if (error) request.onerror({ preventDefault() {} })
      else request.onsuccess?.()
    })
    return request
  }
  const objectStore = () => ({
    index: () => ({
      openCursor(oldest: number) {
        for (const [id, { at }] of claims) if (at <= oldest) claims.delete(id)
        return later({ result: null })
      },
    }),
    add(value: { at: number }, id: string) {
      fail?.()
      const taken = claims.has(id)
      if (!taken) claims.set(id, value)
      return later({}, taken ? new DOMException('there', 'ConstraintError') : undefined)
    },
  })
  vi.stubGlobal('indexedDB', { open: () => later({ result: { transaction: () => ({ objectStore }) } }) })
  return claims
}

/** Tabs with two handlers each of which one browser shows one, on connections of their own. */
async function open(...users: string[]): Promise<[Browser, { shown: string[]; tab: Tab }[]]> {
  const browser = new Browser()
  const tabs = users.map((user) => {
    const shown: string[] = []
    const tab = browser.open({ getToken: () => `${user}.x`, channels: ['stock'], share: false })
    tab.bench.client.on('stock_changed', (_, { id }) => shown.push(`on ${id}`), { once: 'browser' })
    tab.bench.client.subscribe({ channel: 'stock' }, ({ id }) => shown.push(`subscribe ${id}`), { once: 'browser' })
    return { shown, tab }
  })
  await serve(browser)
  return [browser, tabs]
}

async function hear(tabs: { tab: Tab }[], ...events: ReturnType<typeof change>[]): Promise<void> {
  for (const { tab } of tabs) for (const event of events) tab.receives(event)
  await vi.advanceTimersByTimeAsync(0)
  await vi.dynamicImportSettled()
  await vi.advanceTimersByTimeAsync(3_000)
}

test('of several tabs one shows an event, with all its handlers', async () => {
  storage()
  const [, tabs] = await open('42', '42', '42')
  const events = [change(), change()]
  await hear(tabs, ...events)
  expect(tabs.flatMap(({ shown }) => shown).sort()).toEqual(events.flatMap(({ id }) => [`on ${id}`, `subscribe ${id}`]).sort())
  for (const { shown } of tabs) expect([0, 2, 4]).toContain(shown.length)
})

test('it is not shown again by a tab that comes later', async () => {
  storage()
  const [, first] = await open('42')
  const event = change()
  await hear(first, event)
  const [, later] = await open('42')
  await hear(later, event)
  expect([first[0]!.shown.length, later[0]!.shown.length]).toEqual([2, 0])
})

test('two users are shown it each', async () => {
  storage()
  const [, tabs] = await open('42', '43')
  await hear(tabs, change())
  expect(tabs.map(({ shown }) => shown.length)).toEqual([2, 2])
})

test('the tab that is looked at comes first', async () => {
  storage()
  const [, tabs] = await open('42', '42')
  const looks: [DocumentVisibilityState, boolean][] = [['hidden', false], ['visible', true]]
  vi.stubGlobal('document', {
    get visibilityState() {
      return looks[0]![0]
    },
    hasFocus: () => looks.shift()![1],
  })
  const event = change()
  tabs[0]!.tab.receives(event) // a hidden tab
  await vi.advanceTimersByTimeAsync(0)
  await vi.dynamicImportSettled()
  await vi.advanceTimersByTimeAsync(10)
  looks.shift()
  tabs[1]!.tab.receives(event)
  await vi.advanceTimersByTimeAsync(3_000)
  expect(tabs.map(({ shown }) => shown.length)).toEqual([0, 2])
})

test.each<[string, () => void]>([
  ['without storage', () => {}],
  ['with storage that fails', () => void storage(() => {
    throw new DOMException('full', 'QuotaExceededError')
  })],
  ['with storage that never answers', () => vi.stubGlobal('indexedDB', { open: () => ({}) })],
])('%s every tab shows it', async (_, prepare) => {
  prepare()
  const [, tabs] = await open('42', '42')
  await hear(tabs, change())
  expect(tabs.map(({ shown }) => shown.length)).toEqual([2, 2])
})

test('old claims are thrown away', async () => {
  const claims = storage()
  claims.set('old', { at: Date.now() - 8 * 24 * 3600_000 })
  claims.set('new', { at: Date.now() - 6 * 24 * 3600_000 })
  await hear((await open('42'))[1], change())
  expect([claims.has('old'), claims.has('new'), claims.size]).toEqual([false, true, 2])
})
