import type { ClientFrame } from './frames.js'
import type { ConnectionState } from './connection.js'
import type { Readable } from './store.js'

/**
 * What carries frames between the subscriptions and the bridge: a connection of one's own, or the one that the tabs of
 * one user share. It is made with LinkEvents, by which it says what it hears.
 */
export interface Link {
  readonly state: Readable<ConnectionState>
  /** Connects, unless it is connected or about to be; a wait for the next attempt ends now. */
  start(): void
  /** Closes for good, until start. */
  stop(): void
  /** Sends now, or not at all: what has to survive a reconnection is sent by onLive. */
  send(frame: ClientFrame): void
}
