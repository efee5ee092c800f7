/** A key of TanStack Query. */
export type QueryKey = readonly unknown[]

/**
 * What is needed of TanStack's QueryClient. Said here by its shape, so that any copy of query-core of version 5 fits:
 * that of react-query, vue-query, solid-query or svelte-query.
 */
export interface QueryClientLike {
  getQueryCache(): QueryCacheLike
  getMutationCache(): MutationCacheLike
}

export interface QueryCacheLike {
  getAll(): QueryLike[]
  remove(query: never): void
  subscribe(listener: (event: CacheEvent) => void): () => void
}

export interface CacheEvent {
  type: string
  query: QueryLike
  action?: { type: string; manual?: boolean }
}

export interface QueryLike {
  readonly queryKey: QueryKey
  readonly state: {
    readonly data: unknown
    readonly dataUpdatedAt: number
    readonly fetchStatus: string
    readonly isInvalidated: boolean
    readonly fetchMeta?: { fetchMore?: unknown } | null
  }
  isActive(): boolean
  isStatic?(): boolean
  invalidate(): void
  reset(): void
  setData(data: unknown, options: { manual: boolean; updatedAt?: number }): unknown
  fetch(options?: undefined, fetchOptions?: { cancelRefetch?: boolean }): Promise<unknown>
}

export interface MutationCacheLike {
  getAll(): MutationLike[]
  subscribe(listener: (event: { type: string; mutation?: MutationLike }) => void): () => void
}

export interface MutationLike {
  readonly state: { readonly status: string }
  readonly options: { readonly mutationKey?: QueryKey | undefined; readonly onMutate?: unknown }
}
