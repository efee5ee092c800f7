// What a developer of the sample ERP writes, with what `rowfeed types` has written for it. It is compiled, never run.
import { createClient } from 'rowfeed'
import type { EventOf, Key, Named, Op, RegisteredSchema, TypedEvent } from 'rowfeed'
import { createFakeServer } from 'rowfeed/testing'
import { is } from '../expect.js'
import type { Same } from '../expect.js'
import type { Schema } from './rowfeed.js'

is<Same<RegisteredSchema, Schema>>()

const client = createClient({ url: 'wss://live.example/ws', channels: ['stock', 'approvals'] })

client.on('stock_changed', ({ sku_id, new_quantity, warehouse_id }, event) => {
  is<Same<typeof sku_id, number>>()
  is<Same<typeof new_quantity, number>>()
  is<Same<typeof warehouse_id, number>>()
  is<Same<typeof event.resource_id, number>>()
  is<Same<typeof event.channel, 'stock'>>()
  is<Same<typeof event.op, Op>>()
  is<Same<typeof event.message, string | undefined>>()
  is<Same<NonNullable<typeof event.old>['new_quantity'], number | undefined>>()
  // @ts-expect-error: it may be a leave, which has no data
  void event.data.sku_id
})

client.on('stock_changed', (data) => {
  // @ts-expect-error: the frontend's name for the column is new_quantity
  void data.quantity
})

// @ts-expect-error: there is no such event
client.on('stock_change', () => {})

// @ts-expect-error: nor a channel of that name
createClient({ url: '', channels: ['stocks'] })

// One name on several resources: the resource tells which.
client.on('approval_status_changed', (data, event) => {
  is<Same<typeof data.status, string>>()
  // @ts-expect-error: not every resource has it
  void data.starts_on
  if (event.resource === 'leave-requests' && event.data !== undefined) {
    is<Same<typeof event.data.starts_on, string>>()
    is<Same<typeof event.data.days, number>>()
  }
  if (event.resource === 'expense-requests' && event.data !== undefined) {
    is<Same<typeof event.data.amount, string>>() // under the rule's strings
    // @ts-expect-error: it is the leave's
    void event.data.days
  }
  // @ts-expect-error: no such resource
  if (event.resource === 'leaves') return
})

is<Same<Named<Schema, 'asset_assigned'>, TypedEvent<'activity', 'assets', number, 'asset_assigned',
  Schema['activity']['assets']['events']['asset_assigned']>>>()
is<Same<EventOf<Schema>['channel'], 'activity' | 'approvals' | 'notifications' | 'stock'>>()

// A topic: its resource decides what comes.
client.subscribe({ channel: 'stock', resource: 'stock-levels', where: { warehouse_id: [1, 2] } }, (event) => {
  is<Same<typeof event.type, 'low_stock' | 'stock_changed'>>()
  if (event.type === 'low_stock') is<Same<NonNullable<typeof event.data>['quantity'], number>>()
  // @ts-expect-error: that is stock_changed's
  if (event.type === 'low_stock') void event.data?.new_quantity
})

client.subscribe({ channel: 'approvals' }, (event) => {
  is<Same<typeof event.type, 'approval_status_changed' | 'transfer_status_changed'>>()
  if (event.resource === 'purchase-orders') is<Same<NonNullable<typeof event.data>['supplier'], string>>()
})

client.subscribe({ channel: 'activity', resource: 'assets', key: '17' }, ({ data }) => {
  is<Same<NonNullable<typeof data>['assigned_to_id'], number | null>>()
})

// @ts-expect-error: of another channel
client.subscribe({ channel: 'stock', resource: 'expense-requests' }, () => {})

// @ts-expect-error: no such channel
client.subscribe({ channel: 'stocks' }, () => {})

// @ts-expect-error: not a field of its events
client.subscribe({ channel: 'stock', resource: 'stock-levels', where: { colour: 1 } }, () => {})

// A schema of one's own, in place of the registered one.
interface Own {
  ticks: { clock: { key: [number, string]; events: { tick: { at: string | null } } } }
}
const own = createClient<Own>({ url: '', channels: ['ticks'] })
own.on('tick', ({ at }, { resource_id }) => {
  is<Same<typeof at, string | null>>()
  is<Same<typeof resource_id, [number, string]>>()
})
// @ts-expect-error: that is the registered schema's
own.on('stock_changed', () => {})

is<Same<Key, string | number | boolean | null | (string | number | boolean | null)[]>>()

// The fake server of unit tests takes this installation's events only.
const server = createFakeServer({ channels: { stock: { 'stock-levels': ['sku_id'] } } })
server.emit('stock', { type: 'low_stock', resource: 'stock-levels', resource_id: 5,
  data: { id: 5, sku_id: 7, warehouse_id: 2, quantity: 9, reorder_level: 10, company_id: 1 } })
// @ts-expect-error: quantity is missing
server.emit('stock', { type: 'low_stock', resource: 'stock-levels', data: { id: 5, sku_id: 7, warehouse_id: 2 } })
// @ts-expect-error: an event of another channel
server.emit('stock', { type: 'asset_assigned', resource: 'assets' })
server.client().on('low_stock', ({ quantity }) => void is<Same<typeof quantity, number>>())
