import type { Client } from '../client.js'
import type { EventFrame, ResyncFrame, Topic } from '../frames.js'
import { keyText } from '../match.js'
import type { RegisteredSchema } from '../schema.js'
import { Fetches } from './fetches.js'
import { placer, startsWith, stemsOf } from './keys.js'
import type { Place, Rows } from './keys.js'
import { patchData } from './patch.js'
import type { QueryClientLike, QueryLike } from './queryclient.js'
import type { Rule, SyncOptions } from './rules.js'

/** The rules of a resource, of which what was left out is as usual. */
function rules(resource: string, given: object): Rule[] {
  return [given].flat().map((rule) => ({ queryKey: [resource], ...rule }))
}

/** Events are collected for so long, in ms, or until there are so many. */
const window = 50
const most = 500

/**
 * Keeps the queries of a TanStack QueryClient as the database is: an event has those queries fetched, or patched, that it
 * concerns. Returns how to stop. The README has the rules.
 */
export function syncQueries<S = RegisteredSchema>(
  client: Client<S>,
  queryClient: QueryClientLike,
  options: SyncOptions<NoInfer<S>> = {},
): () => void {
  const cache = queryClient.getQueryCache()
  const rulesOf = new Map(Object.entries((options.map ?? {}) as Record<string, object>).map(([resource, given]) => [resource, rules(resource, given)]))
  const homes = new Map<string, string>() // the channel of each resource
  rulesOf.forEach((list, resource) => list.forEach(({ channel }) => channel && homes.set(resource, channel)))
  const topics = (options.channels ?? client.channels).map(
    (topic): Topic => (typeof topic === 'string' ? { channel: topic } : (topic as Topic)))
  const fetches = new Fetches(queryClient, options.interval ?? 1_000, ({ queryKey }) => !cutOff() || !concerns(queryKey))
  let heard = new Map<string, Rows>()
  let count = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  function rulesFor(resource: string): readonly Rule[] {
    return rulesOf.get(resource) ?? [{ queryKey: [resource] }]
  }

  function spread(channel: string): number {
    const { jitter = 250 } = options
    return typeof jitter === 'number' ? jitter : ((jitter as Record<string, number>)[channel] ?? 250)
  }

  function onEvent(event: EventFrame): void {
    const { resource, resource_id, channel } = event
    homes.set(resource, channel)
    const rows = heard.get(resource) ?? new Map()
    const id = keyText(resource_id)
    rows.set(id, [...(rows.get(id) ?? []), { event, clock: ++fetches.clock }])
    heard.set(resource, rows)
    if (++count >= most) flush()
    else timer ??= setTimeout(flush, window)
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    count = 0
    const batch = heard
    heard = new Map()
    for (const [resource, rows] of batch) {
      for (const rule of rulesFor(resource)) {
        const place = placer(rule, rows)
        for (const query of cache.getAll()) {
          const at = place(query.queryKey)
          if (at) tell(query, at, rule, rows, spread(homes.get(resource)!))
        }
      }
    }
  }

  /** Does to a query what events of its rows ask for. */
  function tell(query: QueryLike, place: Place, rule: Rule, rows: Rows, wait: number): void {
    const held = fetches.held(query)
    const news = (place.row === undefined ? [...rows.values()].flat() : rows.get(place.row)!).filter(
      ({ clock }) => clock > held)
    const last = news.at(-1)
    if (last === undefined) return
    const clock = Math.max(...news.map((one) => one.clock))
    if (place.row !== undefined && (last.event.op === 'delete' || last.event.op === 'leave')) return gone(query, clock, wait)
    const patchable = rule.patch && query.state.data !== undefined && !fetches.mutating(query)
    const busy = fetches.busy(query)
    if (!patchable || (busy && rule.version === undefined)) return fetches.need(query, clock, wait)
    const put = (): void => {
      const { data, fetch } = patchData(query.state.data, place, rule, rows, fetches.held(query))
      const { isInvalidated, dataUpdatedAt } = query.state
      if (data !== query.state.data) {
        // It is as old as it was, but for this row.
        query.setData(data, { manual: true, updatedAt: dataUpdatedAt })
        if (isInvalidated) query.invalidate()
      }
      if (fetch) fetches.need(query, clock, wait)
    }
    put()
    if (busy) fetches.after(query, put)
  }

  /** The row of a query is gone, or no longer ours: nothing of it stays, on the page or in memory. */
  function gone(query: QueryLike, clock: number, wait: number): void {
    if (!query.isActive()) return cache.remove(query as never)
    query.reset()
    fetches.need(query, clock, wait)
  }

  /** Whether events of a channel, or of its resource, or any at all, may be about a query. */
  function concerns(key: readonly unknown[], channel?: string, resource?: string): boolean {
    const covered = (name: string): boolean =>
      (channel === undefined || (homes.get(name) ?? channel) === channel) &&
      rulesFor(name).some((rule) => [rule.queryKey, ...stemsOf(rule, ' ')].some((stem) => startsWith(key, stem)))
    if (resource !== undefined) return covered(resource)
    const [first] = key
    return [...rulesOf.keys()].some(covered) || (typeof first === 'string' && !rulesOf.has(first) && covered(first))
  }

  /** Has fetched what may have missed something. */
  function catchUp({ channel, resource }: { channel: string; resource?: string }, refuse = false): void {
    const clock = ++fetches.clock
    for (const query of cache.getAll()) {
      if (!concerns(query.queryKey, channel, resource)) continue
      if (refuse && !query.isActive()) cache.remove(query as never)
      else fetches.need(query, clock, spread(channel))
    }
  }

  const stops = topics.map((topic) => {
    let first = true
    const { channel, resource } = topic
    if (resource !== undefined) homes.set(resource, channel)
    return client.subscribe(topic as never, onEvent as never, {
      onLive() {
        if (first) catchUp(topic)
        first = false
      },
      onResync: (frame: ResyncFrame) => catchUp({ ...topic, ...frame }, frame.reason === 'grants_changed'),
    })
  })

  /** No events come, and it is not just for a moment. */
  function cutOff(): boolean {
    const state = client.state.get()
    return state.status === 'stopped' || ('attempt' in state && state.attempt > 2)
  }
  stops.push(client.state.subscribe(() => {
    if (cutOff()) for (const query of cache.getAll()) if (concerns(query.queryKey)) query.invalidate()
  }))

  return () => {
    clearTimeout(timer)
    stops.forEach((stop) => stop())
    fetches.stop()
  }
}
