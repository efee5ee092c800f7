/** The client of the rowfeed bridge: live row changes in a few lines. See the README. */
export { createClient } from './client.js'
export type { Client, ClientOptions, EventMap, SubscriptionOptions } from './client.js'
export { CloseCode, isTerminal } from './codes.js'
export type { ConnectionState } from './connection.js'
export type { Environment, SocketConstructor, SocketLike } from './environment.js'
export { isEvent } from './frames.js'
export type {
  ClientFrame,
  ErrorFrame,
  EventFrame,
  Key,
  Op,
  ResyncFrame,
  Scalar,
  ServerFrame,
  Topic,
} from './frames.js'
export { parseFrame } from './parse.js'
export type { Readable } from './store.js'
