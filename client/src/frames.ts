/** A JSON value that a key or a `where` may hold. */
export type Scalar = string | number | boolean | null

/** A row's key as the bridge sends it: an array where the key has several columns. */
export type Key = Scalar | Scalar[]

export type Op = 'insert' | 'update' | 'delete' | 'enter' | 'leave'

/** One change of one row, as this subscriber may see it. */
export interface EventFrame<Data = Record<string, unknown>> {
  type: string
  /** Unique; the same on every node and on every replay. */
  id: string
  channel: string
  resource: string
  resource_id: Key
  /** `leave`: the row is no longer yours to see; `enter`: it has become so. */
  op: Op
  /** When the row was written, RFC 3339 in UTC. */
  at: string
  txid: string
  /** The row; absent on `leave`. */
  data?: Data
  /** The previous values of what an update changed. */
  old?: Partial<Data>
  message?: string
  link?: string
  cursor?: string
}

export interface WelcomeFrame {
  type: 'welcome'
  user: string
  name?: string
  session: string
  /** Stands for what one may see: the same text for as long as that is the same. */
  grants?: string
  expires_in_ms: number
  heartbeat_ms: number
}

export interface SubscribedFrame {
  type: 'subscribed'
  ref: string
  /** What was missed has been, or is being, sent. */
  resumed?: boolean
}

export interface UnsubscribedFrame {
  type: 'unsubscribed'
  ref: string
}

export interface PongFrame {
  type: 'pong'
}

export interface ErrorFrame {
  type: 'error'
  ref?: string
  code: string
  message: string
}

/** What was missed can't be told: fetch afresh. */
export interface ResyncFrame {
  type: 'resync'
  channel: string
  resource?: string
  ref?: string
  /** The bridge's reason; `reconnected` is this library's own, after a drop that could not be resumed. */
  reason: string
}

export interface AuthExpiringFrame {
  type: 'auth_expiring'
  in_ms: number
}

export interface HeartbeatFrame {
  type: 'heartbeat'
  cursors: Record<string, string>
}

/** Somebody in a room. */
export interface PresentUser {
  user: string
  name?: string
  /** What they say of themselves: not to be trusted. */
  state?: Record<string, unknown>
  since?: string
}

/** All who are in a room: the answer to `presence.enter`. */
export interface PresenceFrame {
  type: 'presence'
  ref?: string
  room: string
  users: PresentUser[]
}

/** Somebody else came, changed or went. */
export interface PresenceChangeFrame extends PresentUser {
  type: 'presence.joined' | 'presence.changed' | 'presence.left'
  room: string
}

/** The answer to `lease.acquire`, `lease.renew` and `lease.release`. */
export interface LeaseFrame {
  type: 'lease'
  ref?: string
  granted: boolean
  /** Grows with each holder: give it to whatever stores the row. */
  fence?: number
  /** How long it is held, by oneself or by the other one. */
  expires_in_ms?: number
  /** Who holds it, where it is not granted. */
  user?: string
  name?: string
}

/** A kept notification. */
export interface NotificationItem {
  id: string | number
  at?: string
  message?: string
  link?: string
  read_at?: string | null
  data?: Record<string, unknown>
}

/** One's own notifications, the newest first: the answer to `notifications.list`. */
export interface NotificationsFrame {
  type: 'notifications'
  ref?: string
  items: NotificationItem[]
  unread: number
}

/** How many are unread now; every tab of the user hears it. */
export interface NotificationCountFrame {
  type: 'notification_count'
  ref?: string
  unread: number
}

export type ControlFrame =
  | WelcomeFrame
  | SubscribedFrame
  | UnsubscribedFrame
  | PongFrame
  | ErrorFrame
  | ResyncFrame
  | AuthExpiringFrame
  | HeartbeatFrame
  | PresenceFrame
  | PresenceChangeFrame
  | LeaseFrame
  | NotificationsFrame
  | NotificationCountFrame

/** What the bridge sends. */
export type ServerFrame = ControlFrame | EventFrame

/** What one wants to hear of: a channel, or less of it. */
export interface Topic {
  channel: string
  resource?: string
  key?: Key
  /** Fields of `data` and the values that count; at most 100 values. */
  where?: Record<string, Scalar | Scalar[]>
}

/** What `client.request` sends, and what answers it. */
export interface Requests {
  'presence.enter': [{ room: string; state?: Record<string, unknown> }, PresenceFrame]
  'presence.update': [{ room: string; state: Record<string, unknown> }, void]
  'presence.leave': [{ room: string }, void]
  'lease.acquire': [{ resource: string; key: Key; ttl_ms: number }, LeaseFrame]
  'lease.renew': [{ resource: string; key: Key; ttl_ms?: number }, LeaseFrame]
  'lease.release': [{ resource: string; key: Key }, LeaseFrame]
  'notifications.list': [{ before?: string | number; limit?: number }, NotificationsFrame]
  'notifications.read': [{ ids: (string | number)[] } | { all: true }, NotificationCountFrame]
}

/** A request as the application makes it; the client gives it its `ref`. */
export type RequestFrame<T extends keyof Requests = keyof Requests> = {
  [N in T]: { type: N } & Requests[N][0]
}[T]

/** The answer to a request of type T. */
export type Answer<T extends keyof Requests> = Requests[T][1]

/** What the bridge says unasked, beside events: by what `client.listen` hears it. */
export type PushFrame = PresenceFrame | PresenceChangeFrame | NotificationCountFrame

/** What the client sends. */
export type ClientFrame =
  | { type: 'auth'; token: string }
  | (RequestFrame & { ref: string })
  | ({ type: 'subscribe'; ref: string; cursor?: string; rewind?: number } & Topic)
  | { type: 'unsubscribe'; ref: string; subscription: string }
  | { type: 'ping' }

export function isEvent(frame: ServerFrame): frame is EventFrame {
  return 'op' in frame
}
