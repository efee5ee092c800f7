import { act, render } from '@testing-library/react'
import { expect, test } from 'vitest'
import { RowfeedProvider, useEditing, useMetrics, usePresence } from '../../src/react/index.js'
import { event } from '../fakesocket.js'
import { open, quietly } from './bench.js'
import type { Page } from './bench.js'

quietly()

const room = 'grant-proposals/17'
const siti = { user: '42', name: 'Siti', state: {} }
const budi = { user: '7', name: 'Budi', state: { field: 'budget' }, since: '2026-11-23T08:15:02.114Z' }

/** Refuses the newest frame of a type, as a bridge does that does not know it. */
export function refuse(page: Page, type: string, code = 'unknown_type'): Promise<void> {
  page.say({ type: 'error', ref: page.last(type).ref, code, message: 'no' })
  return page.pass()
}

test('enters once with its state, follows who comes and goes, and leaves at the end', async () => {
  const page = open()
  const { result, rerender, unmount } = page.hook(({ field }) => usePresence(room, { field }), { field: 'title' })
  expect(result.current).toMatchObject({ users: [], status: 'entering' })
  const socket = await page.live()
  expect(socket.of('presence.enter')).toMatchObject([{ room, state: { field: 'title' } }])
  page.say({ type: 'presence', room, users: [siti] })
  await page.pass()
  expect(result.current).toMatchObject({ users: [siti], status: 'live' })
  page.say({ type: 'presence.joined', room, ...budi })
  page.say({ type: 'presence.joined', room: 'another/1', ...budi, user: '8' })
  expect(result.current.users).toEqual([siti, budi])
  page.say({ type: 'presence.changed', room, user: '7', state: { field: 'title' } })
  expect(result.current.users).toEqual([siti, { ...budi, state: { field: 'title' } }])
  page.say({ type: 'presence.left', room, user: '7' })
  expect(result.current.users).toEqual([siti])

  rerender({ field: 'title' })
  expect(socket.of('presence.update')).toEqual([])
  rerender({ field: 'budget' })
  act(() => result.current.update({ typing: true }))
  expect(socket.of('presence.update').map(({ state }) => state)).toEqual([{ field: 'budget' }, { field: 'budget', typing: true }])
  expect(result.current.users).toEqual([{ ...siti, state: { field: 'budget', typing: true } }])
  unmount()
  await page.pass()
  expect(socket.of('presence.leave')).toMatchObject([{ room }])
  expect(socket.of('presence.enter')).toHaveLength(1)
})

test('enters again after a drop, with what it last said, and meanwhile keeps who was there', async () => {
  const page = open()
  const { result } = page.hook(() => usePresence(room, { field: 'title' }))
  await page.live()
  page.say({ type: 'presence', room, users: [siti, budi] })
  await page.pass()
  act(() => page.sockets[0]!.end(1006))
  expect(result.current).toMatchObject({ users: [siti, budi], status: 'entering' })
  await page.pass(20_000)
  const next = await page.live()
  expect(next.of('presence.enter')).toMatchObject([{ room, state: { field: 'title' } }])
  page.say({ type: 'presence', room, users: [siti] })
  await page.pass()
  expect(result.current).toMatchObject({ users: [siti], status: 'live' })
})

test.each([
  ['unknown_type', 'unsupported'],
  ['unsupported_transport', 'unsupported'],
  ['forbidden', 'refused'],
])('a bridge that answers %s: %s', async (code, status) => {
  const page = open()
  const { result } = page.hook(() => usePresence(room))
  await page.live()
  await refuse(page, 'presence.enter', code)
  expect(result.current).toMatchObject({ users: [], status })
  expect(page.unhandled).toEqual([])
})

test('two components in one room are there once; null is in none', async () => {
  const page = open()
  const { result, rerender } = page.hook(
    ({ second }) => [usePresence(room, { a: 1 }), usePresence(second, { b: 2 })] as const,
    { second: room as string | null },
  )
  const socket = await page.live()
  expect(socket.of('presence.enter')).toMatchObject([{ room, state: { a: 1, b: 2 } }])
  rerender({ second: null })
  await page.pass()
  expect(socket.of('presence.leave')).toEqual([])
  expect(result.current[1].status).toBe('idle')
})

test('useEditing: who else is in which field, by presence', async () => {
  const page = open()
  const { result, rerender, unmount } = page.hook(({ field }) => useEditing(room, field), { field: 'title' as string | null })
  const socket = await page.live()
  page.say({ type: 'presence', room, users: [{ ...siti, state: { field: 'title' } }, budi, { user: '9', state: {} }] })
  await page.pass()
  expect(result.current).toEqual({ editors: [{ user: '7', name: 'Budi', field: 'budget' }], status: 'live' })
  page.say({ type: 'presence.changed', room, user: '7', state: { field: null } })
  expect(result.current.editors).toEqual([])
  rerender({ field: null })
  expect(socket.of('presence.update').map(({ state }) => state)).toEqual([{ field: null }])
  unmount()
  await page.pass()
  expect(socket.of('presence.leave')).toHaveLength(1)
})

