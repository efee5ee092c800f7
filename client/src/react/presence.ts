import { useCallback, useEffect } from 'react'
import type { PresentUser, PushFrame } from '../frames.js'
import { codeOf, isUnknown, whileLive } from './follow.js'
import type { Wire } from './follow.js'
import { useClient } from './provider.js'
import { cell, report, useShared } from './share.js'
import type { Shared } from './share.js'

/** Who is in a room, and how one's own place in it is. */
export interface Presence {
  users: readonly PresentUser[]
  /** `unsupported`: this bridge has no presence; `refused`: the room is not yours to enter. */
  status: 'idle' | 'entering' | 'live' | 'refused' | 'unsupported'
}

interface Room extends Shared<Presence> {
  update(part: Record<string, unknown>): void
}

const none: Presence = { users: [], status: 'idle' }
const entering: Presence = { users: [], status: 'entering' }

/** In a room while somebody shows it: enters again on each connection, and keeps the list of who else is there. */
function enter(client: Wire, room: string): Room {
  const { state, patch } = cell(entering)
  let mine: Record<string, unknown> = {}
  let inside = false // the bridge has been asked on this connection
  const put = ({ type: _, room: __, ...user }: PresentUser & { type?: string; room?: string }): void => {
    const { users } = state.get()
    const known = users.some((one) => one.user === user.user)
    patch({ users: known ? users.map((one) => (one.user === user.user ? { ...one, ...user } : one)) : [...users, user] })
  }
  const hear = ({ users }: { users: PresentUser[] }): void => patch({ users, status: 'live' })
  const here = <T extends PushFrame['type']>(type: T, handler: (frame: any) => void): (() => void) =>
    client.listen(type, (frame) => 'room' in frame && frame.room === room && handler(frame))
  const up = (): void => queueMicrotask(() => { // what the components that show it say of themselves comes along
    if (inside || stopped || client.state.get().status !== 'live') return
    inside = true
    client.request({ type: 'presence.enter', room, state: mine }).then(hear, (error) => {
      if (inside && codeOf(error)) patch({ status: isUnknown(error) ? 'unsupported' : 'refused', users: [] })
    })
  })
  let stopped = false
  const ends = [
    whileLive(client, up, () => {
      inside = false
      patch({ status: 'entering' })
    }),
    here('presence', hear),
    here('presence.joined', put),
    here('presence.changed', put),
    here('presence.left', (gone: PresentUser) =>
      patch({ users: state.get().users.filter(({ user }) => user !== gone.user) })),
  ]
  return {
    state,
    update(part) {
      const next = { ...mine, ...part }
      if (JSON.stringify(next) === JSON.stringify(mine)) return
      mine = next
      if (!inside) return
      client.request({ type: 'presence.update', room, state: mine }).catch(report)
      const me = client.state.get()
      const own = state.get().users.find(({ user }) => me.status === 'live' && user === me.user)
      if (own) put({ ...own, state: mine })
    },
    stop() {
      stopped = true
      for (const end of ends) end()
      if (inside) client.request({ type: 'presence.leave', room }).catch(report)
    },
  }
}

/**
 * Who is in a room, while the component is mounted; `null` is in none. `state` is what the others see of this page; it
 * may be written in place. What several components say of themselves in one room is put together, and so is what
 * `update` is given.
 */
export function usePresence(
  room: string | null,
  state?: Record<string, unknown>,
): Presence & { update: (part: Record<string, unknown>) => void } {
  const client: Wire = useClient()
  const first = room === null ? none : entering
  const [presence, act] = useShared(client, room && `presence ${room}`, first, () => enter(client, room!))
  const update = useCallback((part: Record<string, unknown>) => void act((shared) => shared.update(part)), [act])
  const text = JSON.stringify(state)
  useEffect(() => {
    if (text !== undefined) update(JSON.parse(text) as Record<string, unknown>)
  }, [text, update])
  return { ...presence, update }
}
