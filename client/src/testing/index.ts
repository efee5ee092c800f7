/** A bridge for unit tests, without a network: it answers as the real one does, else it does what the test says. */
export { createFakeServer } from './server.js'
export type { FakeServer, FakeServerOptions, FakeSession, PartialEvent, Seen } from './server.js'
export type { Features } from './desk.js'
export type { Audience } from './feed.js'
export type { FakeUser } from './session.js'
