import type { QueryClient } from '@tanstack/react-query'
import { createContext, useContext } from 'react'
import type { Client, EventFrame } from 'rowfeed'
import type { Api, Person, Setup } from './api'
import type { Cell } from './store'
import type { Wire } from './wire'

export type Event = Omit<EventFrame<unknown>, 'resource_id'> & { resource_id: unknown }

/** An event and when it was on the screen; `missed`: it was made while the page was not connected. */
export interface Arrival {
  event: Event
  at: number
  missed: boolean
}

export interface Toast {
  id: number
  message: string
  warn: boolean
}

/** Why the page was told to fetch afresh, and when. */
export interface Resync {
  reason: string
  at: number
}

/** What became of the page when what one may see had changed. */
export interface Regrant {
  at: number // when the bridge last said so
  ms: number // how long the fetch took
  went: number
  came: number
}

/** One user's look at the ERP: a client of the bridge and a cache of what REST gave, both ended by `close`. */
export interface Session {
  setup: Setup
  user: Person
  api: Api
  client: Client
  queries: QueryClient
  wire: Wire
  live: Cell<boolean> // connected, and every channel is heard
  offline: Cell<boolean> // by the visitor's wish
  arrivals: Cell<Arrival[]> // newest first
  latency: Cell<number | undefined>
  resync: Cell<Resync | undefined>
  regrant: Cell<Regrant | undefined>
  afresh: Cell<string> // why all had to be fetched after the last outage
  toasts: Cell<Toast[]>
  /** Reasons of a resync that a card tells of itself, for as long as the function says so. */
  tells: Map<string, () => boolean>
  toast(message: string, warn?: boolean): void
  cut(): void
  restore(): void
  close(): void
}

export const SessionContext = createContext<Session | null>(null)

export function useSession(): Session {
  const session = useContext(SessionContext)
  if (!session) throw new Error('useSession: render inside a SessionContext')
  return session
}
