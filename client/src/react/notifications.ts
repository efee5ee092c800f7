import { useCallback, useEffect, useState } from 'react'
import type { Key } from '../frames.js'
import type { Wire } from './follow.js'
import { loading, openInbox } from './inbox.js'
import type { Inbox, InboxState, MarkRead } from './inbox.js'
import { useClient } from './provider.js'
import { useLatest, useShared } from './share.js'

export interface NotificationsOptions {
  /** How many to show, and how many more with each `loadMore`. */
  limit?: number
  /** Tells the ERP that notifications were read, where its own table keeps them. */
  markRead?: MarkRead
  /** The channel that brings them. */
  channel?: string
}

export interface Notifications extends InboxState {
  /** Shows them as read at once; takes that back, and rejects, where it could not be done. */
  markRead: (ids: readonly Key[] | 'all') => Promise<void>
  loadMore: () => void
}

/**
 * One's notifications, the newest first, and how many are unread: by the bridge's own list and count where it keeps
 * them, else from the last `notification` events of the channel on. All components of a page share them.
 */
export function useNotifications(options: NotificationsOptions = {}): Notifications {
  const { limit = 50, markRead: own, channel = 'notifications' } = options
  const client: Wire = useClient()
  const [extra, setExtra] = useState(0)
  const shown = limit + extra
  const [state, act] = useShared<InboxState, Inbox>(client, `notifications ${channel}`, loading, () =>
    openInbox(client, channel, shown))
  useEffect(() => act((inbox) => inbox.want(shown)), [act, shown])
  const latest = useLatest(own)
  const markRead = useCallback(
    async (ids: readonly Key[] | 'all') => act((inbox) => inbox.markRead(ids, latest.current)),
    [act, latest],
  )
  const loadMore = useCallback(() => setExtra((more) => more + limit), [limit])
  const { notifications, hasMore } = state
  return {
    ...state,
    notifications: notifications.slice(0, shown),
    hasMore: hasMore || notifications.length > shown,
    markRead,
    loadMore,
  }
}
