import { queryOptions, useQuery } from '@tanstack/react-query'
import { useSession } from './session'
import type { Session } from './session'

/** What the page adds to a row that an event has changed. It survives a fetch that finds the row as the event left it. */
export interface Moved {
  touched?: string // the event's id
  at?: number // when, in ms since 1970
  arrived?: boolean // it was not on the page before
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

/** The rows as fetched, with what the page had noted of those that are as it knew them. */
function remember<T extends Moved>(fresh: T[], known: T[] | undefined, key: (row: T) => string, same: (a: T, b: T) => boolean): T[] {
  const before = new Map(known?.map((row) => [key(row), row]))
  return fresh.map((row) => {
    const old = before.get(key(row))
    if (!old?.touched || !same(row, old)) return row
    const { touched, at, arrived, by, was } = old
    return Object.assign(row, { touched, at, arrived, by, was })
  })
}

export const requestsQuery = ({ api, queries }: From) => queryOptions({
  queryKey: requestsKey,
  queryFn: async () => remember(await api.get<Request[]>('/api/requests'), queries.getQueryData<Request[]>(requestsKey),
    (row) => `${row.resource}/${row.id}`, (a, b) => a.status === b.status),
})

export const stockQuery = ({ api, queries }: From) => queryOptions({
  queryKey: stockKey,
  queryFn: async () => remember(await api.get<Level[]>('/api/stock'), queries.getQueryData<Level[]>(stockKey),
    (row) => String(row.id), (a, b) => a.quantity === b.quantity),
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
export const useCommitted = () => useQuery(committedQuery(useSession()))
