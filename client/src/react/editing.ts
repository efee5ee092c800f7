import { useEffect, useRef } from 'react'
import type { EventFrame, Topic } from '../frames.js'
import { useChannel, useHeard } from './channel.js'
import { isUnknown } from './follow.js'
import { usePresence } from './presence.js'
import type { Presence } from './presence.js'
import { useConnection } from './provider.js'

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

/**
 * Who else edits a document, and which field. `field` is the one that this page is in, null while it is in none. Where
 * the bridge has no presence, the `user_editing` events of `topic` tell it.
 */
export function useEditing(
  room: string | null,
  field?: string | null,
  { topic = { channel: 'presence', resource: room! } }: { topic?: Topic } = {},
): Editors {
  const { state } = useConnection()
  const { users, status, update } = usePresence(room, field === undefined ? undefined : { field })
  const [heard = {}, hear] = useHeard<Record<string, Editor | undefined>>(JSON.stringify([room, topic]))
  const me = useRef<string>(undefined)
  if (state.status === 'live') me.current = state.user // and while the connection is lost
  const alone = status === 'unsupported'
  const channel = useChannel(alone ? topic : null, ({ type, op, data, old }: EventFrame<any>) => {
    const { user, name, field } = { ...old, ...data } as Editor
    const editor = op === 'delete' || op === 'leave' ? undefined : { user: String(user), name, field }
    if (type === 'user_editing') hear((before) => ({ ...before, [user]: editor }))
  }, { onError: () => {} })
  useEffect(() => () => update({ field: null }), [update])
  const told = alone ? Object.values(heard) : users.map(({ user, name, state }) => ({ user, name, field: state?.field }))
  return {
    editors: told.filter((one): one is Editor => !!one?.field && one.user !== me.current),
    status: !alone || isUnknown(channel.error) ? status : channel.status === 'subscribing' ? 'entering' : channel.status,
  }
}
