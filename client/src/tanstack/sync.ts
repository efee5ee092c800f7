import type { Client } from '../client.js'
import type { EventFrame, ResyncFrame, Topic } from '../frames.js'
import { keyText } from '../match.js'
import type { RegisteredSchema } from '../schema.js'
import { busy, createFetches } from './fetches.js'
import { placer, startsWith, stemsOf } from './keys.js'
import type { Place, Rows } from './keys.js'
import type { QueryClientLike, QueryLike } from './queryclient.js'
import type { Rule, SyncOptions } from './rules.js'

/** Events are collected for so long, in ms, or until there are so many. */
const window = 50
const most = 500

/**
 * Keeps the queries of a TanStack QueryClient as the database is: an event has those queries fetched, or patched, that
 * it concerns. Returns how to stop. The README has the rules.
 */
export function syncQueries<S = RegisteredSchema>(
  client: Client<S>,
  queryClient: QueryClientLike,
  { channels = client.channels, map = {}, jitter = 250, interval = 1_000 }: SyncOptions<NoInfer<S>> = {},
): () => void {
  const cache = queryClient.getQueryCache()
  if (!channels.length) throw new Error('syncQueries: no channel to hear: give createClient its `channels`')
  let live = false
  const fetches = createFetches(queryClient, interval, ({ queryKey }) => !cutOff() || !concerns(queryKey), (query) => {
    const { queryKey } = query
    if (live && concerns(queryKey)) fetches.need(query, fetches.tick(), spread(homes.get(queryKey[0] as string)!))
  })
  const rulesOf = new Map<string, Rule[]>()
  const homes = new Map<string, string>() // the channel of each resource
  const clocks = new WeakMap<EventFrame, number>()
  let patches: typeof import('./patch.js') | undefined // until it is loaded, what could be patched is fetched
  for (const [resource, given] of Object.entries(map as Record<string, object>)) {
    const list: Rule[] = [given].flat().map((rule) => ({ queryKey: [resource], ...rule }))
    rulesOf.set(resource, list)
    for (const { channel, patch } of list) {
      if (channel) homes.set(resource, channel)
      if (patch) import('./patch.js').then((loaded) => (patches = loaded), () => {})
    }
  }
  let heard = new Map<string, Rows>()
  let count = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  function rulesFor(resource: string): readonly Rule[] {
    return rulesOf.get(resource) ?? [{ queryKey: [resource] }]
  }

  function spread(channel: string): number {
    return typeof jitter === 'number' ? jitter : ((jitter as Record<string, number>)[channel] ?? 250)
  }

  function onEvent(event: EventFrame): void {
    const { resource, resource_id, channel } = event
    homes.set(resource, channel)
    const rows: Rows = heard.get(resource) ?? new Map()
    const id = keyText(resource_id)
    const news = rows.get(id) ?? []
    news.push(event)
    clocks.set(event, fetches.tick())
    heard.set(resource, rows.set(id, news))
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
  function tell(query: QueryLike, { row, exact }: Place, rule: Rule, rows: Rows, wait: number): void {
    const news = (id = row): EventFrame[] => {
      const held = fetches.held(query)
      const all = id ? (rows.get(id) ?? []) : [...rows.values()].flat()
      return all.filter((event) => clocks.get(event)! > held)
    }
    const events = news()
    const last = events.at(-1)
    if (!last) return
    const clock = Math.max(...events.map((event) => clocks.get(event)!))
    const fetch = (): void => fetches.need(query, clock, wait)
    if (row && /^[dl]/.test(last.op)) { // delete, leave: nothing of it stays, on the page or in memory
      if (!query.isActive()) return cache.remove(query as never)
      query.reset()
      return fetch()
    }
    if (events.some(({ op, old = {} }) => op !== 'update' || (!row
      ? !rule.listColumns || Object.keys(old).some((name) => rule.listColumns!.includes(name)) : !exact))) fetch()
    const under = busy(query)
    if (!rule.patch || !patches || query.state.data === undefined || fetches.mutating(query)
      || (under && rule.version === undefined)) return fetch()
    const { patchList, patchRow } = patches
    const put = (): void => {
      const { data: before, isInvalidated, dataUpdatedAt } = query.state
      const { data, missed } = !row
        ? patchList(before, rule, (id) => news(keyText(id)))
        : exact ? patchRow(before, rule, news()) : { data: before, missed: false }
      if (data !== before) {
        // It is as old as it was, but for this row.
        query.setData(data, { manual: true, updatedAt: dataUpdatedAt })
        if (isInvalidated) query.invalidate()
      }
      if (missed) fetch()
    }
    put()
    if (under) fetches.after(query, put)
  }

  /** Whether events of a channel, or of its resource, or any at all, may be about a query. */
  function concerns(key: readonly unknown[], channel?: string, resource?: string): boolean {
    const covered = (name: string): boolean =>
      (!channel || (homes.get(name) ?? channel) === channel) &&
      rulesFor(name).some((rule) => [rule.queryKey, ...stemsOf(rule, ' ')].some((stem) => startsWith(key, stem)))
    if (resource) return covered(resource)
    const [first] = key
    return [...rulesOf.keys()].some(covered) || (typeof first === 'string' && !rulesOf.has(first) && covered(first))
  }

  function concerned(channel?: string, resource?: string): QueryLike[] {
    return cache.getAll().filter(({ queryKey }) => concerns(queryKey, channel, resource))
  }

  /** Has fetched what may have missed something. */
  function catchUp({ channel, resource }: { channel: string; resource?: string }, refuse = false): void {
    const clock = fetches.tick()
    for (const query of concerned(channel, resource)) {
      if (refuse && !query.isActive()) cache.remove(query as never)
      else fetches.need(query, clock, spread(channel))
    }
  }

  const stops = channels.map((given) => {
    const topic = (typeof given === 'string' ? { channel: given } : given) as Topic
    let first = true
    if (topic.resource) homes.set(topic.resource, topic.channel)
    return client.subscribe(topic as never, onEvent as never, {
      onLive() {
        if (first) catchUp(topic)
        first = false
        live = true
      },
      onResync: (frame: ResyncFrame) => catchUp({ ...topic, ...frame }, frame.reason === 'grants_changed'),
    })
  })

  /** No events come, and it is not just for a moment. */
  function cutOff(): boolean {
    const state = client.state.get()
    return /^(idle|stopped)$/.test(state.status) || ('attempt' in state && state.attempt > 2)
  }
  stops.push(client.state.subscribe(() => {
    if (cutOff()) concerned().forEach((query) => query.invalidate())
  }))

  return () => {
    flush() // nobody will say it again
    stops.forEach((stop) => stop())
    fetches.stop()
  }
}
