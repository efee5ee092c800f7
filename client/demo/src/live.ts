import type { QueryClient } from '@tanstack/react-query'
import type { Client, EventFrame } from 'rowfeed'
import { syncQueries } from 'rowfeed/tanstack'
import { noted, requestsKey, stockKey } from './data'
import type { Level, Request } from './data'

type Data = Record<string, unknown>

/** A request's status flips at once; whose it is and what for an event does not say: the list is fetched, too. */
const request = {
  channel: 'approvals',
  queryKey: requestsKey,
  isList: () => true,
  patch(row: Request, { status, amount }: Data, { resource, at }: EventFrame<unknown>): Request {
    if (row.resource !== resource) return row // ids are a table's own
    const next = { ...row, changed_at: at, status: String(status) }
    if (amount !== undefined && row.amount !== null) next.amount = String(amount)
    return noted(next, row)
  },
}

/** Quantities are all in the events: the list is fetched only where it may have other rows. */
const level = {
  channel: 'stock',
  queryKey: stockKey,
  isList: () => true,
  listColumns: ['warehouse_id'] as const,
  patch(row: Level, { new_quantity, reorder_level }: Data, { type, at }: EventFrame<unknown>): Level {
    if (type !== 'stock_changed') return row
    return noted({ ...row, changed_at: at, quantity: Number(new_quantity), reorder_level: Number(reorder_level) }, row)
  },
}

/** Keeps what was fetched as the database is. One browser on one machine: nobody to spread the fetches over. */
export const follow = (client: Client, queries: QueryClient): (() => void) =>
  syncQueries(client, queries, {
    jitter: 0,
    interval: 250,
    map: {
      'expense-requests': request,
      'advance-requests': request,
      'leave-requests': request,
      'policy-approvals': request,
      'purchase-orders': request,
      'transfer-requests': request,
      'physical-counts': request,
      disbursements: request,
      'stock-levels': level,
      notifications: { channel: 'notifications' },
    },
  })
