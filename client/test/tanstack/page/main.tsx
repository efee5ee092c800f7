// A page with many live queries, for the browser tests: as an application is written, and it keeps account of itself.
import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../../../src/index.js'
import { syncQueries } from '../../../src/tanstack/index.js'

interface Counter {
  id: number
  n: number
}

interface Settings {
  url: string
  token: string
  api: string
  /** Patch what events tell, or fetch all. */
  patch: boolean
}

export interface Account {
  events: number
  fetches: number
  /** In ms. */
  longTasks: number[]
  frames: number[]
}

declare global {
  interface Window {
    account: Account
  }
}

const rows = 190
const lists = 10
const { url, token, api, patch } = JSON.parse(decodeURIComponent(location.hash.slice(1))) as Settings

const account: Account = (window.account = { events: 0, fetches: 0, longTasks: [], frames: [] })
const keep = (list: PerformanceObserverEntryList): void =>
  list.getEntries().forEach(({ duration }) => account.longTasks.push(duration))
new PerformanceObserver(keep).observe({ type: 'longtask' })
let before = performance.now()
function frame(now: number): void {
  account.frames.push(now - before)
  before = now
  requestAnimationFrame(frame)
}
requestAnimationFrame(frame)

const client = createClient({ url, getToken: () => token, channels: ['counters'] })
const queryClient = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } })
syncQueries(client, queryClient, patch ? { map: { counters: { patch, version: 'n', listColumns: [] } } } : {})
client.on('counted', () => account.events++)

async function get<T>(path: string): Promise<T> {
  account.fetches++
  const response = await fetch(api + path)
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return response.json() as Promise<T>
}

function Row({ id }: { id: string }) {
  const { data } = useQuery({ queryKey: ['counters', id], queryFn: () => get<Counter>(`/counters/${id}`) })
  return <li data-row={id}>{data?.n}</li>
}

function List({ rest }: { rest: number }) {
  const { data = [] } = useQuery({
    queryKey: ['counters', { rest }],
    queryFn: () => get<Counter[]>(`/counters?of=${lists}&rest=${rest}`),
  })
  return (
    <ul data-list={rest}>
      {data.map(({ id, n }) => (
        <li key={id} data-id={id}>
          {n}
        </li>
      ))}
    </ul>
  )
}

const numbers = (many: number): number[] => Array.from({ length: many }, (_, i) => i)

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <ol>{numbers(rows).map((i) => <Row key={i} id={String(i + 1)} />)}</ol>
      {numbers(lists).map((i) => <List key={i} rest={i} />)}
    </QueryClientProvider>
  </StrictMode>,
)
