import type { EventFrame, Scalar, Topic } from '../frames.js'
import { keyText } from '../match.js'

/** Whom an event is for: users by name, or a rule. */
export type Audience = string | readonly string[] | ((user: string) => boolean)

/** An event as it was emitted, with those who may see the new row and those who could see the old one. */
export interface Entry {
  event: EventFrame
  now: Audience | undefined
  was: Audience | undefined
}

/** What a session hears of an event through its subscriptions; undefined: nothing. */
export function variant({ event, now, was }: Entry, user: string, topics: readonly Topic[]): EventFrame | undefined {
  const { op, data } = event
  const mine = topics.filter((topic) => concerns(topic, event))
  const meets = (row: object | undefined, audience: Audience | undefined): boolean =>
    includes(audience, user) &&
    mine.some(({ where }) => row === undefined || holds(where, row as Record<string, unknown>))
  const sees = meets(data, now)
  if (op !== 'update') return (op === 'delete' || op === 'leave' ? meets(data, was) : sees) ? event : undefined
  const saw = meets({ ...data, ...event.old }, was)
  if (sees && saw) return event
  const { old, ...entered } = event
  if (sees) return { ...entered, op: 'enter' }
  if (!saw) return undefined
  const { data: _, message, link, ...left } = entered
  return { ...left, op: 'leave' }
}

function concerns(topic: Topic, event: EventFrame): boolean {
  return (
    topic.channel === event.channel &&
    (topic.resource === undefined || topic.resource === event.resource) &&
    (topic.key === undefined || keyText(topic.key) === keyText(event.resource_id))
  )
}

function holds(where: Topic['where'] = {}, row: Record<string, unknown>): boolean {
  return Object.entries(where).every(([field, wanted]) =>
    (Array.isArray(wanted) ? wanted : [wanted]).includes(row[field] as Scalar))
}

function includes(audience: Audience | undefined, user: string): boolean {
  if (audience === undefined) return true
  return typeof audience === 'function' ? audience(user) : [audience].flat().includes(user)
}

/** What has happened in each channel, and the cursors that name a place in it. */
export class Feed {
  #epoch = 0
  readonly #entries = new Map<string, (Entry | undefined)[]>() // undefined: what was before can't be told

  add(channel: string, entry: Entry | undefined): void {
    const list = this.#entries.get(channel) ?? []
    this.#entries.set(channel, list)
    list.push(entry)
  }

  of(channel: string, from = 0): readonly Entry[] {
    return (this.#entries.get(channel) ?? []).slice(from).filter((entry) => entry !== undefined)
  }

  /** The newest place in a channel. */
  cursor(channel: string): string {
    return `fa${this.#epoch}:${(this.#entries.get(channel)?.length ?? 0).toString(36)}`
  }

  /** What followed a cursor, or why that can't be told. */
  since(channel: string, cursor: string): readonly Entry[] | 'cursor_expired' | 'other_epoch' {
    const [epoch, place] = cursor.split(':')
    if (place === undefined) return 'cursor_expired' // none at all
    if (epoch !== `fa${this.#epoch}`) return 'other_epoch'
    const from = Number.parseInt(place, 36)
    return this.#entries.get(channel)?.includes(undefined, from) ? 'cursor_expired' : this.of(channel, from)
  }

  /** No cursor of before leads on: of a channel, or of all. */
  forget(channel?: string): void {
    for (const name of channel === undefined ? [...this.#entries.keys()] : [channel]) this.add(name, undefined)
  }

  /** Another database: no cursor is of it. */
  restart(): void {
    this.#epoch++
    this.#entries.clear()
  }
}
