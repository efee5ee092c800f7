import { QueryClient } from '@tanstack/react-query'

export const queryClient = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } })

/** What was toasted. */
export const toasts: string[] = []

export const toast = { success: (message: string) => void toasts.push(message) }

/** The snippets' `useWebSocket`, as one of the two. */
export type UseWebSocket = (url: string) => { socket: WebSocket | null; isConnected: boolean }
