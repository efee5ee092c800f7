import { readFileSync, readdirSync } from 'node:fs'
import { vi } from 'vitest'
import { createClient } from '../src/index.js'
import type { Client, ClientFrame, ClientOptions, EventFrame, ServerFrame, SocketLike } from '../src/index.js'

/** The far end of one connection, as the test plays it. */
export class FakeSocket implements SocketLike {
  onopen: ((event: unknown) => void) | null = null
  onmessage: ((event: unknown) => void) | null = null
  onclose: ((event: unknown) => void) | null = null
  onerror: ((event: unknown) => void) | null = null
  readonly sent: ClientFrame[] = []
  closedWith: number | undefined

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientFrame)
  }

  close(code?: number): void {
    this.closedWith = code ?? 1005
  }

  open(): void {
    this.onopen?.({})
  }

  say(frame: ServerFrame): void {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }

  end(code: number, reason = ''): void {
    this.onclose?.({ code, reason })
  }

  /** Opens, and welcomes who says auth. */
  welcome(grants = 'g1'): void {
    this.open()
    this.say({ type: 'welcome', user: '42', name: 'Siti', session: 's-1', grants, expires_in_ms: 300000, heartbeat_ms: 25000 })
  }

  of<T extends ClientFrame['type']>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type)
  }
}

export interface Bench {
  client: Client
  sockets: FakeSocket[]
  reported: unknown[]
  unhandled: unknown[]
  wake: (offline?: boolean) => void
  /** The newest connection; waits for the token before it. */
  socket(): Promise<FakeSocket>
}

/** A client whose sockets are played by the test. Fake timers are the test's own. */
export function setup(options: Partial<ClientOptions> = {}): Bench {
  const bench: Bench = {
    sockets: [],
    reported: [],
    unhandled: [],
    wake: () => {},
    client: undefined as unknown as Client,
    async socket() {
      await vi.advanceTimersByTimeAsync(0)
      return this.sockets.at(-1)!
    },
  }
  bench.client = createClient({
    url: 'wss://live.example/ws',
    getToken: () => 'a.b.c',
    onError: (error) => bench.unhandled.push(error),
    ...options,
    environment: {
      WebSocket: class extends FakeSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols)
          bench.sockets.push(this)
        }
      },
      fetch: undefined,
      random: () => 1,
      report: (error) => bench.reported.push(error),
      onWake: (wake) => {
        bench.wake = wake
        return () => {
          bench.wake = () => {}
        }
      },
      ...options.environment,
    },
  })
  return bench
}

const wire = new URL('../../test/testdata/wire/', import.meta.url)

export interface Golden {
  name: string
  from: 'client' | 'server'
  frame: { type: string }
}

/** The golden frames that the Go tests read too, of `folder` and all below it. */
export function golden(folder = ''): Golden[] {
  return readdirSync(new URL(folder, wire), { withFileTypes: true }).flatMap((file): Golden[] => {
    const path = `${folder}${file.name}`
    if (file.isDirectory()) return golden(`${path}/`)
    return file.name.endsWith('.json') ? [JSON.parse(readFileSync(new URL(path, wire), 'utf8')) as Golden] : []
  })
}

let events = 0

export function event(fields: Partial<EventFrame> = {}): EventFrame {
  return {
    type: 'stock_changed',
    id: `e-${++events}`,
    channel: 'stock',
    resource: 'stock-levels',
    resource_id: 17,
    op: 'update',
    at: '2026-11-23T08:15:02.114Z',
    txid: '90412',
    data: { sku_id: 5, warehouse_id: 1, new_quantity: 8 },
    ...fields,
  }
}
