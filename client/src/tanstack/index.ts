/** Keeps the queries of TanStack Query as the database is. See the README. */
export { syncQueries } from './sync.js'
export type { QueryClientLike, QueryKey } from './queryclient.js'
export type { Patch, QueryRule, SyncOptions } from './rules.js'
