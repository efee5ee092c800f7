import type { Environment } from './environment.js'

/**
 * Returns what claims events for this tab: true in one tab of the browser only, kept in IndexedDB, whose `add` is atomic
 * over all tabs, so that neither a reload nor a replay brings an event twice. Where there is no storage every tab gets
 * true: better five times than never.
 */
export function claimer(environment: Environment): (id: string) => Promise<boolean> {
  // In here, since what a lazily loaded module has at its top level is not inlined.
  /** Claims are kept for as long as a bridge may send an event again; longer than its outbox goes back, mostly. */
  const kept = 7 * 24 * 3600_000
  /** How long storage may take before it counts as broken. */
  const patience = 2_000
  const claims = new Map<string, Promise<boolean>>()
  let store: Promise<IDBDatabase> | undefined

  const wait = (ms: number): Promise<void> => new Promise((resolve) => void environment.setTimeout(resolve, ms))

  async function claim(id: string): Promise<boolean> {
    await wait(attention())
    try {
      store ??= open(environment.now() - kept)
      const added = store.then((opened) => add(opened, id, environment.now()))
      return await Promise.race([added, wait(patience).then(() => true)])
    } catch {
      store = undefined // the next one may find it open again
      return true
    }
  }

  return (id) => {
    const mine = claims.get(id) ?? claim(id).finally(() => claims.delete(id)) // several handlers, one claim
    claims.set(id, mine)
    return mine
  }
}

function attention(): number {
  /** Who is looked at comes first: milliseconds that others wait. */
  const unfocused = 100
  const hidden = 400
  const page = globalThis.document as Document | undefined
  if (page?.visibilityState !== 'visible') return hidden
  return page.hasFocus() ? 0 : unfocused
}

function open(oldest: number): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('rowfeed')
    request.onupgradeneeded = () => void request.result.createObjectStore('claims').createIndex('at', 'at')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const old = request.result.transaction('claims', 'readwrite').objectStore('claims').index('at')
        .openCursor(IDBKeyRange.upperBound(oldest))
      old.onsuccess = () => {
        old.result?.delete()
        old.result?.continue()
      }
      resolve(request.result)
    }
  })
}

function add(store: IDBDatabase, id: string, at: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const request = store.transaction('claims', 'readwrite').objectStore('claims').add({ at }, id)
    request.onsuccess = () => resolve(true)
    request.onerror = (event) => {
      event.preventDefault()
      if (request.error?.name === 'ConstraintError') resolve(false)
      else reject(request.error)
    }
  })
}
