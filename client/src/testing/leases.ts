import type { Key, LeaseFrame } from '../frames.js'
import { keyText } from '../match.js'
import type { Request, Session } from './session.js'

interface Lease {
  user: string
  name?: string | undefined
  fence: number
  until: number
}

/** Soft locks: one holder for a row at a time, until it runs out. */
export class Leases {
  readonly #leases = new Map<string, Lease>()
  #fence = 917

  handle(session: Session, frame: Request): boolean {
    if (frame.type !== 'lease.acquire' && frame.type !== 'lease.renew' && frame.type !== 'lease.release') return false
    const { type, resource, key, ref } = frame
    const { user, name } = session.who!
    const held = this.holder(resource, key)
    const answer = (about: Omit<LeaseFrame, 'type' | 'ref'>): void =>
      session.say({ type: 'lease', ...(ref !== undefined && { ref }), ...about })
    if (type === 'lease.release') {
      if (held?.user === user) this.release(resource, key)
      answer({ granted: false })
    } else if (type === 'lease.renew' && held?.user !== user) {
      session.refuse(frame, 'lease_lost', 'the lease has run out: acquire it again')
    } else if (held && held.user !== user) {
      const other = held.name === undefined ? { user: held.user } : { user: held.user, name: held.name }
      answer({ granted: false, expires_in_ms: held.until - Date.now(), ...other })
    } else {
      const ttl = frame.ttl_ms ?? 30_000
      const { fence } = this.hold(resource, key, { user, name }, ttl)
      answer({ granted: true, fence, expires_in_ms: ttl })
    }
    return true
  }

  /** Gives a row to a user, whoever has it; who has it already keeps the fence. */
  hold(resource: string, key: Key, who: { user: string; name?: string | undefined }, ttl: number): Lease {
    const before = this.holder(resource, key)
    const fence = before?.user === who.user ? before.fence : ++this.#fence
    const lease = { ...who, fence, until: Date.now() + ttl }
    this.#leases.set(place(resource, key), lease)
    return lease
  }

  release(resource: string, key: Key): void {
    this.#leases.delete(place(resource, key))
  }

  holder(resource: string, key: Key): Lease | undefined {
    const lease = this.#leases.get(place(resource, key))
    return lease && lease.until > Date.now() ? lease : undefined
  }
}

function place(resource: string, key: Key): string {
  return `${resource}/${keyText(key)}`
}
