import { CloseCode } from '../codes.js'
import type { ClientFrame, EventFrame, ResyncFrame, ServerFrame, Topic } from '../frames.js'
import { Feed, variant } from './feed.js'
import type { Entry } from './feed.js'
import { Inboxes } from './inbox.js'
import { Leases } from './leases.js'
import { Rooms } from './rooms.js'
import type { FakeUser, Request, Session } from './session.js'

/** Channels, their resources, and the fields of data of each: what is not there is refused. */
export type Catalog = Record<string, Record<string, readonly string[]>>

/** What the bridge can do beyond events; what it can't is answered by `unknown_type`. */
export interface Features {
  presence?: boolean
  leases?: boolean
  notifications?: boolean
}

export interface DeskOptions {
  authenticate: (token: string) => FakeUser | undefined
  catalog: Catalog | undefined
  features: Features
}

type Frame<T extends ClientFrame['type']> = Extract<ClientFrame, { type: T }>

/** Answers the frames of all sessions, in the words of the bridge. */
export class Desk {
  readonly sessions = new Set<Session>()
  readonly sent: ClientFrame[] = []
  readonly feed = new Feed()
  readonly rooms = new Rooms(() => this.of())
  readonly leases = new Leases()
  readonly inboxes = new Inboxes((user) => this.of(user))
  readonly refusals = new Set<{ match: object; code: string; message: string }>()
  readonly #options: DeskOptions
  readonly #waiting: (() => void)[] = []

  constructor(options: DeskOptions) {
    this.#options = options
  }

  /** The sessions that are authenticated; of one user, or of all. */
  of(user?: string): Session[] {
    return [...this.sessions].filter(({ live, who }) => live && (user === undefined || who?.user === user))
  }

  welcomed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves when somebody is welcome, and what that brings has been said. */
  async live(): Promise<void> {
    if (this.of().length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    await Promise.resolve() // the welcome itself
    this.drain()
  }

  drain(): void {
    for (const session of this.sessions) session.drain()
  }

  ended(session: Session): void {
    this.sessions.delete(session)
    this.rooms.ended(session)
  }

  /** The newest cursor of each channel that a session listens to. */
  cursors({ subscriptions }: Session): Record<string, string> {
    const channels = [...new Set([...subscriptions.values()].map(({ channel }) => channel))].sort()
    return Object.fromEntries(channels.map((channel) => [channel, this.feed.cursor(channel)]))
  }

  emit(entry: Entry): void {
    this.feed.add(entry.event.channel, entry)
    const cursor = this.feed.cursor(entry.event.channel)
    for (const session of this.of()) {
      const seen = variant(entry, session.who!.user, [...session.subscriptions.values()])
      if (seen) session.say({ ...seen, cursor })
    }
    this.drain()
  }

  resync(frame: ResyncFrame, user?: string): void {
    for (const session of this.of(user)) {
      const concerned = ({ channel, resource }: Topic): boolean => channel === frame.channel &&
        (resource === undefined || frame.resource === undefined || resource === frame.resource)
      if ([...session.subscriptions.values()].some(concerned)) session.say(frame)
    }
    this.drain()
  }

  handle(session: Session, frame: Request): void {
    const refusal = [...this.refusals].find(({ match }) => covers(frame, match))
    if (frame.type === 'auth') this.#auth(session, frame)
    else if (frame.type === 'ping') session.say({ type: 'pong' })
    else if (!session.live) session.refuse(frame, 'forbidden', 'authenticate first: send an auth frame')
    else if (refusal) session.refuse(frame, refusal.code, refusal.message)
    else if (frame.type === 'subscribe') this.#subscribe(session, frame)
    else if (frame.type === 'unsubscribe') this.#unsubscribe(session, frame)
    else if (!this.#beyond(session, frame))
      session.refuse(frame, 'unknown_type', `no frame type ${JSON.stringify((frame as Request).type)} in this version`)
  }

  #auth(session: Session, frame: Frame<'auth'>): void {
    const who = this.#options.authenticate(frame.token)
    const before = session.who
    if (who && (before === undefined || before.user === who.user)) session.welcome(who)
    else if (who) session.refuse(frame, 'forbidden', "a session can't change its user: open another connection")
    else if (before === undefined) session.close(CloseCode.authFailed, 'token refused')
    else session.refuse(frame, 'forbidden',
      'token refused; the session goes on with the old one until it expires')
  }

  #subscribe(session: Session, frame: Frame<'subscribe'>): void {
    const { type, ref, cursor, rewind, ...topic } = frame
    const name = JSON.stringify(ref)
    const taken = session.subscriptions.has(ref) && `ref ${name} is in use: unsubscribe it first, or use another`
    const wrong = this.#unknown(topic) ?? (taken && (['bad_frame', taken] as const))
    if (wrong) return session.refuse(frame, ...wrong)
    session.subscriptions.set(ref, topic)
    const { user } = session.who!
    const past = cursor === undefined ? 'cursor_expired' : this.feed.since(topic.channel, cursor)
    const seen = (entries: readonly Entry[]): EventFrame[] =>
      entries.flatMap((entry) => variant(entry, user, [topic]) ?? [])
    const resumed = typeof past !== 'string'
    session.say({ type: 'subscribed', ref, resumed })
    const events = resumed ? seen(past) : rewind ? seen(this.feed.of(topic.channel)).slice(-rewind) : []
    if (!resumed && cursor !== undefined) session.say(resyncOf(topic, ref, past))
    for (const event of events) session.say(event)
  }

  /** What of a topic is not there, as code and message. */
  #unknown({ channel, resource, where = {} }: Topic): [string, string] | undefined {
    const { catalog } = this.#options
    const resources = catalog?.[channel]
    if (catalog === undefined || channel === 'metrics' || channel === 'presence') return undefined
    if (resources === undefined) return ['unknown_channel', `no channel ${JSON.stringify(channel)}`]
    if (resource !== undefined && resources[resource] === undefined) {
      return ['unknown_channel', `channel ${JSON.stringify(channel)} has no resource ${JSON.stringify(resource)}`]
    }
    const fields = resource === undefined ? Object.values(resources).flat() : resources[resource]!
    const column = Object.keys(where).find((field) => !fields.includes(field))
    return column === undefined ? undefined : ['unknown_column', `no field ${JSON.stringify(column)} in data`]
  }

  #unsubscribe(session: Session, frame: Frame<'unsubscribe'>): void {
    const { ref, subscription } = frame
    if (session.subscriptions.delete(subscription)) session.say({ type: 'unsubscribed', ref })
    else session.refuse(frame, 'bad_frame', `no subscription ${JSON.stringify(subscription)}`)
  }

  /** Presence, leases and notifications; false for what is none of them, or switched off. */
  #beyond(session: Session, frame: Request): boolean {
    const { presence = true, leases = true, notifications = true } = this.#options.features
    if (frame.type.startsWith('presence.')) return presence && this.rooms.handle(session, frame)
    if (frame.type.startsWith('lease.')) return leases && this.leases.handle(session, frame)
    return notifications && this.inboxes.handle(session, frame)
  }
}

function resyncOf({ channel, resource }: Topic, ref: string, reason: string): ServerFrame {
  return { type: 'resync', channel, ...(resource !== undefined && { resource }), ref, reason }
}

/** Whether a frame has all that is named, with these values. */
function covers(frame: object, match: object): boolean {
  return Object.entries(match).every(([name, value]) =>
    JSON.stringify((frame as Record<string, unknown>)[name]) === JSON.stringify(value))
}
