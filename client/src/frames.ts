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

export type ControlFrame =
  | WelcomeFrame
  | SubscribedFrame
  | UnsubscribedFrame
  | PongFrame
  | ErrorFrame
  | ResyncFrame
  | AuthExpiringFrame
  | HeartbeatFrame

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

/** What the client sends. */
export type ClientFrame =
  | { type: 'auth'; token: string }
  | ({ type: 'subscribe'; ref: string; cursor?: string; rewind?: number } & Topic)
  | { type: 'unsubscribe'; ref: string; subscription: string }
  | { type: 'ping' }

export function isEvent(frame: ServerFrame): frame is EventFrame {
  return 'op' in frame
}
