import { useEffect, useState } from 'react'
import { openPlain } from './plain.js'
import type { PlainState } from './plain.js'
import { useLatest, useShared } from './share.js'

export interface WebSocketOptions {
  /** Gives a fresh JWT for each connection. Left out where a cookie says who is asking. */
  getToken?: () => string | Promise<string>
}

const page = {}
const closed: PlainState = { socket: null, isConnected: false }
let count = 0

/**
 * A real WebSocket to a plain endpoint (`/ws/notifications/`), which comes back after a drop as another `socket`, with
 * what was missed: let the effect that adds listeners depend on it. Needs no provider. An address without a host is the
 * page's own.
 */
export function useWebSocket(url: string, { getToken }: WebSocketOptions = {}): PlainState {
  const latest = useLatest(getToken)
  const [id] = useState(() => ++count)
  const open = () => openPlain(url, getToken && (() => latest.current!()))
  const [state, act] = useShared(page, `${id} ${url}`, closed, open)
  const { socket } = state
  useEffect(() => {
    if (socket) queueMicrotask(() => act((plain) => plain.ready(socket))) // when the page's own effects have run
  }, [socket, act])
  return state
}
