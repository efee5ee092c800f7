import type { EventFrame, Key } from './frames.js'

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

export type RegisteredSchema = Register extends { schema: infer S extends Schema } ? S : AnySchema

/** Every event of a schema, as a union whose members are told apart by `type`, `channel` and `resource`. */
export type EventOf<S> = {
  [C in keyof S & string]: {
    [R in keyof S[C] & string]: S[C][R] extends { key: infer K; events: infer E }
      ? { [N in keyof E & string]: TypedEvent<C, R, K, N, E[N]> }[keyof E & string]
      : never
  }[keyof S[C] & string]
}[keyof S & string]

/** One kind of event: of a name, of a resource, in a channel. */
export type TypedEvent<C, R, K, N, Data> = Omit<EventFrame<Data>, 'type' | 'channel' | 'resource' | 'resource_id'> & {
  type: N
  channel: C
  resource: R
  resource_id: K
}

/** The names of a schema's events. */
export type EventName<S> = EventOf<S>['type']

/** The events of one name. */
export type Named<S, N> = Extract<EventOf<S>, { type: N }>
