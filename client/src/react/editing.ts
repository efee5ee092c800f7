import { useEffect, useMemo } from 'react'
import type { Topic } from '../frames.js'
import { canonical } from '../topics.js'
import { follow, isUnknown } from './follow.js'
import type { Wire } from './follow.js'
import { usePresence } from './presence.js'
import type { Presence } from './presence.js'
import { useClient, useConnection } from './provider.js'
import { cell, useShared } from './share.js'
import type { Shared } from './share.js'

/** Somebody else, and the field that they are in. */
export interface Editor {
  user: string
  name?: string | undefined
  field: string
}

export interface Editors {
  editors: readonly Editor[]
  status: Presence['status']
}

const none: Editors = { editors: [], status: 'idle' }
const entering: Editors = { editors: [], status: 'entering' }

/** The editors that `user_editing` events tell of, the last word of each. */
function hear(client: Wire, topic: Topic): Shared<Editors> {
  const { state, patch } = cell(entering)
  const stop = follow(client, topic, ({ type, op, data, old }) => {
    const { user, name, field } = { ...old, ...data } as Editor
    if (type !== 'user_editing' || user === undefined) return
    const others = state.get().editors.filter((one) => one.user !== String(user))
    const stays = field && op !== 'delete' && op !== 'leave'
    patch({ editors: stays ? [...others, { user: String(user), name, field }] : others })
  }, ({ status, error }) => patch({
    status: status === 'subscribing' ? 'entering' : isUnknown(error) ? 'unsupported' : status,
  }))
  return { state, stop }
}

/**
 * Who else edits a document, and which field. `field` is the one that this page is in, null while it is in none. Where
 * the bridge has no presence, the `user_editing` events of `topic` tell it.
 */
export function useEditing(
  room: string | null,
  field?: string | null,
  { topic = { channel: 'presence', resource: room ?? '' } }: { topic?: Topic } = {},
): Editors {
  const client: Wire = useClient()
  const { state } = useConnection()
  const { users, status, update } = usePresence(room, field === undefined ? undefined : { field })
  const alone = status === 'unsupported'
  const name = alone ? `editing ${canonical(topic)}` : null
  const [heard] = useShared(client, name, alone ? entering : none, () => hear(client, topic))
  useEffect(() => () => update({ field: null }), [update])
  const me = state.status === 'live' ? state.user : undefined
  return useMemo(() => {
    const told = users.flatMap(({ user, name, state }): Editor[] => (state?.field ? [{ user, name, field: String(state.field) }] : []))
    const editors = (alone ? heard.editors : told).filter(({ user }) => user !== me)
    return { editors, status: alone ? heard.status : status }
  }, [users, status, heard, alone, me])
}
