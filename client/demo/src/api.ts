/** A user of the sample ERP as whom the page can be seen. */
export interface Person {
  id: string
  role: 'requester' | 'approver' | 'clerk'
  name: string
  first: string
  initials: string
  title: string
  sees: string
  decides: boolean
  warehouses: { id: string; name: string }[]
}

export interface Setup {
  socket: string
  channels: string[]
  users: Person[]
  resources: { requests: string[]; stock: string; notifications: string }
}

/** What the demo server says no with. */
export class Refusal extends Error {}

const silent = 'The demo server does not answer: is it still running?'

/** The ERP's REST interface as one user sees it. Each call throws where there is no answer. */
export interface Api {
  token(): Promise<string>
  get<T>(path: string): Promise<T>
  post<T>(path: string, body: unknown): Promise<T>
  open(path: string, signal: AbortSignal): Promise<Response>
}

export function createApi(user: Person, setup: Setup): Api {
  let token: Promise<string> | undefined

  async function mint(): Promise<string> {
    const answer = await fetch(`/demo/token?user=${encodeURIComponent(user.id)}`)
    if (!answer.ok) throw new Error(`token: HTTP ${answer.status}`)
    const fresh = (await answer.json()) as { token: string; socket: string }
    if (fresh.socket !== setup.socket) location.reload() // the demo was started again
    return fresh.token
  }

  function renew(): Promise<string> {
    const mine = mint()
    mine.catch(() => {
      if (token === mine) token = undefined
    })
    return (token = mine)
  }

  async function call(path: string, init: RequestInit = {}, retried = false): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${await (token ?? renew())}` }
    if (init.body) headers['Content-Type'] = 'application/json'
    const answer = await fetch(path, { ...init, headers })
    if (answer.status !== 401 || retried) return answer
    await renew()
    return call(path, init, true)
  }

  async function ask<T>(path: string, init?: RequestInit): Promise<T> {
    let answer: Response
    try {
      answer = await call(path, init)
    } catch (cause) {
      throw new Error(silent, { cause })
    }
    const body = (await answer.json()) as T & { error?: string }
    if (!answer.ok) throw new Refusal(body.error ?? `HTTP ${answer.status}`)
    return body
  }

  return {
    token: renew,
    get: (path) => ask(path),
    post: (path, body) => ask(path, { method: 'POST', body: JSON.stringify(body) }),
    open: (path, signal) => call(path, { signal }),
  }
}

export const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))
