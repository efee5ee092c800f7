import { QueryClientProvider, useQuery } from '@tanstack/react-query'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { useWebSocket as ours } from '../../src/react/index.js'
import { queryClient, toasts } from './snippets/parts.js'
import type { UseWebSocket } from './snippets/parts.js'
import { notificationsOn } from './snippets/use-notifications.js'
import { useWebSocket as theirs } from './snippets/use-websocket.js'

declare global {
  interface Window {
    toasts: string[]
    fetches: Record<string, number>
    run(which: 'theirs' | 'ours'): void
  }
}

window.toasts = toasts
window.fetches = {}

function Bell({ use }: { use: UseWebSocket }) {
  const notifications = bell.get(use)!()
  return <ul id="bell">{notifications.map(({ id, message }) => <li key={id}>{message}</li>)}</ul>
}

const bell = new Map([ours, theirs].map((use) => [use as UseWebSocket, notificationsOn(use as UseWebSocket)]))

function Expense({ id }: { id: number }) {
  const fetch = (): number => (window.fetches[id] = (window.fetches[id] ?? 0) + 1)
  const { data } = useQuery({ queryKey: ['expense-requests', id], queryFn: fetch })
  return <p id={`expense-${id}`}>{data}</p>
}

function Approvals({ useWebSocket }: { useWebSocket: UseWebSocket }) {
  const { socket, isConnected } = useWebSocket(`ws://${location.host}/ws/approvals/`)
  useEffect(() => {
    socket?.addEventListener('message', (event) => {
      const { type, resource_id } = JSON.parse(event.data)

      if (type === 'approval_status_changed') {
        // Invalidate and refetch the affected query
        queryClient.invalidateQueries({
          queryKey: ['expense-requests', resource_id]
        })
      }
    })
  }, [socket])
  return <p id="connected">{String(isConnected)}</p>
}

window.run = (which) => {
  const use: UseWebSocket = which === 'ours' ? ours : theirs
  createRoot(document.getElementById('root')!).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <Bell use={use} />
        <Approvals useWebSocket={use} />
        <Expense id={17} />
        <Expense id={18} />
      </QueryClientProvider>
    </StrictMode>,
  )
}
