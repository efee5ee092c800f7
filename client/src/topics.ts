import type { ClientFrame, ErrorFrame, EventFrame, ResyncFrame, ServerFrame, Topic } from './frames.js'
import { isEvent } from './frames.js'
import { canonical, seenThrough } from './match.js'
import { createSeen } from './seen.js'
import { call } from './store.js'

export interface Handler {
  onEvent(event: EventFrame): void
  onLive?(): void
  onResync?(frame: ResyncFrame): void
  onError?(frame: ErrorFrame): void
}

interface Entry {
  readonly ref: string
  readonly topic: Topic
  readonly rewind: number | undefined
  readonly handlers: Map<Handler, number> // and the clock at which each came
  live: boolean // the bridge has said `subscribed` on some connection
  resuming: boolean // on this one it was given a cursor to go on from
  rewinding: boolean // and here it was asked to begin in the past
  refused: ErrorFrame | undefined // and that it won't on this one
  asked: boolean // and has not answered on this one
}

export interface Topics {
  add(topic: Topic, handler: Handler, rewind?: number): () => void
  resubscribe(grants?: string): void
  lost(): void
  receive(frame: ServerFrame): boolean
}

/** The client's subscriptions: one on the wire for each topic, however many handlers it has. */
export function createTopics(send: (frame: ClientFrame) => void, report: (error: unknown) => void): Topics {
  const entries = new Map<string, Entry>()
  const cursors = new Map<string, string>()
  const mark = createSeen()
  const roundedIn = new Set<string>() // resources of which the application knows that their ids are
  let grants: string | undefined // by which what was sent since the last connection began was judged
  let refs = 0
  let clock = 0

  /** Adds a handler; with `rewind` on a subscription of its own, since the bridge rewinds at its beginning only. */
  function add(topic: Topic, handler: Handler, rewind?: number): () => void {
    const name = canonical(topic) + (rewind === undefined ? '' : ` from ${refs + 1}`)
    let entry = entries.get(name)
    if (entry === undefined) {
      const ref = nextRef()
      entry = { ref, topic, rewind, handlers: new Map(), live: false, resuming: false,
        rewinding: rewind !== undefined, refused: undefined, asked: true }
      entries.set(name, entry)
      send(subscribeFrame(entry))
    }
    const mine = entry
    const own = { ...handler } // its own identity: the same handler may subscribe twice
    mine.handlers.set(own, ++clock)
    if (!mine.asked) queueMicrotask(() => catchUp(mine, own)) // the answer came before the handler
    return () => remove(name, mine, own)
  }

  /** Tells a handler that came later what the bridge has said to its topic. */
  function catchUp({ handlers, asked, refused }: Entry, handler: Handler): void {
    if (asked || !handlers.has(handler)) return
    call(() => (refused === undefined ? handler.onLive?.() : handler.onError?.(refused)), report)
  }

  function remove(name: string, entry: Entry, handler: Handler): void {
    if (!entry.handlers.delete(handler) || entry.handlers.size > 0) return
    entries.delete(name)
    if (!entry.refused) send({ type: 'unsubscribe', ref: nextRef(), subscription: entry.ref })
    const { channel } = entry.topic
    const others = [...entries.values()].some((other) => other.topic.channel === channel)
    if (!others) cursors.delete(channel) // it would vouch for what nobody listened to
  }

  /**
   * Subscribes all over again, on a new connection, and goes on from each channel's cursor. Also what is new does: were
   * it live at once, what has just changed would come before what the others missed, and they would hear it too.
   * With other grants than before there is no going on: what may be seen now is older than any cursor, and what may be
   * seen no longer was never said to leave.
   */
  function resubscribe(granted?: string): void {
    if (granted !== grants) cursors.clear()
    grants = granted
    // Those with a `where` last: each brings what it missed, and a part that came before the whole would be heard out of
    // its order by those who hear the whole, to whom it is not given again.
    const partly = ({ topic }: Entry): number => Number(topic.where !== undefined)
    for (const entry of [...entries.values()].sort((a, b) => partly(a) - partly(b))) {
      entry.refused = undefined
      entry.asked = true
      const past = !entry.live && entry.rewind !== undefined
      const cursor = past ? undefined : cursors.get(entry.topic.channel)
      entry.resuming = cursor !== undefined
      // It may be sent what others of the client have had before it was there; that is news to it alone.
      entry.rewinding = cursor === undefined ? entry.rewind !== undefined : !entry.live
      send(subscribeFrame(entry, cursor))
    }
  }

  /** The connection is gone: what was answered on it has to be answered again. */
  function lost(): void {
    for (const entry of entries.values()) entry.asked = true
  }

  /** Hands a frame to whom it concerns; true where somebody took it. */
  function receive(frame: ServerFrame): boolean {
    if (isEvent(frame)) return onEvent(frame)
    switch (frame.type) {
      case 'subscribed':
        return subscribed(frame.ref, frame.resumed === true)
      case 'heartbeat':
        for (const [channel, cursor] of Object.entries(frame.cursors)) keepCursor(channel, cursor)
        return true
      case 'resync':
        return resync(frame)
      case 'error':
        return refused(frame)
      default:
        return true
    }
  }

  function onEvent(event: EventFrame): boolean {
    if (event.cursor !== undefined) keepCursor(event.channel, event.cursor)
    doubt(event)
    const before = mark(event.id, clock)
    for (const { topic, handlers, rewinding, live } of [...entries.values()]) {
      // Before its first answer what others are sent is not for it: what comes then may be older.
      if (!live || (before !== undefined && !rewinding)) continue
      const seen = seenThrough(topic, event)
      if (seen === undefined) continue
      for (const [handler, since] of [...handlers]) {
        if (since > (before ?? -1) && handlers.has(handler)) call(() => handler.onEvent(seen), report)
      }
    }
    return true
  }

  /** Says once of a resource that JSON.parse has made its ids others. */
  function doubt({ channel, resource, resource_id, data = {} }: EventFrame): void {
    const big = (value: unknown): boolean => Number.isInteger(value) && !Number.isSafeInteger(value)
    const name = `${channel}/${resource}`
    if (roundedIn.has(name)) return
    if (![resource_id].flat().some(big) && !Object.keys(data).some((key) => big(data[key]) && /id$/i.test(key))) return
    roundedIn.add(name)
    const remedy = 'name their columns in the rule\'s `strings`'
    report(new Error(`${name}: ids past 2^53 are rounded in JavaScript: ${remedy}`))
  }

  function subscribed(ref: string, resumed: boolean): boolean {
    const entry = [...entries.values()].find((candidate) => candidate.ref === ref)
    if (entry === undefined) return true // unsubscribed meanwhile
    const { channel, resource } = entry.topic
    entry.asked = false
    const missed = entry.live && !resumed && !entry.resuming // else the bridge itself says what can't be told
    // Its transport had it go on from a cursor: what others have had already is news to it.
    if (resumed && !entry.live) entry.rewinding = true
    if (!entry.live) {
      clock++
      for (const handler of entry.handlers.keys()) entry.handlers.set(handler, clock) // it has heard nothing so far
    }
    entry.live = true
    each((candidate) => candidate === entry, 'onLive')
    if (!missed) return true
    // No cursor to resume from: the application hears that it may have missed something, once what comes is live.
    return resync({ type: 'resync', channel, ...(resource && { resource }), ref, reason: 'reconnected' })
  }

  function refused(frame: ErrorFrame): boolean {
    const concerned = ({ ref }: Entry): boolean => ref === frame.ref
    for (const entry of entries.values()) {
      if (!concerned(entry)) continue
      entry.refused = frame
      entry.asked = false
    }
    return each(concerned, 'onError', frame)
  }

  function resync(frame: ResyncFrame): boolean {
    if (frame.reason === 'grants_changed') grants = '' // none that a welcome names
    const concerned = ({ ref, topic }: Entry): boolean =>
      frame.ref === undefined
        ? topic.channel === frame.channel &&
          (frame.resource === undefined || topic.resource === undefined || topic.resource === frame.resource)
        : ref === frame.ref
    return each(concerned, 'onResync', frame)
  }

  function each(concerned: (entry: Entry) => boolean, what: 'onLive' | 'onResync' | 'onError', frame?: any): boolean {
    let taken = false
    for (const entry of [...entries.values()].filter(concerned)) {
      for (const handler of [...entry.handlers.keys()]) {
        taken ||= !!handler[what]
        call(() => handler[what]?.(frame), report)
      }
    }
    return taken
  }

  /** Keeps a cursor, but not one that came before a subscription was answered: it does not vouch for what that missed. */
  function keepCursor(channel: string, cursor: string): void {
    const concerned = [...entries.values()].filter(({ topic, refused }) => topic.channel === channel && !refused)
    if (concerned.length > 0 && !concerned.some(({ asked }) => asked)) cursors.set(channel, cursor)
  }

  function nextRef(): string {
    return String(++refs)
  }

  return { add, resubscribe, lost, receive }
}

function subscribeFrame({ ref, topic, rewind }: Entry, cursor?: string): ClientFrame {
  const { channel, resource, key, where } = topic
  const past = cursor === undefined ? { rewind } : { cursor }
  return { type: 'subscribe', ref, channel, resource, key, where, ...past } as ClientFrame // JSON drops what is undefined
}
