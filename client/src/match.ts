import type { EventFrame, Key, Scalar, Topic } from './frames.js'

/**
 * The event as a subscription to `topic` sees it; undefined where it does not concern that subscription. A session's
 * subscriptions share one stream, so the bridge may send, for the sake of another subscription, a change that moves a
 * row into or out of this one's `where`: here that is an `enter` or a `leave`.
 */
export function seenThrough(topic: Topic, event: EventFrame): EventFrame | undefined {
  if (event.channel !== topic.channel) return undefined
  if (topic.resource !== undefined && event.resource !== topic.resource) return undefined
  if (topic.key !== undefined && keyText(topic.key) !== keyText(event.resource_id)) return undefined
  if (topic.where === undefined || event.data === undefined) return event
  const now = holds(topic.where, event.data)
  if (event.op !== 'update') return now ? event : undefined
  const was = holds(topic.where, { ...event.data, ...event.old })
  if (now && was) return event
  const { old, ...entered } = event
  const { data, message, link, ...left } = entered
  if (now) return { ...entered, op: 'enter' }
  return was ? { ...left, op: 'leave' } : undefined
}

/** Compares keys as text: routers give '17' where the bridge has 17. */
export function keyText(key: Key): string {
  return Array.isArray(key) ? JSON.stringify(key.map(String)) : String(key)
}

function holds(where: NonNullable<Topic['where']>, row: Record<string, unknown>): boolean {
  return Object.entries(where).every(([field, wanted]) => [wanted].flat().includes(row[field] as Scalar))
}

/** The same text for the same topic, in whatever order its `where` was written. */
export function canonical({ channel, resource, key, where }: Topic): string {
  const fields = where === undefined ? null : Object.entries(where).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([channel, resource ?? null, key ?? null, fields])
}
