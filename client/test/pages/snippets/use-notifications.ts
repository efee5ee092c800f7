import { useEffect, useState } from 'react'
import { toast } from './parts.js'
import type { UseWebSocket } from './parts.js'

export const notificationsOn = (useWebSocket: UseWebSocket) => {
  function useNotifications() {
      const [notifications, setNotifications] = useState<any[]>([])
      const { socket } = useWebSocket('/ws/notifications/')

      useEffect(() => {
          socket?.addEventListener('message', (e) => {
              const notification = JSON.parse(e.data)
              setNotifications(prev => [notification, ...prev])
              toast.success(notification.message)
          })
      }, [socket])

      return notifications
  }
  return useNotifications
}
