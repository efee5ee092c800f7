import { useCallback } from 'react'
import type { Key } from '../frames.js'
import { codeOf, isUnknown, whileLive } from './follow.js'
import type { Wire } from './follow.js'
import { useClient } from './provider.js'
import { cell, useShared } from './share.js'
import type { Shared } from './share.js'

/** Who has a record to themselves. */
export interface LeaseState {
  /** `lost`: it was held and has run out, or was taken; `unsupported`: this bridge has no leases. */
  status: 'idle' | 'held' | 'held-by-other' | 'lost' | 'unsupported'
  holder: { user: string; name?: string | undefined } | undefined
  /** Grows with each holder: give it along with what you write, so that the database can refuse who was too late. */
  fence: number | undefined
  /** Why the bridge refused, where somebody else's lease is not the reason. */
  error: Error | undefined
}

interface Lease extends Shared<LeaseState> {
  acquire(): Promise<boolean>
  release(): void
}

const idle: LeaseState = { status: 'idle', holder: undefined, fence: undefined, error: undefined }

function lease(client: Wire, resource: string, key: Key, ttl: number): Lease {
  const { state, patch } = cell(idle)
  let wanted = false
  let until = 0 // when what is held runs out, counted from before it was asked for
  let asking: Promise<boolean> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const wait = (run: () => void, ms: number): void => {
    clearTimeout(timer)
    timer = setTimeout(run, ms)
  }
  const held = (): boolean => state.get().status === 'held'
  const isLive = (): boolean => client.state.get().status === 'live'
  const end = (status: LeaseState['status'], error?: Error): void => {
    clearTimeout(timer)
    wanted = false
    patch({ ...idle, status, error })
  }
  const drop = (): void => {
    if (isLive()) client.request({ type: 'lease.release', resource, key }).catch(() => {}) // else it runs out
  }

  async function ask(type: 'lease.acquire' | 'lease.renew'): Promise<boolean> {
    const asked = Date.now()
    try {
      const request = client.request({ type, resource, key, ttl_ms: ttl })
      const { granted, fence, expires_in_ms = ttl, user, name } = await request
      if (!wanted) { // released meanwhile
        if (granted) drop()
        return false
      }
      if (!granted) {
        end('held-by-other')
        patch({ holder: user === undefined ? undefined : { user, name } })
        wait(() => end('idle'), expires_in_ms)
        return false
      }
      until = asked + expires_in_ms
      patch({ ...idle, status: 'held', fence: fence ?? state.get().fence })
      wait(renew, expires_in_ms / 2)
      return true
    } catch (error) {
      failed(error as Error, type)
      return false
    }
  }

  function failed(error: Error, type: string): void {
    const code = codeOf(error)
    if (isUnknown(error)) end('unsupported', error)
    else if (code === 'lease_lost') end('lost', error)
    else if (type === 'lease.acquire') end('idle', error)
    else renewLater()
  }

  /** While there is no connection it may run out; what brings the connection back renews it. */
  function renewLater(): void {
    if (held()) wait(() => end('lost'), until - Date.now())
  }

  function renew(): void {
    if (!held()) return
    if (Date.now() >= until) end('lost')
    else if (isLive()) void ask('lease.renew')
    else renewLater()
  }

  const quiet = whileLive(client, renew, renewLater)
  const release = (): void => {
    const was = held()
    end('idle')
    if (was) drop()
  }
  return {
    state,
    release,
    async acquire() {
      if (held()) return true
      wanted = true
      return (asking ??= ask('lease.acquire').finally(() => (asking = undefined)))
    },
    stop() {
      quiet()
      release()
    },
  }
}

/**
 * A soft lock on one record. `acquire` says whether it is now held; it is then renewed by itself, each time that half
 * of `ttl` (in ms) is over, and released by `release` or when the last component that shows it is gone.
 */
export function useLease(
  resource: string,
  key: Key | null,
  { ttl = 30_000 }: { ttl?: number } = {},
): LeaseState & { acquire: () => Promise<boolean>; release: () => void } {
  const client: Wire = useClient()
  const name = key === null ? null : `lease ${JSON.stringify([resource, key, ttl])}`
  const [state, act] = useShared(client, name, idle, () => lease(client, resource, key!, ttl))
  const acquire = useCallback(async () => (await act((shared) => shared.acquire())) ?? false, [act])
  const release = useCallback(() => void act((shared) => shared.release()), [act])
  return { ...state, acquire, release }
}
