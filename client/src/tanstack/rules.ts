import type { EventFrame, Key } from '../frames.js'
import type { AnySchema, ChannelName, DataOf, EventsIn, ResourceName, TopicOf } from '../schema.js'
import type { QueryKey } from './queryclient.js'

/** The names of the resources of all channels. */
export type AnyResource<S> = { [C in ChannelName<S>]: ResourceName<S, C> }[ChannelName<S>]

/** The events of a resource, whatever its channel. */
export type ResourceEvent<S, R> = {
  [C in ChannelName<S>]: R extends keyof S[C] ? EventsIn<S, C, R> : never
}[ChannelName<S>]

/** Which queries a resource is in, and what an event does to them. All but what differs can be left out. */
export interface QueryRule<Event = EventFrame> {
  /** What the keys of its queries begin with; the resource's name where left out. */
  queryKey?: QueryKey
  /** The key of the query of one row, where it is not `[...queryKey, id]` or `[...queryKey, 'detail', id]`. */
  detailKey?: (id: Key) => QueryKey
  /** Tells lists from single rows, where the keys do not show it. */
  isList?: (queryKey: QueryKey) => boolean
  /** The channel of the resource: a `resync` of another channel does not concern it. Learnt from events otherwise. */
  channel?: string
  /** The columns of a row's key in the rows of the page's queries; `id` where left out. */
  id?: string | readonly string[]
  /**
   * Puts updates into what queries hold: `true` sets the fields that a row and the event share; a function returns the
   * new row, or undefined to have the query fetched. It gets rows of details and of lists alike.
   */
  patch?: true | Patch<Event>
  /**
   * What tells which of two states of a row is the newer: a column that rows and events have, or a function of either.
   * A number that grows with each change is best; times that do are read by the millisecond.
   */
  version?: string | ((row: object) => unknown)
  /**
   * The columns that say which rows a list has, and in which order: lists are fetched after a change of one of these,
   * and only patched after another. With none they are never fetched for an update; where left out, for every one.
   */
  listColumns?: readonly (keyof DataOf<Event> & string)[]
}

// A method's parameters may be narrower: the application knows the type of its own rows.
export type Patch<Event> = {
  patch(row: object, data: DataOf<Event>, event: Event): object | undefined
}['patch']

export interface SyncOptions<S = AnySchema> {
  /** Channels, or topics, whose events the queries follow; the client's `channels` where left out. */
  channels?: readonly (ChannelName<S> | { [C in ChannelName<S>]: TopicOf<S, C, ResourceName<S, C>> }[ChannelName<S>])[]
  /** Rules of single resources, by name. An empty list leaves a resource alone. */
  map?: { [R in AnyResource<S>]?: QueryRule<ResourceEvent<S, R>> | readonly QueryRule<ResourceEvent<S, R>>[] }
  /**
   * A fetch waits a random time up to so many milliseconds, so that all who heard an event don't fetch in the same
   * instant; by channel, where it has very many subscribers. 250 where left out. Who has just written does not wait.
   */
  jitter?: number | { [C in ChannelName<S>]?: number }
  /** A query is fetched at most once in so many milliseconds, however fast events come. 1,000 where left out. */
  interval?: number
}

/** A rule as it is used: the schema's types are gone. */
export type Rule = Omit<QueryRule<never>, 'patch' | 'listColumns' | 'queryKey'> & {
  queryKey: QueryKey
  patch?: true | ((row: object, data: unknown, event: EventFrame) => object | undefined)
  listColumns?: readonly string[]
}
