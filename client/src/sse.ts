import type { Environment, SocketConstructor, SocketLike } from './environment.js'
import type { ClientFrame, ResyncFrame, ServerFrame } from './frames.js'

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

/** The close codes that say what an HTTP status does. */
const closes: Record<number, number> = {
  400: 4505, 401: 4501, 403: 4503, 405: 4505, 413: 1009, 415: 4505, 429: 1013, 503: 1013,
}
const grantsChanged = 4003
const abnormal = 1006

/** What an HTTP answer that is no stream would be as a close. Words that are not the bridge's are a proxy's: no verdict. */
async function closeOf(response: Response): Promise<[code: number, reason: string]> {
  const { status, headers } = response
  const body = (await response.json().catch(() => undefined)) as { error?: unknown; message?: unknown } | undefined
  if (typeof body?.error !== 'string') return [abnormal, `HTTP ${status}`]
  const wait = Number(headers.get('Retry-After')) * 1000
  return [closes[status] ?? abnormal, `${String(body.message)}${wait > 0 ? `; retry_ms=${wait}` : ''}`]
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
  return class implements SocketLike {
    onopen: SocketLike['onopen'] = null
    onmessage: SocketLike['onmessage'] = null
    onclose: SocketLike['onclose'] = null
    onerror: SocketLike['onerror'] = null
    readonly #url: URL
    readonly #subscriptions = new Map<string, Subscription>()
    readonly #answered = new Set<string>() // refs of those that were live on one of the streams
    readonly #cursors = new Map<string, string>() // by channel
    #pending = new Set<string>() // refs that the newest stream has not answered
    #token: string | undefined
    #grants: string | undefined
    #next: AbortController | undefined // of the newest stream, which may not have begun
    #now: AbortController | undefined // of the stream that is heard
    #due: unknown
    #stale = false // what is wanted changed before the newest stream was answered

    constructor(url: string) {
      this.#url = eventsURL(url)
      this.#due = setTimeout(() => {
        this.onopen?.({})
        void this.#begin()
      }, 0)
    }

    send(text: string): void {
      const frame = JSON.parse(text) as ClientFrame
      if (frame.type === 'auth') this.#token = frame.token
      else if (frame.type === 'subscribe') {
        const { type, ...subscription } = frame
        this.#subscriptions.set(frame.ref, subscription)
      } else if (frame.type === 'unsubscribe') this.#leave(frame.subscription)
      else {
        const { type, ref } = frame as { type: string; ref?: string }
        const message = `${type} needs a WebSocket, and none gets through: let the network and its proxies pass it`
        if (ref !== undefined) this.#say({ type: 'error', ref, code: 'unsupported_transport', message })
        return
      }
      if (this.#next !== undefined) this.#soon() // else it begins soon
    }

    #soon(): void {
      clearTimeout(this.#due)
      this.#due = setTimeout(() => void this.#begin(), 0)
    }

    #leave(ref: string): void {
      const channel = this.#subscriptions.get(ref)?.channel
      this.#subscriptions.delete(ref)
      this.#answered.delete(ref)
      for (const other of this.#subscriptions.values()) if (other.channel === channel) return
      this.#cursors.delete(channel!) // it would have a later one go on from what nobody listened to
    }

    close(): void {
      clearTimeout(this.#due)
      this.#next?.abort()
      this.#now?.abort()
      this.#now = this.#next = undefined
    }

    async #begin(): Promise<void> {
      // One after the other: were each given up for the next before it is answered, a page whose subscriptions change
      // and change would hear nothing.
      this.#stale = this.#next !== this.#now || this.#pending.size > 0
      if (this.#stale) return
      const mine = (this.#next = new AbortController())
      const isOld = ({ ref }: Subscription): number => Number(this.#answered.has(ref))
      // The new ones first, so that they are there when what the others missed comes.
      const wanted = [...this.#subscriptions.values()].sort((a, b) => isOld(a) - isOld(b)).map(this.#goingOn)
      try {
        const response = await fetch!(this.#url, {
          method: 'POST',
          credentials: 'include',
          cache: 'no-store',
          signal: mine.signal,
          headers: this.#token === undefined ? {} : { Authorization: `Bearer ${this.#token}` },
          body: JSON.stringify({ subscriptions: wanted }),
        })
        if (!response.ok || response.body === null) return this.#end(mine, ...(await closeOf(response)))
        if (this.#next !== mine) return mine.abort() // closed meanwhile
        this.#now?.abort()
        this.#now = mine
        this.#pending = new Set(wanted.map(({ ref }) => ref))
        this.#settled()
        await this.#read(response.body, mine, new Map(wanted.map((subscription) => [subscription.ref, subscription])))
        this.#end(mine, abnormal, 'the stream ended')
      } catch (error) {
        this.#end(mine, abnormal, String(error))
      }
    }

    /** What was live goes on from its channel's cursor; so does what is new, behind what the others miss. */
    #goingOn = ({ rewind, cursor: own, ...topic }: Subscription): Subscription => {
      const answered = this.#answered.has(topic.ref)
      if (rewind !== undefined && !answered) return { ...topic, rewind }
      const newest = this.#cursors.get(topic.channel)
      const cursor = answered ? (newest ?? own) : (own ?? newest)
      return cursor === undefined ? topic : { ...topic, cursor }
    }

    async #read(
      body: ReadableStream<Uint8Array>,
      mine: AbortController,
      asked: Map<string, Subscription>,
    ): Promise<void> {
      const parse = eventParser((name, data) => {
        if (this.#next !== mine) return // what follows comes by the stream that is about to begin
        if (name === 'close') {
          const { code, reason } = JSON.parse(data) as { code: number; reason: string }
          return this.#end(mine, code, reason)
        }
        const frame = parseFrame(data)
        if (frame === undefined || this.#note(frame, asked, mine)) this.onmessage?.({ data })
      })
      const decoder = new TextDecoder()
      const reader = body.getReader()
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parse(decoder.decode(part.value, { stream: true }))
      }
    }

    /** Keeps what the next stream needs to know; true where the frame is for those above, too. */
    #note(frame: ServerFrame, asked: Map<string, Subscription>, mine: AbortController): boolean {
      if ('op' in frame) this.#cursor(frame.channel, frame.cursor)
      else if (frame.type === 'heartbeat') {
        for (const [channel, cursor] of Object.entries(frame.cursors)) this.#cursor(channel, cursor)
      } else if (frame.type === 'welcome') {
        if (this.#grants !== undefined && this.#grants !== frame.grants) {
          this.#end(mine, grantsChanged, 'grants_changed') // no going on from a cursor
          return false
        }
        this.#grants = frame.grants
      } else if (frame.type === 'error' && frame.ref !== undefined) {
        this.#settled(frame.ref)
        this.#subscriptions.delete(frame.ref)
      } else if (frame.type === 'subscribed') {
        const { ref } = frame
        this.#settled(ref)
        if (!this.#answered.has(ref)) return !!this.#answered.add(ref)
        const { channel, resource, cursor } = asked.get(ref) ?? { channel: '' }
        // Else the bridge itself says what can't be told.
        if (cursor === undefined) this.#say(resync(channel, resource, ref))
        return false
      }
      return true
    }

    #settled(ref = ''): void {
      this.#pending.delete(ref)
      if (this.#stale && this.#pending.size === 0) this.#soon()
    }

    /** A cursor that comes before all of its channel are answered vouches for nothing of what those missed. */
    #cursor(channel: string, cursor: string | undefined): void {
      if (cursor === undefined) return
      for (const ref of this.#pending) if (this.#subscriptions.get(ref)?.channel === channel) return
      this.#cursors.set(channel, cursor)
    }

    #say(frame: ServerFrame): void {
      setTimeout(() => this.onmessage?.({ data: JSON.stringify(frame) }), 0)
    }

    #end(mine: AbortController, code: number, reason: string): void {
      if (this.#next !== mine) return
      this.close()
      this.onclose?.({ code, reason })
    }
  }
}

function resync(channel: string, resource: string | undefined, ref: string): ResyncFrame {
  return { type: 'resync', channel, ...(resource !== undefined && { resource }), ref, reason: 'reconnected' }
}
