import { expectTypeOf, test } from 'vitest'
import type { Client, EventFrame } from '../../src/index.js'
import {
  RowfeedProvider, useChannel, useClient, useConnection, useEvent, useLease, useMetrics, useNotifications, useWebSocket,
} from '../../src/react/index.js'
import type { RowfeedProviderProps } from '../../src/react/index.js'

/** Compiled, never called: what the hooks take and give. */
export function Uses({ typed }: { typed: Client<{ stock: { levels: { key: number; events: { moved: { n: number } } } } }> }) {
  expectTypeOf(useClient()).toEqualTypeOf<Client>()
  const { state, isLive } = useConnection()
  expectTypeOf(isLive).toEqualTypeOf<boolean>()
  if (state.status === 'live') expectTypeOf(state.user).toEqualTypeOf<string>()
  // @ts-expect-error only a live connection has a user
  void state.user

  useEvent('stock_changed', ({ sku_id, new_quantity }, event) => void [sku_id, new_quantity, event.message, event.link])
  useEvent('stock_changed', () => {}, { once: 'browser' })
  // @ts-expect-error there is no such once
  useEvent('stock_changed', () => {}, { once: 'tab' })

  const { status, error } = useChannel({ channel: 'stock', where: { sku_id: [5, 6] } }, (event) => {
    expectTypeOf(event.resource).toEqualTypeOf<string>()
    expectTypeOf(event.op).toEqualTypeOf<EventFrame['op']>()
  })
  expectTypeOf(status).toEqualTypeOf<'idle' | 'subscribing' | 'live' | 'refused'>()
  expectTypeOf(error?.code).toEqualTypeOf<string | undefined>()
  useChannel(null)
  // @ts-expect-error a topic has a channel
  useChannel({ resource: 'stock-levels' })

  expectTypeOf(useMetrics<{ open: number }>('approvals').values.open).toEqualTypeOf<number | undefined>()
  expectTypeOf(useLease('stock-levels', [1, 2]).fence).toEqualTypeOf<number | undefined>()
  // @ts-expect-error a key is a row's, not a row
  useLease('stock-levels', { id: 1 })
  expectTypeOf(useNotifications().markRead).parameter(0).toEqualTypeOf<readonly import('../../src/index.js').Key[] | 'all'>()
  expectTypeOf(useWebSocket('/ws/stock').socket).toEqualTypeOf<WebSocket | null>()
  return <RowfeedProvider client={typed}>text <b>and more</b></RowfeedProvider>
}

test('a provider takes a client or options, not both and not neither', () => {
  expectTypeOf<{ client: Client }>().toExtend<RowfeedProviderProps>()
  expectTypeOf<{ options: { url: string } }>().toExtend<RowfeedProviderProps>()
  expectTypeOf<{ client: Client; options: { url: string } }>().not.toExtend<RowfeedProviderProps>()
  expectTypeOf<{ children: null }>().not.toExtend<RowfeedProviderProps>()
})
