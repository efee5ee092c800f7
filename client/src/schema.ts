import type { EventFrame, Key, Scalar } from './frames.js'

/**
 * What an installation has: channels, their resources, and of each its key and the `data` of its events by name. Such a
 * type is written by `rowfeed types`, together with the declaration that makes it the default here:
 *
 *     declare module 'rowfeed' { interface Register { schema: MySchema } }
 */
export interface Schema {
  [channel: string]: { [resource: string]: { key: Key; events: { [event: string]: object } } }
}

/** Filled in by what `rowfeed types` writes. */
export interface Register {}

/** An installation that nothing is known of. */
export type AnySchema = { [channel: string]: { [resource: string]: { key: Key; events: { [event: string]: any } } } }

/** The schema that `rowfeed types` has registered, or else AnySchema. */
export type RegisteredSchema = Register extends { schema: infer S } ? S : AnySchema

/** The names of a schema's channels. */
export type ChannelName<S> = keyof S & string

/** The names of the resources of a channel. */
export type ResourceName<S, C extends keyof S> = keyof S[C] & string

/** One kind of event: of a name, of a resource, in a channel. */
export type TypedEvent<C, R, K, N, Data> = Omit<EventFrame<Data>, 'type' | 'channel' | 'resource' | 'resource_id'> & {
  type: N
  channel: C
  resource: R
  resource_id: K
}

/** The events of one resource, or of several, as a union that is told apart by `type` and `resource`. */
export type EventsIn<S, C extends keyof S, R extends keyof S[C]> = R extends unknown
  ? S[C][R] extends { key: infer K; events: infer E }
    ? { [N in keyof E & string]: TypedEvent<C, R, K, N, E[N]> }[keyof E & string]
    : never
  : never

/** Every event of a schema, as a union whose members are told apart by `type`, `channel` and `resource`. */
export type EventOf<S> = { [C in ChannelName<S>]: EventsIn<S, C, ResourceName<S, C>> }[ChannelName<S>]

/** The names of a schema's events. */
export type EventName<S> = EventOf<S>['type']

/** The events of one name. */
export type Named<S, N> = {
  [C in ChannelName<S>]: {
    [R in ResourceName<S, C>]: S[C][R] extends { key: infer K; events: infer E }
      ? N extends keyof E ? TypedEvent<C, R, K, N, E[N]> : never
      : never
  }[ResourceName<S, C>]
}[ChannelName<S>]

/** The row that events carry; of AnySchema, anything. */
export type DataOf<E> = E extends { data?: infer Data } ? NonNullable<Data> : never

/** A topic of a schema: `resource` is one of the channel's, `where` names fields of its events. */
export interface TopicOf<S, C extends keyof S, R extends keyof S[C]> {
  channel: C & string
  resource?: R & string
  /** The key as the bridge has it, or as a router gives it: 17 or '17'. */
  key?: EventsIn<S, C, R>['resource_id'] | string
  /** Fields of `data` and the values that count; at most 100 values. */
  where?: { [F in FieldOf<DataOf<EventsIn<S, C, R>>>]?: Scalar | Scalar[] }
}

type FieldOf<Data> = Data extends unknown ? keyof Data & string : never
