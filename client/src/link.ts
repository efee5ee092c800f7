import type { ConnectionState } from './connection.js'
import type { Environment } from './environment.js'
import type { ClientFrame, ServerFrame, WelcomeFrame } from './frames.js'

/**
 * What carries frames between the subscriptions and the bridge: a connection of one's own, or the one that the tabs of
 * one user share. It is made with LinkOptions, of which LinkEvents are where it says what it hears.
 */
export interface Link {
  /** What it is doing; `onState` hears each change. */
  state(): ConnectionState
  /** Connects, unless it is connected or about to be; a wait for the next attempt ends now. */
  start(): void
  /** Closes for good, until start. */
  stop(): void
  /** Sends now, or not at all: what has to survive a reconnection is sent by onLive. */
  send(frame: ClientFrame): void
}

export interface LinkEvents {
  onState(state: ConnectionState): void
  /** Each welcome of a connection, the first (onLive follows) and those that a fresh token brings. */
  onWelcome?(frame: WelcomeFrame, first: boolean): void
  /** Authenticated, with these grants: subscriptions may be sent. */
  onLive(grants: string | undefined): void
  /** Each frame of the bridge that is not about the connection itself. */
  onFrame(frame: ServerFrame): void
  /** getToken failed; the connection is tried again. */
  onTokenError(error: unknown): void
}

export interface LinkOptions extends LinkEvents {
  url: string
  getToken: (() => string | Promise<string>) | undefined
  environment: Environment
}
