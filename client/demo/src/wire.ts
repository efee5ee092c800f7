import type { SocketConstructor } from 'rowfeed'
import { cell } from './store'
import type { Cell } from './store'

/** A frame as it went over this page's socket. */
export interface Frame {
  n: number
  when: Date
  sent: boolean
  text: string
  body: Record<string, unknown>
  channel: string // that it is about, or its ref
}

export interface WireState {
  open: boolean // this page has a socket of its own
  frames: Frame[] // newest first
  events: number
  again: number // events that came although they had come before
}

export interface Wire extends Cell<WireState> {
  /** The socket class whose frames are noted. */
  tap(Base: typeof WebSocket): SocketConstructor
  /** Notes an event that came by another tab's socket. */
  heard(body: object): void
}

const kept = 60
const remembered = 50_000

/** Notes what goes over the page's socket, for the page to show: the client itself has no use for it. */
export function createWire(): Wire {
  const wire = cell<WireState>({ open: false, frames: [], events: 0, again: 0 })
  const had = new Set<string>()
  const asked = new Map<unknown, unknown>() // ref -> channel
  let n = 0

  function note(sent: boolean, text: string): void {
    const state = wire.get()
    const body = JSON.parse(text) as Record<string, unknown>
    if (body.type === 'auth') return // it holds a token
    if (body.type === 'subscribe') asked.set(body.ref, body.channel)
    const about = body.type === 'subscribed' ? asked.get(body.ref) : body.channel
    const frame: Frame = { n: ++n, when: new Date(), sent, text, body, channel: String(about ?? body.ref ?? '') }
    let { events, again } = state
    if (!sent && typeof body.id === 'string' && body.channel !== undefined) {
      events++
      if (had.has(body.id)) again++
      had.add(body.id)
      if (had.size > remembered) had.delete(had.values().next().value!)
    }
    wire.set({ ...state, frames: [frame, ...state.frames].slice(0, kept), events, again })
  }

  let current: WebSocket | undefined // an older one may close after it has opened
  const opened = (socket: WebSocket): void => {
    current = socket
    wire.set({ ...wire.get(), open: true })
  }
  const closed = (socket: WebSocket): void => {
    if (current === socket) wire.set({ ...wire.get(), open: false })
  }

  return {
    ...wire,
    tap: (Base) =>
      class extends Base {
        constructor(url: string, protocols: string[]) {
          super(url, protocols)
          this.addEventListener('open', () => opened(this))
          this.addEventListener('message', ({ data }) => note(false, String(data)))
          this.addEventListener('close', () => closed(this))
        }

        override send(text: string): void {
          note(true, text)
          super.send(text)
        }

        override close(code?: number, reason?: string): void {
          closed(this)
          super.close(code, reason)
        }
      },
    heard: (body) => note(false, JSON.stringify(body)),
  }
}
