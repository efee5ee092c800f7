import type { QueryClient } from '@tanstack/react-query'
import type { EventFrame } from 'rowfeed'
import { notesKey, requestsKey, stockKey } from './data'
import type { Level, Moved, Notes, Request } from './data'

type Row = Record<string, unknown>

const moved = (event: EventFrame<Row>): Moved => ({ touched: event.id, at: Date.now() })
const gone = ({ op }: EventFrame<Row>): boolean => op === 'leave' || op === 'delete'
const notesKept = 40

/** The requests after an event; undefined where only the ERP can tell: of a row that the page does not know. */
export function patchRequests(list: Request[], event: EventFrame<Row>): Request[] | undefined {
  const mine = (item: Request): boolean => item.resource === event.resource && String(item.id) === String(event.resource_id)
  if (gone(event)) return list.filter((item) => !mine(item))
  const known = list.find(mine)
  if (!known || !event.data) return undefined
  const { status, amount } = event.data
  const next: Request = { ...known, ...moved(event), changed_at: event.at, status: String(status ?? known.status) }
  if (next.status !== known.status) next.was = known.status
  if (amount !== undefined && known.amount !== null) next.amount = String(amount)
  return list.map((item) => (item === known ? next : item))
}

/** The stock levels after an event, in the same way. */
export function patchStock(list: Level[], event: EventFrame<Row>): Level[] | undefined {
  const mine = ({ id }: Level): boolean => String(id) === String(event.resource_id)
  if (gone(event)) return list.filter((level) => !mine(level))
  const known = list.find(mine)
  if (!known || !event.data) return undefined
  if (event.type !== 'stock_changed') return list
  const quantity = Number(event.data.new_quantity)
  const next: Level = { ...known, ...moved(event), changed_at: event.at, quantity,
    reorder_level: Number(event.data.reorder_level), by: quantity - known.quantity }
  return list.map((level) => (level === known ? next : level))
}

/** The bell's messages after one more. */
export function patchNotes(notes: Notes, event: EventFrame<Row>): Notes {
  const id = Number(event.resource_id)
  if (notes.items.some((item) => item.id === id)) return notes
  const item = { id, message: event.message ?? '', at: event.at, read_at: null }
  return { items: [item, ...notes.items].slice(0, notesKept), unread: notes.unread + 1 }
}

/** Applies an event to what was fetched. */
export function apply(queries: QueryClient, event: EventFrame<Row>, resources: { requests: string[]; stock: string; notifications: string }): void {
  const patch = <T>(key: readonly string[], change: (data: T) => T | undefined): void => {
    const data = queries.getQueryData<T>(key)
    if (data === undefined) return
    const next = change(data)
    if (next === undefined) void queries.invalidateQueries({ queryKey: key })
    else queries.setQueryData(key, next)
  }
  if (resources.requests.includes(event.resource)) patch<Request[]>(requestsKey, (list) => patchRequests(list, event))
  if (event.resource === resources.stock) patch<Level[]>(stockKey, (list) => patchStock(list, event))
  if (event.resource === resources.notifications) patch<Notes>(notesKey, (notes) => patchNotes(notes, event))
}
