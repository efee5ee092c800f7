import { QueryClient } from '@tanstack/query-core'
import { QueryClient as ReactQueryClient } from '@tanstack/react-query'
import { expect, expectTypeOf, test } from 'vitest'
import { createClient } from '../../src/index.js'
import { syncQueries } from '../../src/tanstack/index.js'
import type { SyncOptions } from '../../src/tanstack/index.js'
import { setup } from '../fakesocket.js'

interface Erp {
  stock: {
    'stock-levels': { key: number; events: { stock_changed: { id: number; quantity: string } } }
    skus: { key: string; events: { sku_changed: { code: string } } }
  }
  approvals: { requests: { key: number; events: { approved: { status: 'yes' | 'no' } } } }
}

interface Shown {
  id: number
  left: string
}

test('the map is of the schema: resources, columns, and what a patch is given', () => {
  const client = createClient<Erp>({ url: 'wss://live.example/ws', channels: ['stock'] })
  const sync = (options: SyncOptions<Erp>): (() => void) => syncQueries(client, new QueryClient(), options)
  expectTypeOf(sync).returns.toEqualTypeOf<() => void>()
  const options: SyncOptions<Erp> = {
    channels: ['approvals', { channel: 'stock', resource: 'skus' }],
    jitter: { stock: 5_000 },
    map: {
      'stock-levels': {
        listColumns: ['quantity'],
        patch: (row, { quantity }, event) => {
          expectTypeOf(quantity).toEqualTypeOf<string>()
          expectTypeOf(event.resource_id).toEqualTypeOf<number>()
          return { ...row, left: quantity }
        },
      },
      requests: [{}, { patch: true }],
    },
  }
  const own: SyncOptions<Erp> = {
    map: { 'stock-levels': { patch: (row: Shown, data) => ({ ...row, left: data.quantity }) } },
  }
  // @ts-expect-error no such resource
  const resource: SyncOptions<Erp> = { map: { stocks: {} } }
  // @ts-expect-error no such column
  const column: SyncOptions<Erp> = { map: { skus: { listColumns: ['quantity'] } } }
  // @ts-expect-error no such channel
  const channel: SyncOptions<Erp> = { channels: ['stocks'] }
  expect([options, own, resource, column, channel]).toHaveLength(5)
})

test("react-query's QueryClient fits, and a client of which nothing is known", () => {
  const { client } = setup({ channels: ['stock'] })
  const stop = syncQueries(client, new ReactQueryClient(), { map: { anything: { patch: true, listColumns: ['any'] } } })
  stop()
  client.close()
  expect(client.state.get().status).toBe('idle')
})