test('useEditing: by user_editing events, where there is no presence', async () => {
  const page = open()
  const topic = { channel: 'documents', resource: 'editing', where: { document_id: 17 } }
  const { result } = page.hook(() => useEditing(room, null, { topic }))
  const socket = await page.live()
  await refuse(page, 'presence.enter')
  expect(socket.of('subscribe')).toMatchObject([topic])
  page.say({ type: 'subscribed', ref: page.last('subscribe').ref })
  const editing = (fields: object, op: 'insert' | 'update' | 'delete' = 'update') =>
    page.say(event({ type: 'user_editing', channel: 'documents', resource: 'editing', op, data: { document_id: 17, ...fields } }))
  editing({ user: '7', name: 'Budi', field: 'budget' }, 'insert')
  editing({ user: '42', name: 'Siti', field: 'title' })
  expect(result.current).toEqual({ editors: [{ user: '7', name: 'Budi', field: 'budget' }], status: 'live' })
  editing({ user: '7', name: 'Budi', field: 'title' })
  expect(result.current.editors).toEqual([{ user: '7', name: 'Budi', field: 'title' }])
  editing({ user: '7', name: 'Budi', field: 'title' }, 'delete')
  expect(result.current.editors).toEqual([])
})

test('useEditing: while the connection is lost, one is not somebody else', async () => {
  const page = open()
  const { result } = page.hook(() => useEditing(room, 'title'))
  await page.live()
  const { user } = page.client.state.get() as { user: string }
  page.say({ type: 'presence', room, users: [{ user, state: { field: 'title' } }, budi] })
  await page.pass()
  act(() => page.sockets[0]!.end(1006))
  expect(result.current.editors.map(({ user }) => user)).toEqual(['7'])
})

test('useEditing: who edits one document, by events, does not edit the next', async () => {
  const page = open()
  const { result, rerender } = page.hook(({ id }) =>
    useEditing(`documents/${id}`, null, { topic: { channel: 'documents', where: { document_id: id } } }), { id: 17 })
  await page.live()
  await refuse(page, 'presence.enter')
  page.say({ type: 'subscribed', ref: page.last('subscribe').ref })
  const data = { user: '7', name: 'Budi', field: 'budget', document_id: 17 } as never
  page.say(event({ type: 'user_editing', channel: 'documents', resource: 'editing', op: 'insert', data }))
  expect(result.current.editors).toHaveLength(1)
  rerender({ id: 18 })
  await page.pass()
  await refuse(page, 'presence.enter')
  expect(result.current.editors).toEqual([])
})

test('useMetrics: another client, as after another login, does not show the values of the one before', async () => {
  const [one, two] = [open(), open()]
  const Values = () => <>{JSON.stringify(useMetrics('approvals').values)}</>
  const page = (client: typeof one.client) => <RowfeedProvider client={client}><Values /></RowfeedProvider>
  const { container, rerender } = render(page(one.client))
  await one.live()
  one.say(event({ type: 'metrics_updated', channel: 'metrics', resource: 'approvals', data: { open: 3 } as never }))
  expect(container.textContent).toBe('{"open":3}')
  rerender(page(two.client))
  expect(container.textContent).toBe('{}')
})

test('useEditing: a bridge that has neither says so', async () => {
  const page = open()
  const { result } = page.hook(() => useEditing(room, 'title'))
  await page.live()
  await refuse(page, 'presence.enter')
  await refuse(page, 'subscribe', 'unknown_channel')
  expect(result.current).toEqual({ editors: [], status: 'unsupported' })
})

test('useMetrics puts together what changed, and says since when it is old', async () => {
  const page = open()
  const { result } = page.hook(() => useMetrics<{ open: number; late: number }>('approvals'))
  expect(result.current).toEqual({ values: {}, at: undefined, since: undefined, status: 'subscribing' })
  const socket = await page.live()
  expect(socket.of('subscribe')).toMatchObject([{ channel: 'metrics', resource: 'approvals', rewind: 1 }])
  const metrics = (at: string, data: object, more = {}) =>
    page.say({ ...event({ type: 'metrics_updated', channel: 'metrics', resource: 'approvals', at, data: data as never }), ...more })
  metrics('1', { open: 3, late: 1 })
  metrics('2', { open: 4 })
  expect(result.current).toEqual({ values: { open: 4, late: 1 }, at: '2', since: undefined, status: 'live' })
  metrics('3', {}, { since: '2' })
  expect(result.current).toMatchObject({ values: { open: 4, late: 1 }, since: '2' })
})

test('useMetrics of a bridge without metrics', async () => {
  const page = open()
  const { result } = page.hook(() => useMetrics('approvals'))
  await page.pass()
  act(() => page.sockets[0]!.welcome())
  await refuse(page, 'subscribe', 'unknown_channel')
  expect(result.current.status).toBe('unsupported')
})
