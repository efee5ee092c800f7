import { act, cleanup } from '@testing-library/react'
import { hydrateRoot } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { expect, test, vi } from 'vitest'
import {
  RowfeedProvider, useChannel, useConnection, useEditing, useEvent, useLease, useMetrics, useNotifications, usePresence,
  useWebSocket,
} from '../../src/react/index.js'
import { open, quietly } from './bench.js'

quietly()

function Everything() {
  const { state, isLive } = useConnection()
  useEvent('stock_changed', () => {})
  const stated = [
    useChannel({ channel: 'stock' }), useNotifications(), usePresence('docs/1', { a: 1 }), useEditing('docs/1', 'title'),
    useLease('stock-levels', 17), useMetrics('approvals'),
  ].map(({ status }) => status)
  const { socket, isConnected } = useWebSocket('/ws/stock')
  return <p>{[state.status, isLive, ...stated, socket, isConnected].join(' ')}</p>
}

test('rendered on a server: no socket, no timer, and what the browser renders first is the same', async () => {
  const dialled = vi.fn<(url: unknown) => void>()
  vi.stubGlobal('WebSocket', class extends EventTarget {
    constructor(url: unknown) {
      super()
      dialled(url)
    }
    close() {}
  })
  const page = open({ channels: ['stock'] })
  const tree = <RowfeedProvider client={page.client}><Everything /></RowfeedProvider>
  const html = renderToString(tree)
  expect(html).toBe('<p>idle false subscribing loading entering entering idle subscribing  false</p>')
  expect(renderToString(<RowfeedProvider options={{ url: 'wss://live.example/ws', channels: ['stock'] }}><Everything /></RowfeedProvider>)).toBe(html)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
  expect([dialled.mock.calls, page.sockets]).toEqual([[], []])

  page.client.connect() // live before the page is hydrated
  await page.live()
  const container = document.createElement('div')
  container.innerHTML = html
  document.body.append(container)
  const complaints = vi.spyOn(console, 'error')
  const mismatches = vi.fn()
  const root = await act(async () => hydrateRoot(container, tree, { onRecoverableError: mismatches }))
  await page.live()
  expect([mismatches.mock.calls, complaints.mock.calls]).toEqual([[], []])
  expect(container.textContent).toMatch(/^live true live /)
  expect(dialled).toHaveBeenCalledTimes(1)
  act(() => root.unmount())
  container.remove()
  cleanup()
  await page.pass()
  vi.unstubAllGlobals()
})
