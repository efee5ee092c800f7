import type { EventFrame } from '../frames.js'
import { useChannel, useHeard } from './channel.js'
import type { ChannelState } from './channel.js'
import { isUnknown } from './follow.js'

/** The values of a dashboard's query. */
export interface Metrics<Values = Record<string, any>> {
  /** Empty until the first come. */
  values: Partial<Values>
  /** When the newest came about, RFC 3339. */
  at: string | undefined
  /** Since when the query fails, and the values are old; undefined while all is well. */
  since: string | undefined
  /** `unsupported`: this bridge has no such metric. */
  status: ChannelState['status'] | 'unsupported'
}

/** The values of a metric, kept current while the component is mounted; `null` watches none. */
export function useMetrics<Values = Record<string, any>>(name: string | null): Metrics<Values> {
  const [heard, hear] = useHeard<EventFrame<Values> & { since?: string }>(name)
  const { status, error } = useChannel(name === null ? null : { channel: 'metrics', resource: name }, (event) =>
    hear((before) => ({ ...event, data: { ...before?.data, ...event.data } })), { rewind: 1, onError: () => {} })
  const { data = {}, at, since } = heard ?? {}
  return { values: data, at, since, status: isUnknown(error) ? 'unsupported' : status }
}
