import { StrictMode, useEffect, useReducer } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../../src/index.js'
import type { Topic } from '../../src/index.js'
import { RowfeedProvider, useChannel, useConnection, useEvent, useWebSocket } from '../../src/react/index.js'

/** What the page has shown of each counter, by the component that showed it. */
type Shown = Record<number, number[]>

interface Count {
  id: number
  n: number
}

declare global {
  interface Window {
    shown: Record<string, Shown>
    resyncs: string[]
    statuses: Record<string, string>
    start(address: string, token: string): void
    add(name: string): void
  }
}

window.shown = {}
window.resyncs = []
window.statuses = {}

/** Adds each count to a state of React's, which says, once committed, what is shown. */
function useShown(name: string): (count: Count | undefined) => void {
  const [shown, add] = useReducer(
    (before: Shown, { id, n }: Count): Shown => ({ ...before, [id]: [...(before[id] ?? []), n] }), {})
  useEffect(() => void (window.shown[name] = shown), [name, shown])
  return (count) => count && add(count)
}

function Channel({ name, topic }: { name: string; topic: Omit<Topic, 'channel'> }) {
  const add = useShown(name)
  const { status } = useChannel({ ...topic, channel: 'counters' }, ({ data }) => add(data), {
    onResync: ({ reason }) => window.resyncs.push(`${name}: ${reason}`),
  })
  useEffect(() => void (window.statuses[name] = status), [name, status])
  return <p>{name}: {status}</p>
}

function Named() {
  const add = useShown('named')
  useEvent('counted', add)
  return null
}

function Plain({ address, token }: { address: string; token: string }) {
  const add = useShown('plain')
  const { socket, isConnected } = useWebSocket(`ws://${address}/ws/counters`, { getToken: () => token })
  useEffect(() => {
    socket?.addEventListener('message', ({ data }) => add(JSON.parse(data).data))
  }, [socket])
  useEffect(() => void (window.statuses.plain = isConnected ? 'live' : 'lost'), [isConnected])
  return null
}

function Connection() {
  const { state } = useConnection()
  return <p id="connection">{state.status}</p>
}

function Page({ address, token }: { address: string; token: string }) {
  const [late, add] = useReducer((before: string[], name: string) => [...before, name], [])
  window.add = add
  return (
    <>
      <Connection />
      <Channel name="all" topic={{}} />
      <Channel name="same" topic={{}} />
      <Channel name="some" topic={{ resource: 'counters', where: { id: [3, 4, 5] } }} />
      <Channel name="one" topic={{ resource: 'counters', key: 4 }} />
      <Named />
      <Plain address={address} token={token} />
      {late.map((name) => <Channel key={name} name={name} topic={{ resource: 'counters' }} />)}
    </>
  )
}

window.start = (address, token) => {
  const client = createClient({ url: `ws://${address}/ws`, getToken: () => token, channels: ['counters'], share: false })
  createRoot(document.getElementById('root')!).render(
    <StrictMode>
      <RowfeedProvider client={client}><Page address={address} token={token} /></RowfeedProvider>
    </StrictMode>,
  )
}
