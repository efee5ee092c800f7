import { follow, isUnknown } from './follow.js'
import type { Following, Wire } from './follow.js'
import { useClient } from './provider.js'
import { cell, useShared } from './share.js'
import type { Shared } from './share.js'

/** The values of a dashboard's query. */
export interface Metrics<Values = Record<string, any>> {
  /** Empty until the first come. */
  values: Partial<Values>
  /** When the newest came about, RFC 3339. */
  at: string | undefined
  /** Since when the query fails, and the values are old; undefined while all is well. */
  since: string | undefined
  /** `unsupported`: this bridge has no such metric. */
  status: 'idle' | Following['status'] | 'unsupported'
}

const idle: Metrics = { values: {}, at: undefined, since: undefined, status: 'idle' }
const subscribing: Metrics = { ...idle, status: 'subscribing' }

function watch(client: Wire, resource: string): Shared<Metrics> {
  const { state, patch } = cell(subscribing)
  const stop = follow(client, { channel: 'metrics', resource }, (event) => {
    const { data, at, since } = event as typeof event & { since?: string }
    patch({ values: { ...state.get().values, ...data }, at, since })
  }, ({ status, error }) => patch({ status: isUnknown(error) ? 'unsupported' : status }), { rewind: 1 })
  return { state, stop }
}

/** The values of a metric, kept current while the component is mounted; `null` watches none. */
export function useMetrics<Values = Record<string, any>>(name: string | null): Metrics<Values> {
  const client: Wire = useClient()
  const first = name === null ? idle : subscribing
  return useShared(client, name && `metrics ${name}`, first, () => watch(client, name!))[0] as Metrics<Values>
}
