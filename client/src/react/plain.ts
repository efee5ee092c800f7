import { backoff } from '../backoff.js'
import { CloseCode, isTerminal, retryDelay } from '../codes.js'
import { browserWake, report } from '../environment.js'
import { createSeen } from '../seen.js'
import { cell } from './share.js'
import type { Shared } from './share.js'

/** A connection to a plain endpoint: the present socket, which is another after each reconnection. */
export interface PlainState {
  socket: WebSocket | null
  isConnected: boolean
}

export interface Plain extends Shared<PlainState> {
  /** The page has its listeners on `socket`: what came before that is said again. */
  ready(socket: WebSocket): void
}

/** How long a handshake may take, and how long a connection has to last to count as a good one: milliseconds. */
const patience = 35_000
const stable = 5_000

/**
 * Keeps a socket to a plain endpoint. Its first listener, before any of the page's, keeps the newest cursor and holds
 * back what the page has had on an earlier socket, and, until `ready`, what comes before the page listens.
 */
export function openPlain(url: string, getToken: (() => string | Promise<string>) | undefined): Plain {
  const { state, patch } = cell<PlainState>({ socket: null, isConnected: false })
  const mark = createSeen()
  let cursor: string | undefined
  let attempt = 0
  let turn = 0 // a new one voids what an earlier attempt still waits for
  let timer: ReturnType<typeof setTimeout> | undefined
  let waiting = false
  let early: MessageEvent[] | undefined // what came while nobody listened
  let again = false // and is being said again

  async function dial(): Promise<void> {
    const mine = ++turn
    waiting = false
    clearTimeout(timer)
    timer = setTimeout(() => {
      report(new Error(`getToken: no answer in ${patience / 1000} s`))
      lost('')
    }, patience)
    try {
      const token = await getToken?.()
      if (mine !== turn) return
      const full = new URL(url, location.href)
      full.protocol = full.protocol.replace('http', 'ws')
      if (cursor !== undefined) full.searchParams.set('cursor', cursor)
      listen(new WebSocket(full, token === undefined ? [] : ['rowfeed.plain', `bearer.${token}`]), mine)
    } catch (error) { // no token, or no address; the next attempt may have a better one
      report(error)
      if (mine === turn) lost('')
    }
  }

  function listen(socket: WebSocket, mine: number): void {
    let since = Infinity
    early ??= [] // where a socket was gone before the page saw it, the next one says what it brought
    socket.addEventListener('message', (event) => {
      if (again) return
      const old = isOld(event.data)
      if (!old) early?.push(event)
      if (old || early) event.stopImmediatePropagation()
    })
    socket.addEventListener('open', () => {
      if (mine !== turn) return
      clearTimeout(timer)
      since = Date.now()
      patch({ isConnected: true })
    })
    socket.addEventListener('close', ({ code, reason }) => {
      if (mine !== turn) return
      if (Date.now() - since >= stable) attempt = 0
      if (code === CloseCode.grantsChanged || code === CloseCode.resync) cursor = undefined
      lost(reason, isTerminal(code))
    })
    clearTimeout(timer)
    timer = setTimeout(() => socket.close(), patience)
    patch({ socket })
  }

  function lost(reason: string, forGood = false): void {
    turn++
    clearTimeout(timer)
    waiting = !forGood
    if (waiting) timer = setTimeout(dial, Math.max(backoff(attempt++, Math.random), retryDelay(reason)))
    patch({ isConnected: false })
  }

  /** Whether the page has had this event. What is none of the bridge's events passes. */
  function isOld(text: unknown): boolean {
    try {
      const frame = JSON.parse(text as string) as { op?: string; id: string; cursor?: string }
      if (frame.op === undefined) return false
      cursor = frame.cursor ?? cursor
      return mark(frame.id, 0) !== undefined
    } catch {
      return false
    }
  }

  const sleep = browserWake((offline) => {
    if (!offline) waiting && void dial()
    else if (state.get().isConnected) { // it may be dead without knowing
      state.get().socket?.close()
      lost('')
    }
  })
  void dial()
  return {
    state,
    ready(socket) {
      if (socket !== state.get().socket) return
      const held = early ?? []
      early = undefined
      again = true
      for (const { data, origin } of held) socket.dispatchEvent(new MessageEvent('message', { data, origin }))
      again = false
    },
    stop() {
      turn++
      clearTimeout(timer)
      sleep()
      state.get().socket?.close()
    },
  }
}
