/** What the client needs of a WebSocket; a browser's, Node's and the package `ws` all have it. */
export interface SocketLike {
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  send(text: string): void
  close(code?: number, reason?: string): void
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike

/** By what the tabs of a browser find each other. */
export interface Tabs {
  locks: Pick<LockManager, 'request'>
  BroadcastChannel: new (name: string) => Pick<BroadcastChannel, 'postMessage' | 'onmessage' | 'close'>
}

/** The outside world; each part can be replaced, for tests and for runtimes that lack one. */
export interface Environment {
  /** Where there is none, or none gets through, Server-Sent Events by `fetch` take its place. */
  WebSocket: SocketConstructor | undefined
  fetch: typeof globalThis.fetch | undefined
  setTimeout(run: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  /** Milliseconds, by a clock that goes on while the machine sleeps; only differences count. */
  now(): number
  /** From 0 up to 1, as Math.random. */
  random(): number
  /** Where errors go that the application's own handlers throw. */
  report(error: unknown): void
  /** Calls back when the network or the page is there again, or (`offline`) has gone; returns how to stop. */
  onWake(wake: (offline?: boolean) => void): () => void
  /** Absent where there are no tabs to share a connection with. */
  tabs?: Tabs | undefined
}

/** Writes to the console what nobody else handles. */
export function report(error: unknown): void {
  console.error('rowfeed:', error)
}

export function defaultEnvironment(): Environment {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: globalThis.fetch?.bind(globalThis),
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    now: () => Date.now(),
    random: () => Math.random(),
    report,
    onWake: browserWake,
    tabs: browserTabs(),
  }
}

function browserTabs(): Tabs | undefined {
  const { navigator, BroadcastChannel } = globalThis
  const browser = 'document' in globalThis || 'WorkerGlobalScope' in globalThis // Node has locks and channels, but no tabs
  return browser && navigator?.locks && BroadcastChannel ? { locks: navigator.locks, BroadcastChannel } : undefined
}

/** `pageshow` is also a page that comes out of the back/forward cache, `resume` one that was frozen. */
export function browserWake(wake: (offline?: boolean) => void): () => void {
  const page = globalThis.document as Document | undefined
  const look = ({ type }: Event): void => {
    if (type === 'offline' || page?.visibilityState !== 'hidden') wake(type === 'offline')
  }
  const watch = (how: 'addEventListener' | 'removeEventListener'): void => {
    for (const type of ['online', 'offline', 'pageshow']) globalThis[how]?.(type, look)
    for (const type of ['visibilitychange', 'resume']) page?.[how](type, look)
  }
  watch('addEventListener')
  return () => watch('removeEventListener')
}
