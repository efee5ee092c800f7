import { useEffect, useState } from 'react'

export function useWebSocket(url: string) {
  const [socket, setSocket] = useState<WebSocket | null>(null)
  const [isConnected, setIsConnected] = useState(false)

  useEffect(() => {
    const ws = new WebSocket(url)
    ws.onopen = () => setIsConnected(true)
    setSocket(ws)
    return () => ws.close()
  }, [url])

  return { socket, isConnected }
}
