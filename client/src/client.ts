import { Connection } from './connection.js'
import type { ConnectionState } from './connection.js'
import { defaultEnvironment } from './environment.js'
import type { Environment } from './environment.js'
import type { ErrorFrame, EventFrame, ResyncFrame, Topic } from './frames.js'
import { call } from './store.js'
import type { Readable } from './store.js'
import { Topics } from './topics.js'

/** The `data` of each event, by the event's name; applications give their own. */
export type EventMap = Record<string, any>

export interface ClientOptions {
  /** The bridge's `/ws`: wss://live.example/ws */
  url: string
  /** Gives a fresh JWT; asked for each connection and before expiry. Left out where a cookie says who is asking. */
  getToken?: () => string | Promise<string>
  /** Channels to hear whole, for `on`. */
  channels?: readonly string[]
  /** What nobody else handles: refused subscriptions, a failing getToken. Written to the console where left out. */
  onError?: (error: ErrorFrame | Error) => void
  environment?: Partial<Environment>
}

export interface SubscriptionOptions {
  /** Begin with the last events of the topic, at most so many (and 1,000), oldest first: for an activity feed. */
  rewind?: number
  /** What was missed can't be told: fetch afresh. */
  onResync?: (frame: ResyncFrame) => void
  onError?: (frame: ErrorFrame) => void
}

export interface Client<Events extends EventMap = EventMap> {
  /** What the connection is doing. */
  readonly state: Readable<ConnectionState>
  /** Hears the events of a topic. Returns how to stop. */
  subscribe<Data = Record<string, unknown>>(
    topic: Topic,
    handler: (event: EventFrame<Data>) => void,
    options?: SubscriptionOptions,
  ): () => void
  /**
   * Hears the events of one name in `options.channels`: the row first, the whole event second. On a `leave`, which has
   * no row, the first is empty. Returns how to stop.
   */
  on<Name extends keyof Events & string>(
    name: Name,
    handler: (data: Events[Name], event: EventFrame<Events[Name]>) => void,
  ): () => void
  /** Hears each `resync` of `options.channels`. Returns how to stop. */
  onResync(handler: (frame: ResyncFrame) => void): () => void
  /** Connects now rather than at the first subscription; after `stopped`, tries again. */
  connect(): void
  /** Disconnects. Subscriptions stay, and are live again after `connect`. */
  close(): void
}

/** Makes a client of a bridge. It connects when there is something to hear. */
export function createClient<Events extends EventMap = EventMap>(options: ClientOptions): Client<Events> {
  const environment: Environment = { ...defaultEnvironment(), ...options.environment }
  const { report } = environment
  const unhandled = options.onError ?? ((error) => console.error('rowfeed:', error))
  const listeners = new Map<string, Set<(event: EventFrame) => void>>()
  const resyncs = new Set<(frame: ResyncFrame) => void>()

  const connection = new Connection({
    url: options.url,
    getToken: options.getToken,
    environment,
    onLive: (grants) => topics.resubscribe(grants),
    onFrame: (frame) => {
      if (!topics.receive(frame) && frame.type === 'error') unhandled(frame as ErrorFrame)
    },
    onTokenError: (cause) => unhandled(new Error('getToken: no token', { cause })),
  })
  const topics = new Topics((frame) => connection.send(frame), report)

  let joined = false
  // Once, at the first need: a new subscription does not undo `stopped` or `close`, of which only the application
  // knows when they are over.
  function join(): void {
    if (joined) return
    joined = true
    for (const channel of options.channels ?? []) {
      topics.add(
        { channel },
        {
          onEvent: (event) => listeners.get(event.type)?.forEach((listen) => call(() => listen(event), report)),
          onResync: (frame) => resyncs.forEach((listen) => call(() => listen(frame), report)),
        },
      )
    }
    connection.start()
  }

  return {
    state: connection.state,
    subscribe(topic, handler, { onResync, onError, rewind } = {}) {
      const own = {
        onEvent: handler as (event: EventFrame) => void,
        ...(onResync && { onResync }),
        ...(onError && { onError }),
      }
      const stop = topics.add(topic, own, rewind)
      join()
      return stop
    },
    on(name, handler) {
      if (!options.channels?.length) throw new Error('on: no channel to hear: give createClient its `channels`')
      const listen = (event: EventFrame): void => handler((event.data ?? {}) as any, event as EventFrame<any>)
      const set = listeners.get(name) ?? new Set()
      listeners.set(name, set.add(listen))
      join()
      return () => void set.delete(listen)
    },
    onResync(handler) {
      const listen = (frame: ResyncFrame): void => handler(frame)
      resyncs.add(listen)
      join()
      return () => void resyncs.delete(listen)
    },
    connect() {
      join()
      connection.start()
    },
    close: () => connection.stop(),
  }
}
