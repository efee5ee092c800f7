import type { ClientFrame, HeartbeatFrame, LeaseFrame, ServerFrame, Topic } from './frames.js'
import { canonical, keyText } from './match.js'

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

export interface Wire {
  past(): boolean
  reset(): void
  up(tab: string, frame: ClientFrame): void
  down(frame: ServerFrame): void
  gone(concerned: (tab: string) => boolean): void
}

/**
 * One connection's wire, with what several tabs have on it: refs of its own for those of the tabs, equal topics as one
 * subscription, answers to the one who asked, and everything else to all.
 */
export function createWire(
  send: (frame: ClientFrame) => void,
  deliver: (frame: ServerFrame, tab?: string) => void,
): Wire {
  /** What the bridge never answers. */
  const unanswered = ['presence.update', 'presence.leave']
  const subs = new Map<string, Sub>()
  const questions = new Map<string, Asker>()
  const rooms = new Map<string, Set<string>>()
  const leases = new Map<string, Set<string>>()
  let refs = 0

  /** A subscription may still be sent what is past, or has been given no cursor yet. */
  function past(): boolean {
    return [...subs.values()].some(({ past }) => past)
  }

  /** A new connection: nothing is on it. */
  function reset(): void {
    for (const map of [subs, questions, rooms, leases]) map.clear()
  }

  /** Sends a tab's frame, unless what is on the wire already does for it. */
  function up(tab: string, frame: ClientFrame): void {
    if (frame.type === 'subscribe') return subscribe([tab, frame.ref], frame)
    if (frame.type === 'unsubscribe') return leave(([by, ref]) => by === tab && ref === frame.subscription)
    const { type } = frame
    if ((type === 'presence.enter' || type === 'presence.leave')
      && !keeps(rooms, tab, frame.room, type === 'presence.enter')) return
    if (!('ref' in frame)) return send(frame)
    const lease = 'key' in frame ? JSON.stringify([frame.resource, keyText(frame.key)]) : undefined
    if (lease && !keeps(leases, tab, lease, frame.type !== 'lease.release')) {
      return deliver({ type: 'lease', ref: frame.ref!, granted: false }, tab)
    }
    const ref = nextRef()
    const asked = frame.type === 'lease.release' ? undefined : lease
    if (!unanswered.includes(frame.type)) questions.set(ref, [tab, frame.ref!, asked])
    send({ ...frame, ref })
  }

  /** Hands a frame of the bridge to those whom it is for. */
  function down(frame: ServerFrame): void {
    if ('op' in frame) return deliver(frame)
    if (frame.type === 'heartbeat') {
      settle((frame as HeartbeatFrame).cursors)
      return deliver(frame)
    }
    const { ref } = frame as { ref?: string }
    if (ref === undefined) return deliver(frame)
    const sub = subs.get(ref)
    const asked = questions.get(ref)
    questions.delete(ref)
    if (asked?.[2] && !(frame as LeaseFrame).granted) leases.get(asked[2])?.delete(asked[0])
    if (frame.type === 'subscribed' && sub) sub.answered = true
    if (frame.type === 'error') subs.delete(ref)
    for (const [tab, own] of sub?.askers ?? (asked ? [asked] : [])) deliver({ ...frame, ref: own } as ServerFrame, tab)
  }

  /** Ends what tabs have on the wire that are no longer there. */
  function gone(concerned: (tab: string) => boolean): void {
    leave(([tab]) => concerned(tab))
    for (const [ref, [tab]] of questions) if (concerned(tab)) questions.delete(ref)
    // Not released: the tab may be on its way to another connection, where it renews them; else they run out.
    for (const tabs of leases.values()) for (const tab of tabs) if (concerned(tab)) tabs.delete(tab)
    for (const [room, tabs] of rooms) {
      for (const tab of tabs) if (concerned(tab)) up(tab, { type: 'presence.leave', room, ref: '' })
    }
  }

  function subscribe(asker: Asker, frame: { ref: string; cursor?: string; rewind?: number } & Topic): void {
    const { cursor, rewind, channel } = frame
    const topic = canonical(frame)
    for (const sub of rewind === undefined ? subs.values() : []) {
      if (sub.topic !== topic || sub.rewind) continue
      if (!sub.answered && sub.cursor === cursor) { // nothing of what it brings has come yet
        sub.askers.push(asker)
        return
      }
      if (sub.answered && cursor === undefined) {
        sub.askers.push(asker)
        return deliver({ type: 'subscribed', ref: asker[1], resumed: false }, asker[0])
      }
    }
    const ref = nextRef()
    subs.set(ref, { topic, channel, cursor, rewind: rewind !== undefined, askers: [asker], answered: false, past: true })
    send({ ...frame, ref } as ClientFrame)
  }

  function leave(concerned: (asker: Asker) => boolean): void {
    for (const [ref, sub] of subs) {
      const left = sub.askers.filter((asker) => !concerned(asker))
      if (left.length < sub.askers.length && left.length === 0) end(ref)
      sub.askers = left
    }
  }

  function end(ref: string): void {
    subs.delete(ref)
    send({ type: 'unsubscribe', ref: nextRef(), subscription: ref })
  }

  /**
   * A channel's cursor in a heartbeat says that all has been sent of it that was to be: subscriptions to one topic are
   * alike from here on, and one is enough.
   */
  function settle(cursors: Record<string, string>): void {
    const first = new Map<string, Sub>()
    for (const [ref, sub] of subs) {
      if (!sub.answered || cursors[sub.channel] === undefined) continue
      sub.past = false
      const same = first.get(sub.topic)
      if (same === undefined) {
        first.set(sub.topic, sub)
        continue
      }
      same.askers.push(...sub.askers)
      end(ref)
    }
  }

  /** Notes who is in what; false where leaving it is not to be sent, since others stay. */
  function keeps(book: Map<string, Set<string>>, tab: string, what: string, stays: boolean): boolean {
    const tabs = book.get(what) ?? new Set()
    book.set(what, tabs.add(tab))
    if (stays) return true
    tabs.delete(tab)
    if (tabs.size === 0) book.delete(what)
    return tabs.size === 0
  }

  function nextRef(): string {
    return `s${++refs}`
  }

  return { past, reset, up, down, gone }
}
