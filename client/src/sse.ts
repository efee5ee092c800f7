import type { Environment, SocketConstructor, SocketLike } from './environment.js'
import type { ClientFrame, ServerFrame } from './frames.js'

type Subscription = Omit<Extract<ClientFrame, { type: 'subscribe' }>, 'type'>

/**
 * Reads text/event-stream, in whatever pieces it comes: WHATWG HTML, section 9.2.6. The id and the time to wait are of
 * no use here: frames have their cursor, and a close has its reason.
 */
export function eventParser(emit: (name: string, data: string) => void): (piece: string) => void {
  let rest = ''
  let name = ''
  let data: string[] = []
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/) // a \r at the end may be half a line's end
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
      if (field === 'data') data.push(value)
      else if (field === 'event') name = value
      else if (line === '') {
        if (data.length > 0) emit(name, data.join('\n'))
        name = ''
        data = []
      }
    }
  }
}

/** The bridge's `/sse` beside its `/ws`. */
function eventsURL(url: string): URL {
  const address = new URL(url, globalThis.location?.href)
  address.protocol = address.protocol.replace('ws', 'http')
  address.pathname = address.pathname.replace(/ws\/?$/, 'sse')
  return address
}

/** What an HTTP answer that is no stream would be as a close. Words that are not the bridge's are a proxy's: no verdict. */
async function closeOf(response: Response): Promise<[code: number, reason: string]> {
  const closes: Record<number, number> = {
    400: 4505, 401: 4501, 403: 4503, 405: 4505, 413: 1009, 415: 4505, 429: 1013, 503: 1013,
  }
  const { status, headers } = response
  const body = (await response.json().catch(() => undefined)) as { error?: unknown; message?: unknown } | undefined
  if (typeof body?.error !== 'string') return [1006, `HTTP ${status}`]
  const wait = Number(headers.get('Retry-After')) * 1000
  return [closes[status] ?? 1006, `${String(body.message)}${wait > 0 ? `; retry_ms=${wait}` : ''}`]
}

/**
 * A WebSocket's stand-in where none gets through: frames go and come as on `/ws`, by `POST /sse`. The first stream is
 * for nothing, and says who one is. Other subscriptions, or a fresh token, are a new stream, which goes on from the
 * cursors of the one before; that one is closed when the new one has begun. (What the entry has already it is given, so
 * as not to be bundled with it.)
 */
