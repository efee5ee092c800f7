import { act, cleanup, render, renderHook } from '@testing-library/react'
import type { RenderHookResult } from '@testing-library/react'
import { StrictMode } from 'react'
import type { ReactElement, ReactNode } from 'react'
import { afterEach, beforeEach, vi } from 'vitest'
import type { ClientOptions } from '../../src/index.js'
import { RowfeedProvider } from '../../src/react/index.js'
import { setup } from '../fakesocket.js'
import type { Bench, FakeSocket } from '../fakesocket.js'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

/** What every test of hooks wants: no timer but the test's, nothing mounted afterwards. */
export function quietly(): void {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    cleanup()
    vi.advanceTimersByTime(0) // what lets go a tick late
    vi.useRealTimers()
  })
}

export interface Page extends Bench {
  wrapper: (props: { children: ReactNode }) => ReactElement
  hook<P, R>(run: (props: P) => R, initialProps?: P): RenderHookResult<R, P>
  show(children: ReactNode): ReturnType<typeof render>
  /** Lets `ms` go by. */
  pass(ms?: number): Promise<void>
  /** Brings a connection to life; every subscription is answered. */
  live(): Promise<FakeSocket>
  /** Drops the connection and brings the next one to life. */
  again(): Promise<FakeSocket>
  say(frame: Parameters<FakeSocket['say']>[0]): void
  /** The newest frame of a type that the page sent. */
  last(type: string): any
}

/** A page under StrictMode, with a client whose sockets the test plays. */
export function open(options: Partial<ClientOptions> = {}): Page {
  const bench = setup(options)
  const wrapper = ({ children }: { children: ReactNode }): ReactElement => (
    <StrictMode>
      <RowfeedProvider client={bench.client}>{children}</RowfeedProvider>
    </StrictMode>
  )
  const page: Page = Object.assign(bench, {
    wrapper,
    hook: <P, R>(run: (props: P) => R, initialProps?: P) =>
      renderHook<R, P>(run, initialProps === undefined ? { wrapper } : { wrapper, initialProps: initialProps as P }),
    show: (children: ReactNode) => render(children, { wrapper }),
    pass: (ms = 0) => act(async () => void (await vi.advanceTimersByTimeAsync(ms))),
    async live() {
      await page.pass()
      const socket = bench.sockets.at(-1)!
      await act(async () => {
        socket.welcome()
        for (const { ref } of socket.of('subscribe')) socket.say({ type: 'subscribed', ref })
      })
      await page.pass()
      return socket
    },
    async again() {
      act(() => bench.sockets.at(-1)!.end(1006))
      await page.pass(20_000)
      return page.live()
    },
    say: (frame: Parameters<FakeSocket['say']>[0]) => act(() => bench.sockets.at(-1)!.say(frame)),
    last: (type: string) => bench.sockets.at(-1)!.sent.filter((frame) => frame.type === type).at(-1),
  })
  return page
}
