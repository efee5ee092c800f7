import type { ClientFrame, HeartbeatFrame, LeaseFrame, ServerFrame, Topic } from './frames.js'
import { keyText } from './match.js'
import { canonical } from './topics.js'

/** Who asked, by which ref of theirs, and for which lease. */
type Asker = readonly [tab: string, ref: string, lease?: string | undefined]

interface Sub {
  readonly topic: string
  readonly channel: string
  readonly cursor: string | undefined
  readonly rewind: boolean
  askers: Asker[]
  answered: boolean
  past: boolean // no heartbeat has said yet that all it was to be sent of the past was
}

/** What the bridge never answers. */
const unanswered = ['presence.update', 'presence.leave']

/**
 * One connection's wire, with what several tabs have on it: refs of its own for those of the tabs, equal topics as one
 * subscription, answers to the one who asked, and everything else to all.
 */
export class Wire {
  readonly #subs = new Map<string, Sub>()
  readonly #asked = new Map<string, Asker>()
  readonly #rooms = new Map<string, Set<string>>()
  readonly #leases = new Map<string, Set<string>>()
  readonly #send: (frame: ClientFrame) => void
  readonly #deliver: (frame: ServerFrame, tab?: string) => void
  #refs = 0

  constructor(send: (frame: ClientFrame) => void, deliver: (frame: ServerFrame, tab?: string) => void) {
    this.#send = send
    this.#deliver = deliver
  }

  /** A subscription may still be sent what is past, or has been given no cursor yet. */
  get past(): boolean {
    return [...this.#subs.values()].some(({ past }) => past)
  }

  /** A new connection: nothing is on it. */
  reset(): void {
    for (const map of [this.#subs, this.#asked, this.#rooms, this.#leases]) map.clear()
  }

  /** Sends a tab's frame, unless what is on the wire already does for it. */
  up(tab: string, frame: ClientFrame): void {
    if (frame.type === 'subscribe') return this.#subscribe([tab, frame.ref], frame)
    if (frame.type === 'unsubscribe') return this.#leave(([by, ref]) => by === tab && ref === frame.subscription)
    if ('room' in frame && !this.#room(tab, frame.type, frame.room)) return
    if (!('ref' in frame)) return this.#send(frame)
    const lease = 'key' in frame ? JSON.stringify([frame.resource, keyText(frame.key)]) : undefined
    if (lease !== undefined && !this.#lease(tab, frame.type, lease)) {
      return this.#deliver({ type: 'lease', ref: frame.ref!, granted: false }, tab)
    }
    const ref = this.#ref()
    const asked = frame.type === 'lease.release' ? undefined : lease
    if (!unanswered.includes(frame.type)) this.#asked.set(ref, [tab, frame.ref!, asked])
    this.#send({ ...frame, ref })
  }

  /** Hands a frame of the bridge to those whom it is for. */
  down(frame: ServerFrame): void {
    if ('op' in frame) return this.#deliver(frame)
    if (frame.type === 'heartbeat') {
      this.#settle((frame as HeartbeatFrame).cursors)
      return this.#deliver(frame)
    }
    const ref = 'ref' in frame ? frame.ref : undefined
    if (ref === undefined) return this.#deliver(frame)
    const sub = this.#subs.get(ref)
    const asked = this.#asked.get(ref)
    this.#asked.delete(ref)
    if (asked?.[2] !== undefined && !(frame as LeaseFrame).granted) this.#leases.get(asked[2])?.delete(asked[0])
    if (frame.type === 'subscribed' && sub) sub.answered = true
    if (frame.type === 'error') this.#subs.delete(ref)
    for (const [tab, own] of sub?.askers ?? (asked ? [asked] : [])) this.#deliver({ ...frame, ref: own } as ServerFrame, tab)
  }

  /** Ends what tabs have on the wire that are no longer there. */
  gone(concerned: (tab: string) => boolean): void {
    this.#leave(([tab]) => concerned(tab))
    for (const [ref, [tab]] of this.#asked) if (concerned(tab)) this.#asked.delete(ref)
    // Not released: the tab may be on its way to another connection, where it renews them; else they run out.
    for (const tabs of this.#leases.values()) for (const tab of tabs) if (concerned(tab)) tabs.delete(tab)
    for (const [room, tabs] of this.#rooms) {
      for (const tab of tabs) if (concerned(tab)) this.up(tab, { type: 'presence.leave', room, ref: '' })
    }
  }

  #subscribe(asker: Asker, frame: { ref: string; cursor?: string; rewind?: number } & Topic): void {
    const { cursor, rewind, channel } = frame
    const topic = canonical(frame)
    for (const sub of rewind === undefined ? this.#subs.values() : []) {
      if (sub.topic !== topic || sub.rewind) continue
      if (!sub.answered && sub.cursor === cursor) { // nothing of what it brings has come yet
        sub.askers.push(asker)
        return
      }
      if (sub.answered && cursor === undefined) {
        sub.askers.push(asker)
        return this.#deliver({ type: 'subscribed', ref: asker[1], resumed: false }, asker[0])
      }
    }
    const ref = this.#ref()
    this.#subs.set(ref, { topic, channel, cursor, rewind: rewind !== undefined, askers: [asker], answered: false, past: true })
    this.#send({ ...frame, ref } as ClientFrame)
  }

  #leave(concerned: (asker: Asker) => boolean): void {
    for (const [ref, sub] of this.#subs) {
      const left = sub.askers.filter((asker) => !concerned(asker))
      if (left.length < sub.askers.length && left.length === 0) this.#end(ref)
      sub.askers = left
    }
  }

  #end(ref: string): void {
    this.#subs.delete(ref)
    this.#send({ type: 'unsubscribe', ref: this.#ref(), subscription: ref })
  }

  /**
   * A channel's cursor in a heartbeat says that all has been sent of it that was to be: subscriptions to one topic are
   * alike from here on, and one is enough.
   */
  #settle(cursors: Record<string, string>): void {
    const first = new Map<string, Sub>()
    for (const [ref, sub] of this.#subs) {
      if (!sub.answered || cursors[sub.channel] === undefined) continue
      sub.past = false
      const same = first.get(sub.topic)
      if (same === undefined) {
        first.set(sub.topic, sub)
        continue
      }
      same.askers.push(...sub.askers)
      this.#end(ref)
    }
  }

  /** Notes who is in a room; false where a leave is not to be sent, since others stay. */
  #room(tab: string, type: string, room: string): boolean {
    const tabs = this.#rooms.get(room) ?? new Set()
    if (type === 'presence.enter') this.#rooms.set(room, tabs.add(tab))
    if (type !== 'presence.leave') return true
    tabs.delete(tab)
    if (tabs.size === 0) this.#rooms.delete(room)
    return tabs.size === 0
  }

  /** Notes who has a lease, or may have it soon; false where a release is not to be sent, since others keep it. */
  #lease(tab: string, type: string, lease: string): boolean {
    const tabs = this.#leases.get(lease) ?? new Set()
    if (type !== 'lease.release') {
      this.#leases.set(lease, tabs.add(tab))
      return true
    }
    tabs.delete(tab)
    if (tabs.size === 0) this.#leases.delete(lease)
    return tabs.size === 0
  }

  #ref(): string {
    return `s${++this.#refs}`
  }
}
