import { connection } from './connection.js'
import type { ConnectionState } from './connection.js'
import { defaultEnvironment, report as toConsole } from './environment.js'
import type { Environment } from './environment.js'
import type {
  Answer, ClientFrame, ErrorFrame, EventFrame, PushFrame, RequestFrame, Requests as Known, ResyncFrame, Topic,
} from './frames.js'
import type { Link, LinkOptions } from './link.js'
import { createRequests } from './requests.js'
import type {
  ChannelName, DataOf, EventName, EventsIn, Named, RegisteredSchema, ResourceName, TopicOf,
} from './schema.js'
import { call, createHub, createStore } from './store.js'
import type { Readable } from './store.js'
import { createTopics } from './topics.js'

export interface ClientOptions<S = RegisteredSchema> {
  /** The bridge's `/ws`: wss://live.example/ws */
  url: string
  /** Gives a fresh JWT; asked for each connection and before expiry. Left out where a cookie says who is asking. */
  getToken?: () => string | Promise<string>
  /** Channels to hear whole, for `on`. */
  channels?: readonly ChannelName<S>[]
  /** What nobody else handles: refused subscriptions, a failing getToken. Written to the console where left out. */
  onError?: (error: ErrorFrame | Error) => void
  /**
   * Whether tabs of the same user share one connection; left out: where the browser can. Each tab proves by a connection
   * of its own who it is, before it shares another's.
   */
  share?: boolean
  environment?: Partial<Environment>
}

export interface HandlerOptions {
  /** `browser`: of each event one tab's handlers hear, those of a visible one if there is any: one toast, not five. */
  once?: 'browser'
}

export interface SubscriptionOptions extends HandlerOptions {
  /** Begin with the last events of the topic, at most so many (and 1,000), oldest first: for an activity feed. */
  rewind?: number
  /**
   * What happens from now on is heard: on the first connection, on each later one, and soon after `subscribe` where
   * another handler of the topic was there before.
   */
  onLive?: () => void
  /** What was missed can't be told: fetch afresh. */
  onResync?: (frame: ResyncFrame) => void
  onError?: (frame: ErrorFrame) => void
}

/** A client of a bridge whose installation has the schema S. */
export interface Client<S = RegisteredSchema> {
  /** What the connection is doing. */
  readonly state: Readable<ConnectionState>
  /** The channels that it hears whole. */
  readonly channels: readonly ChannelName<S>[]
  /** Hears the events of a topic. Returns how to stop. */
  subscribe<C extends ChannelName<S>, R extends ResourceName<S, C>>(
    topic: TopicOf<S, C, R>,
    handler: (event: EventsIn<S, C, R>) => void,
    options?: SubscriptionOptions,
  ): () => void
  /**
   * Hears the events of one name in `options.channels`: the row first, the whole event second. On a `leave`, which has
   * no row, the first is empty. Returns how to stop.
   */
  on<N extends EventName<S>>(
    name: N,
    handler: (data: DataOf<Named<S, N>>, event: Named<S, N>) => void,
    options?: HandlerOptions,
  ): () => void
  /** Hears each `resync` of `options.channels`. Returns how to stop. */
  onResync(handler: (frame: ResyncFrame) => void): () => void
  /**
   * Asks the bridge for what is beyond subscriptions, once connected. Rejects with a RequestError: the bridge's `code`,
   * or `timeout` (10 s), `connection_lost`, `closed`.
   */
  request<T extends keyof Known>(frame: RequestFrame<T>): Promise<Answer<T>>
  /** Hears what the bridge says unasked, beside events. Returns how to stop. */
  listen<T extends PushFrame['type']>(type: T, handler: (frame: Extract<PushFrame, { type: T }>) => void): () => void
  /** Connects now rather than at the first subscription; after `stopped`, tries again. */
  connect(): void
  /** Disconnects. Subscriptions stay, and are live again after `connect`. */
  close(): void
}

