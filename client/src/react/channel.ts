import { useEffect, useState } from 'react'
import { report } from '../environment.js'
import type { ErrorFrame, ResyncFrame, Topic } from '../frames.js'
import type {
  ChannelName, DataOf, EventName, EventsIn, Named, RegisteredSchema, ResourceName, TopicOf,
} from '../schema.js'
import { canonical } from '../match.js'
import { follow } from './follow.js'
import type { Following, Wire } from './follow.js'
import { useClient } from './provider.js'
import { cell, useLatest, useShared } from './share.js'
import type { Shared } from './share.js'

/** `idle`: the topic is null; `subscribing`: not yet, or not now; `refused`: the bridge won't, `error` says why. */
export interface ChannelState {
  status: 'idle' | Following['status']
  error?: ErrorFrame | undefined
}

export interface ChannelOptions {
  /** Begin with the last events of the topic, at most so many, oldest first. */
  rewind?: number
  /** What was missed can't be told: fetch afresh. */
  onResync?: (frame: ResyncFrame) => void
  /** The bridge refuses; written to the console where left out. */
  onError?: (frame: ErrorFrame) => void
}

const idle: ChannelState = { status: 'idle' }
const subscribing: ChannelState = { status: 'subscribing' }
let count = 0

/**
 * Hears the events of a topic while the component is mounted, and says how the subscription does. The topic may be
 * written in place: an equal one stays subscribed. `null` pauses. The handler may be another at each render.
 */
export function useChannel<C extends ChannelName<RegisteredSchema>, R extends ResourceName<RegisteredSchema, C>>(
  topic: TopicOf<RegisteredSchema, C, R> | null,
  handler?: (event: EventsIn<RegisteredSchema, C, R>) => void,
  options: ChannelOptions = {},
): ChannelState {
  const client: Wire = useClient()
  const latest = useLatest({ handler, ...options })
  const [id] = useState(() => ++count) // handlers are the component's own, also where it shares the topic
  const { rewind } = options
  const open = (used: () => boolean): Shared<ChannelState> => {
    const { state, patch } = cell(subscribing)
    const stop = follow(client, topic as Topic, (event) => used() && latest.current.handler?.(event as never), (following) => {
      patch(following)
      if (following.error) (latest.current.onError ?? report)(following.error)
    }, rewind, (frame) => used() && latest.current.onResync?.(frame))
    return { state, stop }
  }
  return useShared(client, topic && `${id} ${rewind} ${canonical(topic as Topic)}`, topic ? subscribing : idle, open)[0]
}

/** What was heard of `name`, and how to put more to it. Of another, or of another client, it is nothing yet. */
export function useHeard<T>(name: string | null): [T | undefined, (more: (before: T | undefined) => T) => void] {
  const client = useClient()
  const [heard, set] = useState<{ client: unknown; name: string | null; value: T }>()
  const mine = (one: typeof heard): T | undefined => (one?.client === client && one.name === name ? one.value : undefined)
  return [mine(heard), (more) => set((before) => ({ client, name, value: more(mine(before)) }))]
}

export interface EventOptions {
  /** `browser`: of all tabs of this browser, one hears it; for toasts. */
  once?: 'browser'
}

/**
 * Hears the events of one name in the client's `channels` while the component is mounted: the row first, the whole
 * event second. The handler may be another at each render.
 */
export function useEvent<N extends EventName<RegisteredSchema>>(
  name: N,
  handler: (data: DataOf<Named<RegisteredSchema, N>>, event: Named<RegisteredSchema, N>) => void,
  { once }: EventOptions = {},
): void {
  const client = useClient()
  const latest = useLatest(handler)
  useEffect(() => {
    let mounted = true // with `once` it may take a moment to know which tab it is
    const stop = client.on(name, (data, event) => mounted && latest.current(data, event), once && { once })
    return () => {
      mounted = false
      stop()
    }
  }, [client, name, once, latest])
}