export function eventSocket(
  { fetch, setTimeout, clearTimeout }: Environment,
  parseFrame: (text: string) => ServerFrame | undefined,
): SocketConstructor {
  const grantsChanged = 4003
  const abnormal = 1006
  function open(url: string): SocketLike {
    const socket: SocketLike = { onopen: null, onmessage: null, onclose: null, onerror: null, send, close }
    const address = eventsURL(url)
    const subscriptions = new Map<string, Subscription>()
    const answered = new Set<string>() // refs of those that were live on one of the streams
    const cursors = new Map<string, string>() // by channel
    let pending = new Set<string>() // refs that the newest stream has not answered
    let token: string | undefined
    let grants: string | undefined
    let next: AbortController | undefined // of the newest stream, which may not have begun
    let now: AbortController | undefined // of the stream that is heard
    let stale = false // what is wanted changed before the newest stream was answered
    let due = setTimeout(() => {
      socket.onopen?.({})
      void begin()
    }, 0)
    return socket

    function send(text: string): void {
      const frame = JSON.parse(text) as ClientFrame
      if (frame.type === 'auth') ({ token } = frame)
      else if (frame.type === 'subscribe') {
        const { type, ...subscription } = frame
        subscriptions.set(frame.ref, subscription)
      } else if (frame.type === 'unsubscribe') leave(frame.subscription)
      else {
        const { type, ref } = frame as { type: string; ref?: string }
        const message = `${type} needs a WebSocket, and none gets through: let the network and its proxies pass it`
        if (ref !== undefined) say({ type: 'error', ref, code: 'unsupported_transport', message })
        return
      }
      if (next) soon() // else it begins soon
    }

    function soon(): void {
      clearTimeout(due)
      due = setTimeout(begin, 0)
    }

    function leave(ref: string): void {
      const channel = subscriptions.get(ref)?.channel
      subscriptions.delete(ref)
      answered.delete(ref)
      for (const other of subscriptions.values()) if (other.channel === channel) return
      cursors.delete(channel!) // it would have a later one go on from what nobody listened to
    }

    function close(): void {
      clearTimeout(due)
      next?.abort()
      now?.abort()
      now = next = undefined
    }

    async function begin(): Promise<void> {
      // One after the other: were each given up for the next before it is answered, a page whose subscriptions change
      // and change would hear nothing.
      stale = next !== now || pending.size > 0
      if (stale) return
      const mine = (next = new AbortController())
      const isOld = ({ ref }: Subscription): number => Number(answered.has(ref))
      // The new ones first, so that they are there when what the others missed comes.
      const wanted = [...subscriptions.values()].sort((a, b) => isOld(a) - isOld(b)).map(goingOn)
      try {
        const response = await fetch!(address, {
          method: 'POST',
          credentials: 'include',
          cache: 'no-store',
          signal: mine.signal,
          headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
          body: JSON.stringify({ subscriptions: wanted }),
        })
        if (!response.ok || response.body === null) return end(mine, ...(await closeOf(response)))
        if (next !== mine) return mine.abort() // closed meanwhile
        now?.abort()
        now = mine
        pending = new Set(wanted.map(({ ref }) => ref))
        settled()
        await read(response.body, mine, wanted)
        end(mine, abnormal, 'the stream ended')
      } catch (error) {
        end(mine, abnormal, String(error))
      }
    }

    /** What was live goes on from its channel's cursor; so does what is new, behind what the others miss. */
    function goingOn({ rewind, cursor: own, ...topic }: Subscription): Subscription {
      const was = answered.has(topic.ref)
      if (rewind !== undefined && !was) return { ...topic, rewind }
      const newest = cursors.get(topic.channel)
      const cursor = was ? (newest ?? own) : (own ?? newest)
      return cursor === undefined ? topic : { ...topic, cursor }
    }

    async function read(body: ReadableStream<Uint8Array>, mine: AbortController, asked: Subscription[]): Promise<void> {
      const parse = eventParser((name, data) => {
        if (next !== mine) return // what follows comes by the stream that is about to begin
        if (name === 'close') {
          const { code, reason } = JSON.parse(data) as { code: number; reason: string }
          return end(mine, code, reason)
        }
        const frame = parseFrame(data)
        if (frame === undefined || note(frame, asked, mine)) socket.onmessage?.({ data })
      })
      const decoder = new TextDecoder()
      const reader = body.getReader()
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parse(decoder.decode(part.value, { stream: true }))
      }
    }

    /** Keeps what the next stream needs to know; true where the frame is for those above, too. */
    function note(frame: ServerFrame, asked: Subscription[], mine: AbortController): boolean {
      if ('op' in frame) keepCursor(frame.channel, frame.cursor)
      else if (frame.type === 'heartbeat') {
        for (const [channel, cursor] of Object.entries(frame.cursors)) keepCursor(channel, cursor)
      } else if (frame.type === 'welcome') {
        if (grants !== undefined && grants !== frame.grants) {
          end(mine, grantsChanged, 'grants_changed') // no going on from a cursor
          return false
        }
        grants = frame.grants
      } else if (frame.type === 'error' && frame.ref !== undefined) {
        settled(frame.ref)
        subscriptions.delete(frame.ref)
      } else if (frame.type === 'subscribed') {
        const { ref } = frame
        settled(ref)
        if (!answered.has(ref)) return !!answered.add(ref)
        const { channel, resource, cursor } = asked.find((one) => one.ref === ref)!
        // Else the bridge itself says what can't be told.
        if (cursor === undefined) {
          say({ type: 'resync', channel, ...(resource && { resource }), ref, reason: 'reconnected' })
        }
        return false
      }
      return true
    }

    function settled(ref = ''): void {
      pending.delete(ref)
      if (stale && pending.size === 0) soon()
    }

    /** A cursor that comes before all of its channel are answered vouches for nothing of what those missed. */
    function keepCursor(channel: string, cursor: string | undefined): void {
      if (cursor === undefined) return
      for (const ref of pending) if (subscriptions.get(ref)?.channel === channel) return
      cursors.set(channel, cursor)
    }

    function say(frame: ServerFrame): void {
      setTimeout(() => socket.onmessage?.({ data: JSON.stringify(frame) }), 0)
    }

    function end(mine: AbortController, code: number, reason: string): void {
      if (next !== mine) return
      close()
      socket.onclose?.({ code, reason })
    }
  }

  return open as unknown as SocketConstructor // `new` gives what a function returns
}