/** A client of whatever schema: what hooks and helpers take. */
export type AnyClient = Client<any>

/** Makes a client of a bridge. It connects when there is something to hear. */
export function createClient<S = RegisteredSchema>(options: ClientOptions<NoInfer<S>>): Client<S> {
  const environment: Environment = { ...defaultEnvironment(), ...options.environment }
  const { report } = environment
  const unhandled = options.onError ?? toConsole
  const events = createHub(report)
  const resyncs = createHub(report)
  const state = createStore<ConnectionState>({ status: 'idle' }, report)
  const send = (frame: ClientFrame): void => link?.send(frame)
  const topics = createTopics(send, report)
  const requests = createRequests(send, environment)
  let link: Link | undefined
  let wanted = false // to be connected, be there a link yet or not

  const linkOptions: LinkOptions = {
    url: options.url,
    getToken: options.getToken,
    environment,
    onLive(grants) {
      topics.resubscribe(grants)
      requests.resume()
    },
    onState(now) {
      if (now.status !== 'live') {
        topics.lost()
        requests.lost(now.status === 'idle' || now.status === 'stopped')
      } else queueMicrotask(() => state.get().status === 'live' && requests.resume()) // behind what onLive has sent
      state.set(now)
    },
    onFrame(frame) {
      if (!requests.receive(frame) && !topics.receive(frame) && frame.type === 'error') unhandled(frame as ErrorFrame)
    },
    onTokenError: (cause) => unhandled(new Error('getToken: no token', { cause })),
  }

  /** Stands on a link, which may take its time to be there. */
  function use(made: Link): void {
    link = made
    if (wanted) made.start()
  }
  const connectAlone = (): void => use(connection(linkOptions))
  if (options.share === false || !environment.tabs) connectAlone()
  else void import('./share.js').then(({ sharedLink }) => use(sharedLink(linkOptions, connection)), connectAlone)

  let claims: Promise<(id: string) => Promise<boolean>> | undefined
  /** Runs a handler in one of the browser's tabs only, whichever comes first. */
  function inOneTab(event: EventFrame, run: () => void): void {
    const now = state.get()
    claims ??= import('./once.js').then(({ claimer }) => claimer(environment))
    const id = JSON.stringify([options.url, now.status === 'live' ? now.user : '', event.id])
    void claims.then((claim) => claim(id), () => true).then((mine) => mine && call(run, report))
  }

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
          onEvent: (event) => events.say(event.type, event),
          onResync: (frame) => resyncs.say('', frame),
        },
      )
    }
    start()
  }

  function start(): void {
    wanted = true
    if (link) link.start()
    else state.set({ status: 'connecting', attempt: 0 })
  }

  return {
    state,
    channels: options.channels ?? [],
    subscribe(topic, handler, { rewind, once, ...own } = {}) {
      const hear = handler as (event: EventFrame) => void
      const onEvent = once ? (event: EventFrame) => inOneTab(event, () => hear(event)) : hear
      const stop = topics.add(topic as Topic, { ...own, onEvent }, rewind)
      join()
      return stop
    },
    on(name, handler, { once } = {}) {
      if (!options.channels?.length) throw new Error('on: no channel to hear: give createClient its `channels`')
      const tell = handler as (data: unknown, event: unknown) => void
      const hear = (event: EventFrame): void => tell(event.data ?? {}, event)
      join()
      return events.hear(name, once ? (event) => inOneTab(event, () => hear(event)) : hear)
    },
    onResync(handler) {
      join()
      return resyncs.hear('', handler)
    },
    request(frame) {
      join()
      return requests.request(frame, state.get().status === 'live')
    },
    listen(type, handler) {
      join()
      return requests.listen(type, handler)
    },
    connect() {
      join()
      start()
    },
    close() {
      wanted = false
      if (link) link.stop()
      else {
        requests.lost(true)
        state.set({ status: 'idle' })
      }
    },
  }
}
