import { useEffect, useState } from 'react'
import { useSession } from './session'
import type { Toast } from './session'
import { useCell } from './store'
import { Icon } from './ui'

const stays = 7000

export function Toasts() {
  const { toasts } = useSession()
  const drop = (id: number): void => toasts.set(toasts.get().filter((toast) => toast.id !== id))
  return (
    <div className="toasts" id="toasts" role="log" aria-live="polite" aria-label="Messages">
      {useCell(toasts).map((toast) => <One key={toast.id} {...toast} drop={drop} />)}
    </div>
  )
}

/** A message for a while; it stays as long as the pointer or the focus is on it. */
function One({ id, message, warn, drop }: Toast & { drop: (id: number) => void }) {
  const [held, setHeld] = useState(false)
  useEffect(() => {
    if (held) return
    const timer = setTimeout(() => drop(id), stays)
    return () => clearTimeout(timer)
  }, [held, id])
  return (
    <div className={warn ? 'toast warn' : 'toast'} onPointerEnter={() => setHeld(true)} onFocus={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)} onBlur={() => setHeld(false)}>
      <Icon name={warn ? 'alert' : 'bell'} />
      <p>{message}</p>
      <button className="icon-button" type="button" aria-label="Dismiss" onClick={() => drop(id)}><Icon name="cross" /></button>
    </div>
  )
}
