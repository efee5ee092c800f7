import { createContext, createElement, useContext, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import type { ReactElement, ReactNode } from 'react'
import { createClient } from '../client.js'
import type { Client, ClientOptions } from '../client.js'
import type { ConnectionState } from '../connection.js'

const Context = createContext<Client<any> | null>(null)

/** A client that the application made, or the options of one to make: it then lives as long as the provider. */
export type RowfeedProviderProps = { children?: ReactNode } & (
  | { client: Client<any>; options?: never }
  | { client?: never; options: ClientOptions }
)

/** Gives its client to the hooks below it. Options are read once: with another `key` there is another client. */
export function RowfeedProvider({ client, options, children }: RowfeedProviderProps): ReactElement {
  const [own] = useState(() => options && createClient(options))
  const ending = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => {
    if (!own) return
    clearTimeout(ending.current)
    own.connect()
    return () => {
      ending.current = setTimeout(own.close) // when StrictMode's second mount is over
    }
  }, [own])
  return createElement(Context.Provider, { value: client ?? own ?? null }, children)
}

/** The client of the nearest `<RowfeedProvider>`. */
export function useClient(): Client {
  const client = useContext(Context)
  if (client === null) throw new Error('useClient: no client here: put <RowfeedProvider client={client}> around the page')
  return client
}

const idle: ConnectionState = { status: 'idle' }
const idleOnServer = (): ConnectionState => idle

/** What the connection is doing, and whether what comes is live. */
export function useConnection(): { state: ConnectionState; isLive: boolean } {
  const { state } = useClient()
  const value = useSyncExternalStore(state.subscribe, state.get, idleOnServer)
  return { state: value, isLive: value.status === 'live' }
}
