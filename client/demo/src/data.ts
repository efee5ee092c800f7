import { queryOptions, useQuery } from '@tanstack/react-query'
import { now } from './format'
import { useSession } from './context'
import type { Session } from './context'
import { useCell } from './store'

/** What the page notes of a row that has changed before its eyes. */
export interface Moved {
  at?: number // when, in ms since 1970
  arrived?: boolean // it was not there before
  by?: number // by how much the quantity changed
  was?: string // the status before
}

export interface Request extends Moved {
  resource: string
  id: number
  number: string
  kind: string
  icon: string
  subject: string
  amount: string | null
  currency: string
  status: string
  requester: { id: string; name: string }
  created_at: string
  changed_at: string
  decidable: boolean
}

export interface Level extends Moved {
  id: number
  sku: string
  name: string
  warehouse_id: number
  warehouse: string
  quantity: number
  reorder_level: number
  changed_at: string
}

export interface Note {
  id: number
  message: string
  at: string
  read_at: string | null
}

export interface Notes {
  items: Note[]
  unread: number
}

/** A row of the ERP's that lets the user see what others filed or keep. */
export interface Right {
  id: string
  label: string
  sees: string
  held: boolean
  take: string
  give: string
  place?: string
}

export interface MigrationState {
  statement: string
  altered: boolean
  found: boolean
}

export interface TableRow {
  id: number
  label: string
  value: string
  seen_by: string[]
}

export interface Table {
  table: string
  column: string
  resource: string
  values: string[] | null
  rows: TableRow[]
}

export type Kind = 'requests' | 'stock'

type From = Pick<Session, 'api' | 'queries'>

export const requestsKey = ['requests'] as const
export const stockKey = ['stock-levels'] as const
export const notesKey = ['notifications'] as const
export const rightsKey = ['rights'] as const
export const migrationKey = ['migration'] as const
export const tablesKey = ['tables'] as const

type Row = Moved & { id: number; changed_at: string; status?: string; quantity?: number; reorder_level?: number }

/** The row with what the page knows of how it came to be so, by the row as it was before. */
export function noted<T extends Row>(row: T, before: T): T {
  const [status, by] = [row.status !== before.status, (row.quantity ?? 0) - (before.quantity ?? 0)]
  const { at, arrived, by: byBefore, was } = before
  if (status) return { ...row, at: now(), was: before.status }
  if (by !== 0 || row.reorder_level !== before.reorder_level) return { ...row, at: now(), by }
  const changed_at = Date.parse(before.changed_at) > Date.parse(row.changed_at) ? before.changed_at : row.changed_at
  return { ...row, changed_at, at, arrived, by: byBefore, was }
}

const recently = 60_000

/** The rows as fetched, with what the page knows of those that it had. */
function remember<T extends Row>(rows: T[], known: T[] | undefined, key: (row: T) => string): T[] {
  if (!known) return rows
  const before = new Map(known.map((row) => [key(row), row]))
  return rows.map((row) => {
    const old = before.get(key(row))
    if (old) return noted(row, old)
    return Date.now() - Date.parse(row.changed_at) < recently ? { ...row, arrived: true, at: now() } : row
  })
}

export const requestsQuery = ({ api, queries }: From) => queryOptions({
  queryKey: requestsKey,
  queryFn: async () => remember(await api.get<Request[]>('/api/requests'), queries.getQueryData<Request[]>(requestsKey),
    ({ resource, id }) => `${resource}/${id}`),
})

export const stockQuery = ({ api, queries }: From) => queryOptions({
  queryKey: stockKey,
  queryFn: async () => remember(await api.get<Level[]>('/api/stock'), queries.getQueryData<Level[]>(stockKey),
    ({ id }) => String(id)),
})

const plain = <T>(queryKey: readonly string[], path: string) => ({ api }: From) =>
  queryOptions({ queryKey, queryFn: () => api.get<T>(path) })

export const notesQuery = plain<Notes>(notesKey, '/api/notifications')
export const rightsQuery = plain<Right[]>(rightsKey, '/demo/rights')
export const migrationQuery = plain<MigrationState>(migrationKey, '/demo/migration')
export const tablesQuery = plain<Record<Kind, Table>>(tablesKey, '/demo/rows')

/** How many row changes the database has committed since the demo began, asked each second. */
export const committedQuery = ({ api }: From) => queryOptions({
  queryKey: ['committed'],
  queryFn: async () => (await api.get<{ changes: number }>('/demo/committed')).changes,
  refetchInterval: 1000,
})

export const useRequests = () => useQuery(requestsQuery(useSession()))
export const useStock = () => useQuery(stockQuery(useSession()))
export const useNotes = () => useQuery(notesQuery(useSession()))
export const useRights = () => useQuery(rightsQuery(useSession()))
export const useMigration = () => useQuery(migrationQuery(useSession()))
export const useTables = () => useQuery(tablesQuery(useSession()))

export function useCommitted() {
  const session = useSession()
  const [live, offline] = [useCell(session.live), useCell(session.offline)]
  return useQuery({ ...committedQuery(session), enabled: live || offline }) // else the demo may be over
}
