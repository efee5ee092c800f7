import { vi } from 'vitest'
import type { Tabs } from '../src/environment.js'
import type { ClientOptions, Environment, EventFrame } from '../src/index.js'
import { event, setup } from './fakesocket.js'
import type { Bench, FakeSocket } from './fakesocket.js'

interface Request {
  readonly tab: Tab
  grant(): Promise<void>
  readonly fail: (error: Error) => void
}

/** A browser's locks and channels, in memory, and tabs that may crash or freeze. */
export class Browser {
  readonly tabs: Tab[] = []
  readonly queues = new Map<string, { held: Request | undefined; waiting: Request[] }>()
  readonly channels = new Set<Channel>()
  /** Every message on every channel, as an eavesdropper of the same origin would have them. */
  readonly overheard: { name: string; data: any }[] = []

  /** Opens a page whose client has the given options; `heard` has the ids of its events of the channel `stock`. */
  open(options: Partial<ClientOptions> = {}, locks?: Tabs['locks']): Tab {
    const tab = new Tab(this, options, locks)
    this.tabs.push(tab)
    return tab
  }

  queue(name: string): { held: Request | undefined; waiting: Request[] } {
    const queue = this.queues.get(name) ?? { held: undefined, waiting: [] }
    this.queues.set(name, queue)
    return queue
  }

  grant(name: string): void {
    const queue = this.queue(name)
    if (queue.held) return
    const next = (queue.held = queue.waiting.shift())
    if (!next) return
    void next.grant().then(() => {
      if (queue.held !== next) return
      queue.held = undefined
      this.grant(name)
    })
  }

  /** The connections that a bridge would have. */
  get sockets(): FakeSocket[] {
    return this.tabs.flatMap(({ open }) => open)
  }
}

class Channel {
  onmessage: ((event: any) => void) | null = null

  constructor(
    readonly tab: Tab,
    readonly name: string,
  ) {
    tab.browser.channels.add(this)
  }

  postMessage(data: unknown): void {
    const { browser } = this.tab
    const text = structuredClone(data)
    browser.overheard.push({ name: this.name, data: text })
    for (const other of browser.channels) {
      if (other !== this && other.name === this.name) other.tab.run(() => browser.channels.has(other) && other.onmessage?.({ data: text }))
    }
  }

  close(): void {
    this.tab.browser.channels.delete(this)
  }
}

export class Tab {
  readonly bench: Bench
  readonly heard: string[] = []
  readonly resyncs: string[] = []
  readonly states: string[] = []
  #frozen: (() => void)[] | undefined
  #dead = false

  constructor(
    readonly browser: Browser,
    options: Partial<ClientOptions>,
    locks: Tabs['locks'] = {
      request: (name: string, how: LockOptions, run: () => Promise<unknown>) => this.#request(name, how, run),
    } as never,
  ) {
    const tab = this
    const environment: Partial<Environment> = {
      setTimeout: (work, ms) => setTimeout(() => this.run(work), ms),
      tabs: {
        locks,
        BroadcastChannel: class extends Channel {
          constructor(name: string) {
            super(tab, name)
          }
        },
      },
      ...options.environment,
    }
    this.bench = setup({ ...options, environment })
    this.bench.client.state.subscribe(({ status }) => this.states.push(status))
  }

  /** Subscribes to the channel `stock`. */
  listen(topic = {}, options = {}): this {
    this.bench.client.subscribe({ channel: 'stock', ...topic }, ({ id }) => this.heard.push(id), {
      onResync: ({ reason }) => this.resyncs.push(reason),
      ...options,
    })
    return this
  }

  get status(): string {
    return this.bench.client.state.get().status
  }

  get open(): FakeSocket[] {
    return this.#dead ? [] : this.bench.sockets.filter(({ closedWith }) => closedWith === undefined)
  }

  get socket(): FakeSocket {
    return this.open.at(-1)!
  }

  /** Runs in the tab's event loop: not in one that is gone, later in one that is frozen. */
  run(work: () => void): void {
    if (this.#frozen) this.#frozen.push(work)
    else queueMicrotask(() => {
      if (this.#frozen) this.#frozen.push(work)
      else if (!this.#dead) work()
    })
  }

  crash(): void {
    this.#dead = true
    for (const channel of this.browser.channels) if (channel.tab === this) channel.close()
    for (const [name, queue] of this.browser.queues) {
      queue.waiting = queue.waiting.filter(({ tab }) => tab !== this)
      if (queue.held?.tab === this) queue.held = undefined
      this.browser.grant(name)
    }
  }

  freeze(): void {
    this.#frozen = []
  }

  thaw(): void {
    const late = this.#frozen ?? []
    this.#frozen = undefined
    for (const work of late) this.run(work)
  }

  /** What the bridge sends on this tab's connection, frozen or not. */
  receives(...frames: Parameters<FakeSocket['say']>): void {
    const { socket } = this
    this.run(() => socket.say(...frames))
  }

  #request(name: string, { steal, signal }: LockOptions, run: () => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const queue = this.browser.queue(name)
      const fail = (error: Error): void => this.run(() => reject(error))
      const request: Request = {
        tab: this,
        fail,
        grant: () => new Promise<void>((release) => this.run(() => void Promise.resolve(run()).then((value) => {
          release()
          resolve(value)
        }))),
      }
      signal?.addEventListener('abort', () => {
        if (!queue.waiting.includes(request)) return
        queue.waiting.splice(queue.waiting.indexOf(request), 1)
        fail(new DOMException('aborted', 'AbortError'))
      })
      if (steal) {
        queue.held?.fail(new DOMException('stolen', 'AbortError'))
        queue.held = undefined
        queue.waiting.unshift(request)
      } else queue.waiting.push(request)
      this.browser.grant(name)
    })
  }
}

/** Welcomes each connection that waits for it, and answers subscriptions, until nothing is asked any more. */
export async function serve(browser: Browser, grants = 'g1'): Promise<void> {
  for (let quiet = 0; quiet < 5; quiet++) {
    await vi.advanceTimersByTimeAsync(0)
    for (const socket of browser.sockets) quiet = answer(socket, grants) ? 0 : quiet
  }
}

const answered = new WeakMap<FakeSocket, number>()

function answer(socket: FakeSocket, grants: string): boolean {
  const from = answered.get(socket)
  if (from === undefined) {
    answered.set(socket, 0)
    socket.open()
    const token = socket.of('auth')[0]?.token ?? ''
    socket.say({ type: 'welcome', user: token.split('.')[0]!, session: 's', grants: `${grants} of ${token}`, expires_in_ms: 300_000, heartbeat_ms: 25_000 })
    return true
  }
  const fresh = socket.sent.slice(from)
  answered.set(socket, socket.sent.length)
  for (const frame of fresh) if (frame.type === 'subscribe') socket.say({ type: 'subscribed', ref: frame.ref, resumed: frame.cursor !== undefined })
  return fresh.length > 0
}

let cursors = 0

/** An event of the channel that tabs listen to, with the next cursor. */
export function change(fields: Partial<EventFrame> = {}): EventFrame {
  return event({ cursor: `7f3a:${++cursors}`, ...fields })
}
