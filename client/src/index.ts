/** The client of the rowfeed bridge: live row changes in a few lines. See the README. */
export { createClient } from './client.js'
export type { AnyClient, Client, ClientOptions, SubscriptionOptions, HandlerOptions } from './client.js'
export { CloseCode, isTerminal } from './codes.js'
export type { ConnectionState } from './connection.js'
export type { Environment, SocketConstructor, SocketLike } from './environment.js'
export { isEvent } from './frames.js'
export type {
  Answer,
  ClientFrame,
  ErrorFrame,
  EventFrame,
  Key,
  LeaseFrame,
  NotificationCountFrame,
  NotificationItem,
  NotificationsFrame,
  Op,
  PresenceChangeFrame,
  PresenceFrame,
  PresentUser,
  PushFrame,
  RequestFrame,
  Requests,
  ResyncFrame,
  Scalar,
  ServerFrame,
  Topic,
} from './frames.js'
export { parseFrame } from './parse.js'
export type { RequestError } from './requests.js'
export type {
  AnySchema,
  ChannelName,
  DataOf,
  EventName,
  EventOf,
  EventsIn,
  Named,
  Register,
  RegisteredSchema,
  ResourceName,
  Schema,
  TopicOf,
  TypedEvent,
} from './schema.js'
export type { Readable } from './store.js'
