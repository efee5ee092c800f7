import { memo, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { useConnection } from 'rowfeed/react'
import { useCommitted } from './data'
import { count, time } from './format'
import { useSession } from './context'
import { useCell } from './store'
import { Icon, WhyButton } from './ui'
import { useWhy } from './why'
import type { Change } from './why'
import type { Frame } from './wire'

const kept = 40

/** The frames that this page received and what it asked for, and how many changes were committed meanwhile. */
export function Wire() {
  const { user, wire, live } = useSession()
  const { open: own, events } = useCell(wire)
  const committed = useSince(useCommitted().data)
  const [unfolded, setUnfolded] = useState(() => matchMedia('(min-width: 641px)').matches)
  const connected = useCell(live) && !own
  const { state } = useConnection()
  const stream = state.status === 'live' && state.transport === 'sse'
  const shared = connected && !stream
  const share = committed ? Math.min(1, events / committed) : 0
  return (
    <section className="card" id="wire" aria-labelledby="wire-title">
      <header className="card-head">
        <h2 id="wire-title">
          <button type="button" className="fold" id="wire-fold" aria-expanded={unfolded} aria-controls="wire-body"
            onClick={() => setUnfolded(!unfolded)}>On the wire<Icon name="chevron" /></button>
        </h2>
      </header>
      <div id="wire-body" hidden={!unfolded}>
        <dl className="versus">
          <div><dt>Changes committed</dt><dd id="wire-committed">{count(committed)}</dd></div>
          <div><dt id="wire-sent-label">Events sent to {user.first}</dt><dd id="wire-sent">{count(events)}</dd></div>
        </dl>
        <div className="ratio" aria-hidden="true">
          <span id="wire-ratio" style={{ transform: `scaleX(${share})` }} />
        </div>
        <p className="hint" id="wire-hint">
          Counted since you look on as {user.first}. Other people’s rows are not filtered here: they never leave the
          server.
        </p>
        <Frames />
        <p className="hint" id="wire-tabs">
          {own && 'This tab holds the connection. '}
          {connected && stream && 'No WebSocket gets through: events come by a stream for the time being. '}
          {shared && 'Another tab holds the connection, and this one hears by it. Close that tab: this one takes over. '}
          <a href={`/?as=${user.role}`} target="_blank" rel="noreferrer">Open {shared ? 'one more' : 'a second'} tab</a>
          {': all your tabs share one socket.'}
        </p>
      </div>
    </section>
  )
}

/** How much more it is than when it was first known. */
function useSince(total: number | undefined): number {
  const base = useRef<number>(undefined)
  base.current ??= total
  return Math.max(0, (total ?? 0) - (base.current ?? 0))
}

function Frames() {
  const { frames } = useCell(useSession().wire)
  const [open, setOpen] = useState<Frame[]>([]) // they stay, however many come
  const ask = useWhy()
  const toggle = (frame: Frame, yes: boolean): void =>
    setOpen((now) => (yes ? [...now.filter((one) => one !== frame), frame] : now.filter((one) => one !== frame)))
  const newest = frames.slice(0, kept)
  const list = [...newest, ...open.filter((frame) => !newest.includes(frame)).sort((a, b) => b.n - a.n)]
  return (
    <ol className="frames" id="wire-frames" aria-label="Last frames, newest first">
      {list.map((frame) => (
        <Line key={frame.n} frame={frame} open={open.includes(frame)} toggle={toggle} ask={ask} />
      ))}
    </ol>
  )
}

interface LineProps {
  frame: Frame
  open: boolean
  toggle: (frame: Frame, yes: boolean) => void
  ask: (change: Change) => void
}

const Line = memo(({ frame, open, toggle, ask }: LineProps) => {
  const { body, sent, text, when, channel } = frame
  const about = body.resource ? `${body.resource}/${body.resource_id ?? body.key ?? ''}` : channel
  const place = body.resumed ? 'resumed' : sent && body.cursor ? 'from cursor' : ''
  const bytes = `${count(new TextEncoder().encode(text).length)} bytes`
  return (
    <li>
      <details open={open} onToggle={({ currentTarget: { open: is } }) => is !== open && toggle(frame, is)}>
        <summary title={`${about}, ${bytes}`}>
          <span className="type">
            {sent && <span className="sent"><span aria-hidden="true">↑ </span><span className="sr">Sent: </span></span>}
            {String(body.type)} <i>{about}</i>{place && <em>{place}</em>}
          </span>
          <span className="when">{time(when)}</span>
        </summary>
        {open && (
          <>
            {body.txid !== undefined && <WhyButton onClick={() => ask(body as unknown as Change)} />}
            <pre>{colour(body)}</pre>
          </>
        )}
      </details>
    </li>
  )
})

const tokens = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)|[^"\d\w-]+|./gs

/** A frame as JSON whose keys, strings and numbers are coloured. */
function colour(body: object): ReactNode[] {
  return [...JSON.stringify(body, null, 2).matchAll(tokens)].map(([whole, string, colon, scalar], i) => {
    if (string) return <span key={i}><span className={colon ? 'key' : 'string'}>{string}</span>{colon}</span>
    return scalar ? <span key={i} className="number">{scalar}</span> : whole
  })
}
