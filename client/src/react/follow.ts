import type { AnyClient, SubscriptionOptions } from '../client.js'
import type { ConnectionState } from '../connection.js'
import type { ErrorFrame, EventFrame, ResyncFrame, Topic } from '../frames.js'

/** What the hooks need of a client, whatever its events are. */
export interface Wire extends Pick<AnyClient, 'state' | 'request' | 'listen'> {
  subscribe(topic: Topic, handler: (event: EventFrame<any>) => void, options?: SubscriptionOptions): () => void
}

/** How a subscription does. */
export type Following = { status: 'subscribing' | 'live' | 'refused'; error?: ErrorFrame | undefined }

/** Subscribes, and says how that does each time that it changes. Returns how to stop. */
export function follow(
  client: Wire,
  topic: Topic,
  handler: (event: EventFrame<any>) => void,
  say: (following: Following) => void,
  { rewind, onResync }: { rewind?: number | undefined; onResync?: (frame: ResyncFrame) => void } = {},
): () => void {
  const quiet = whileLive(client, () => {}, () => say({ status: 'subscribing', error: undefined }))
  const stop = client.subscribe(topic, handler, {
    ...(rewind !== undefined && { rewind }),
    ...(onResync && { onResync }),
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
  const look = ({ status }: ConnectionState): void => (status === 'live' ? up() : down())
  if (state.get().status === 'live') up()
  return state.subscribe(look)
}

/** The bridge's code of what it refused; undefined where it has not answered. */
export function codeOf(error: unknown): string | undefined {
  const { code } = error as { code?: string }
  return code === 'timeout' || code === 'connection_lost' || code === 'closed' ? undefined : code
}

/** Whether an error is the bridge's way to say that it has no such thing. */
export function isUnknown(error: unknown): boolean {
  return error !== undefined && /^unknown_(type|channel)$/.test(codeOf(error) ?? '')
}
