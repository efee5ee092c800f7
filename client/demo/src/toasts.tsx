import { useEffect, useState } from 'react'
import { useEvent } from 'rowfeed/react'
import { useSession } from './context'
import type { Toast } from './context'
import { useCell } from './store'
import { Icon } from './ui'

const stays = 7000
// Kinds of notifications that say of one's own request what its row's event says, too: one toast is enough.
const ofOwn = /_(decided|approved|rejected|paid|ordered|received|shipped|completed|disbursed)$/
const oneTab = { once: 'browser' } as const // however many show this page

/** Messages to this very person, or to the place they answer for. */
export function Toasts() {
  const { toasts, toast, user } = useSession()
  const tell = (message: string | undefined, warn = false): void => {
    if (message) toast(message, warn)
  }
  useEvent('low_stock', (_, { message }) => tell(message, true), oneTab)
  useEvent('approval_status_changed', ({ requested_by_id }, { message }) => {
    if (String(requested_by_id) === user.id) tell(message)
  }, oneTab)
  useEvent('notification', ({ type }, { message }) => {
    if (!ofOwn.test(type)) tell(message)
  }, oneTab)

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
      <button className="icon-button" type="button" aria-label="Dismiss" onClick={() => drop(id)}>
        <Icon name="cross" />
      </button>
    </div>
  )
}
