import { useCallback, useEffect } from 'react'
import { report } from '../environment.js'
import type { PresenceChangeFrame, PresenceFrame, PresentUser } from '../frames.js'
import { isUnknown, whileLive } from './follow.js'
import type { Wire } from './follow.js'
import { useClient } from './provider.js'
import { cell, useShared } from './share.js'
import type { Shared } from './share.js'

/** Who is in a room, and how one's own place in it is. */
export interface Presence {
  users: readonly PresentUser[]
  /** `unsupported`: this bridge has no presence; `refused`: the room is not yours to enter. */
  status: 'idle' | 'entering' | 'live' | 'refused' | 'unsupported'
}

type State = Record<string, unknown>

interface Room extends Shared<Presence> {
  update(part: State): void
}

const none: Presence = { users: [], status: 'idle' }
const entering: Presence = { users: [], status: 'entering' }

/** In a room while somebody shows it: enters again on each connection, and keeps the list of who else is there. */
function enter(client: Wire, room: string, mine: State = {}): Room {
  const { state, patch } = cell(entering)
  const people = new Map<string, PresentUser>()
  let inside = false // the bridge has been asked on this connection
  const show = (): void => patch({ users: [...people.values()] })
  const put = (user: PresentUser): void => {
    people.set(user.user, { ...people.get(user.user), ...user })
    show()
  }
  const hear = (frame: PresenceFrame | PresenceChangeFrame): void => {
    if (frame.room !== room) return
    if (frame.type === 'presence') {
      people.clear()
      frame.users.forEach(put)
      return patch({ users: [...people.values()], status: 'live' })
    }
    const { type, room: _, ...user } = frame
    if (type !== 'presence.left') return put(user)
    people.delete(user.user)
    show()
  }
  const ends = (['presence', 'presence.joined', 'presence.changed', 'presence.left'] as const)
    .map((type) => client.listen(type, hear))
  ends.push(whileLive(client, () => {
    inside = true
    client.request({ type: 'presence.enter', room, state: mine }).then(hear, (error) => {
      if (inside) patch({ users: [], status: isUnknown(error) ? 'unsupported' : 'refused' })
    })
  }, () => {
    inside = false
    patch({ status: 'entering' })
  }))
  return {
    state,
    update(part) {
      const before = JSON.stringify(mine)
      mine = { ...mine, ...part }
      if (!inside || JSON.stringify(mine) === before) return
      client.request({ type: 'presence.update', room, state: mine }).catch(report)
      const me = client.state.get()
      if (me.status === 'live' && people.has(me.user)) put({ user: me.user, state: mine })
    },
    stop() {
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
export function usePresence(room: string | null, state?: State): Presence & { update: (part: State) => void } {
  const client: Wire = useClient()
  const [presence, act] = useShared(client, room && `presence ${room}`, room === null ? none : entering, () =>
    enter(client, room!, state))
  const update = useCallback((part: State) => act((shared) => shared.update(part)), [act])
  const text = JSON.stringify(state)
  useEffect(() => {
    if (text) update(JSON.parse(text) as State)
  }, [text, update])
  return { ...presence, update }
}
