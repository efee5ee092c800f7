import type { PresenceChangeFrame, PresentUser } from '../frames.js'
import type { Request, Session } from './session.js'

interface Member {
  about: PresentUser
  sessions: Set<Session | undefined> // undefined: put there by the test
}

/** Presence: who is in which room. A user is there once, with however many tabs. */
export class Rooms {
  readonly #rooms = new Map<string, Map<string, Member>>()
  readonly #of: () => Session[]

  constructor(of: () => Session[]) {
    this.#of = of
  }

  handle(session: Session, frame: Request): boolean {
    const { user, name } = session.who!
    if (frame.type === 'presence.enter') {
      this.enter(frame.room, { user, ...(name !== undefined && { name }), state: frame.state ?? {} }, session)
      const { room, ref } = frame
      session.say({ type: 'presence', ...(ref !== undefined && { ref }), room, users: this.users(room) })
    } else if (frame.type === 'presence.update') this.update(frame.room, user, frame.state, session)
    else if (frame.type === 'presence.leave') this.leave(frame.room, user, session)
    else return false
    return true
  }

  users(room: string): PresentUser[] {
    return [...(this.#rooms.get(room)?.values() ?? [])].map(({ about }) => about)
  }

  enter(room: string, who: PresentUser, session?: Session): void {
    const members = this.#rooms.get(room) ?? new Map<string, Member>()
    this.#rooms.set(room, members)
    const known = members.get(who.user)
    const about = { ...who, state: who.state ?? {}, since: known?.about.since ?? new Date().toISOString() }
    const sessions = known?.sessions ?? new Set()
    members.set(who.user, { about, sessions: sessions.add(session) })
    this.#tell(room, known ? 'presence.changed' : 'presence.joined', about, session)
  }

  update(room: string, user: string, state: Record<string, unknown>, session?: Session): void {
    const member = this.#rooms.get(room)?.get(user)
    if (member === undefined) return
    member.about = { ...member.about, state }
    this.#tell(room, 'presence.changed', member.about, session)
  }

  leave(room: string, user: string, session?: Session): void {
    const member = this.#rooms.get(room)?.get(user)
    if (!member?.sessions.delete(session) || member.sessions.size > 0) return
    this.#rooms.get(room)!.delete(user)
    const { name } = member.about
    this.#tell(room, 'presence.left', { user, ...(name !== undefined && { name }) }, session)
  }

  ended(session: Session): void {
    if (session.who) for (const room of this.#rooms.keys()) this.leave(room, session.who.user, session)
  }

  #tell(room: string, type: PresenceChangeFrame['type'], about: PresentUser, but?: Session): void {
    const inside = [...(this.#rooms.get(room)?.values() ?? [])].flatMap(({ sessions }) => [...sessions])
    const others = this.#of().filter((session) => session !== but && inside.includes(session))
    for (const session of others) session.say({ type, room, ...about })
  }
}
