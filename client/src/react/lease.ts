import { useCallback } from 'react'
import type { Key } from '../frames.js'
import { isUnknown, whileLive } from './follow.js'
import type { Wire } from './follow.js'
import { useClient } from './provider.js'
import { cell, useShared } from './share.js'
import type { Shared } from './share.js'

/** Who has a record to themselves. */
export interface LeaseState {
  /** `lost`: it was held and has run out, or was taken; `unsupported`: this bridge has no leases. */
  status: 'idle' | 'held' | 'held-by-other' | 'lost' | 'unsupported'
  holder?: { user: string; name?: string | undefined } | undefined
  /** Grows with each holder: give it along with what you write, so that the database can refuse who was too late. */
  fence?: number | undefined
  /** Why the bridge refused, where somebody else's lease is not the reason. */
  error?: Error | undefined
}

interface Lease extends Shared<LeaseState> {
  acquire(): Promise<boolean>
  release(): void
}

const idle: LeaseState = { status: 'idle' }

function lease(client: Wire, resource: string, key: Key, ttl_ms: number): Lease {
  const { state } = cell(idle)
  let until = 0 // when what is held runs out, counted from before it was asked for
  let turn = 0 // a new one voids what is still being asked
  let asking: Promise<boolean> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const held = (): boolean => state.get().status === 'held'
  const isLive = (): boolean => client.state.get().status === 'live'

  /** How long what is held lasts, in ms; the clock may be put back. */
  function left(): number {
    const now = Date.now()
    return (until = Math.min(until, now + ttl_ms)) - now
  }

  function become(next: LeaseState, run?: () => void, ms?: number): void {
    turn++
    clearTimeout(timer)
    if (run) timer = setTimeout(run, ms)
    state.set(next)
  }

  function drop(): void {
    if (isLive()) client.request({ type: 'lease.release', resource, key }).catch(() => {}) // else it runs out
  }

  async function ask(type: 'lease.acquire' | 'lease.renew'): Promise<boolean> {
    const mine = ++turn
    const asked = Date.now()
    try {
      const { granted, fence, expires_in_ms = ttl_ms, user, name } = await client.request({ type, resource, key, ttl_ms })
      if (mine !== turn) {
        if (granted && !asking && !held()) drop() // released meanwhile, and not wanted again
        return false
      }
      if (granted) {
        until = asked + expires_in_ms
        become({ status: 'held', fence: fence ?? state.get().fence }, renew, expires_in_ms / 2)
      } else become({ status: 'held-by-other', holder: { user: user!, name } }, () => become(idle), expires_in_ms)
      return granted
    } catch (cause) {
      const error = cause as Error & { code?: string }
      if (mine !== turn) return false
      if (isUnknown(error)) become({ status: 'unsupported', error })
      else if (error.code === 'lease_lost') become({ status: 'lost', error })
      else if (type === 'lease.acquire') become({ status: 'idle', error })
      else waitFor()
      return false
    }
  }

  /** While there is no connection it may run out; what brings the connection back renews it. */
  function waitFor(): void {
    if (held()) become(state.get(), renew, left())
  }

  function renew(): void {
    if (!held()) return
    if (left() <= 0) return become({ status: 'lost' })
    waitFor() // for the answer, too
    if (isLive()) void ask('lease.renew')
  }

  function release(): void {
    const was = held()
    become(idle)
    asking = undefined
    if (was) drop()
  }

  const quiet = whileLive(client, renew, waitFor)
  return {
    state,
    release,
    async acquire() {
      if (held()) {
        if (left() > 0) return true
        become({ status: 'lost' }) // the tab was frozen
      }
      const mine = (asking ??= ask('lease.acquire').finally(() => {
        if (asking === mine) asking = undefined
      }))
      return mine
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
  const release = useCallback(() => act((shared) => shared.release()), [act])
  return { ...state, acquire, release }
}
