import { useMutation } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { notesKey, useNotes } from './data'
import { ago } from './format'
import { useSession } from './context'
import { Blank, Icon, replay, useListener } from './ui'

/** Messages that are addressed to the user. */
export function Bell() {
  const { items, unread } = useNotes().data ?? { items: [], unread: 0 }
  const [open, setOpen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const panel = useRef<HTMLElement>(null)
  const newest = items[0]?.id
  const before = useRef(newest)

  useEffect(() => {
    if (before.current !== undefined && newest !== before.current) replay(box.current, 'ring')
    before.current = newest
  }, [newest])
  useEffect(() => {
    if (open) panel.current?.focus()
  }, [open])
  useListener(document, 'keydown', (event) => {
    if ((event as KeyboardEvent).key !== 'Escape' || !open) return
    setOpen(false)
    button.current?.focus()
  })
  useListener(document, 'pointerdown', ({ target }) => {
    if (!box.current?.contains(target as Node)) setOpen(false)
  })

  return (
    <div className="bell" ref={box}>
      <button id="bell" ref={button} className="icon-button" type="button" aria-expanded={open}
        aria-controls="bell-panel" onClick={() => setOpen(!open)}>
        <Icon name="bell" />
        <span className="sr" id="bell-label">{unread ? `Notifications, ${unread} unread` : 'Notifications'}</span>
        {unread > 0 && <span className="count" id="bell-count" aria-hidden="true">{unread > 99 ? '99+' : unread}</span>}
      </button>
      <section id="bell-panel" ref={panel} className="popover" aria-labelledby="bell-title" tabIndex={-1}
        hidden={!open}>
        <header>
          <h2 id="bell-title">Notifications</h2>
          <ReadAll unread={unread} />
        </header>
        <ul id="bell-list" role="list">
          {open && items.map((item) => (
            <li key={item.id} className={item.read_at ? '' : 'unread'}>
              <div><p>{item.message}</p><time dateTime={item.at}>{ago(item.at)}</time></div>
            </li>
          ))}
          {!items.length && (
            <li className="empty blank">
              <Blank icon="bell" title="No messages yet">What concerns you appears here at once.</Blank>
            </li>
          )}
        </ul>
      </section>
    </div>
  )
}

function ReadAll({ unread }: { unread: number }) {
  const { api, queries, toast } = useSession()
  const read = useMutation({
    mutationFn: () => api.post('/api/notifications/read', {}),
    onSuccess: () => queries.invalidateQueries({ queryKey: notesKey }),
    onError: () => toast('The messages could not be marked as read: try again', true),
  })
  return (
    <button id="bell-read" className="link" type="button" disabled={!unread || read.isPending}
      onClick={() => read.mutate()}>
      Mark all as read
    </button>
  )
}
