import type { AnyClient, SubscriptionOptions } from '../client.js'
import type { ErrorFrame, EventFrame, ResyncFrame, Topic } from '../frames.js'

/** What the hooks need of a client, whatever its events are. */
export interface Wire extends Pick<AnyClient, 'state' | 'request' | 'listen'> {
  subscribe(topic: Topic, handler: (event: EventFrame<any>) => void, options?: SubscriptionOptions): () => void
}

/** How a subscription does. */
export interface Following {
  status: 'subscribing' | 'live' | 'refused'
  error?: ErrorFrame | undefined
}

/** Subscribes, and says how that does each time that it changes. Returns how to stop. */
export function follow(
  client: Wire,
  topic: Topic,
  handler: (event: EventFrame<any>) => void,
  say: (following: Following) => void,
  rewind: number | undefined,
  onResync: (frame: ResyncFrame) => void,
): () => void {
  const quiet = whileLive(client, () => {}, () => say({ status: 'subscribing', error: undefined }))
  const stop = client.subscribe(topic, handler, {
    ...(rewind !== undefined && { rewind }),
    onResync,
    onLive: () => say({ status: 'live', error: undefined }),
    onError: (error) => say({ status: 'refused', error }),
  })
  return () => {
    quiet()
    stop()
  }
}

/** Calls `up` now, if the client is live, and each time that it becomes so; `down` each time that it is not. */
export function whileLive({ state }: Wire, up: () => void, down: () => void): () => void {
  if (state.get().status === 'live') up()
  return state.subscribe(({ status }) => (status === 'live' ? up() : down()))
}

/** Whether an error says that the bridge has no such thing, or not by Server-Sent Events. */
export function isUnknown(error: unknown): boolean {
  return /^(unknown_(type|channel)|unsupported_transport)$/.test((error as { code?: string } | undefined)?.code ?? '')
}
