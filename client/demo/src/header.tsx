import type { ConnectionState } from 'rowfeed'
import { useEffect, useRef } from 'react'
import { useConnection } from 'rowfeed/react'
import type { Person } from './api'
import { Bell } from './bell'
import { span } from './format'
import { useSession } from './context'
import { useCell } from './store'
import { replay } from './ui'

export const Header = ({ look }: { look: (user: Person) => void }) => (
  <header className="top">
    <div className="bar">
      <a className="brand" href="/">
        <img src="/favicon.svg" width="32" height="32" alt="" />
        <span className="brand-name">Nalar ERP<small>live through rowfeed</small></span>
      </a>
      <Switch look={look} />
      <div className="status">
        <Live />
        <Bell />
      </div>
    </div>
  </header>
)

function Switch({ look }: { look: (user: Person) => void }) {
  const { setup, user } = useSession()
  return (
    <fieldset className="switch" id="switch">
      <legend className="sr">View as</legend>
      {setup.users.map((one) => (
        <label key={one.id}>
          <input type="radio" name="user" value={one.id} checked={one === user} onChange={() => look(one)} />
          <span className={`avatar ${one.role}`} aria-hidden="true">{one.initials}</span>
          <span><b>{one.name}</b><small>{one.title}</small></span>
        </label>
      ))}
    </fieldset>
  )
}

const labels = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline',
  stopped: 'Stopped' }

function word(state: ConnectionState, live: boolean, offline: boolean): keyof typeof labels {
  if (live) return 'live'
  if (offline) return 'offline'
  if (state.status === 'stopped') return 'stopped'
  const again = state.status === 'waiting' || (state.status === 'connecting' && state.attempt > 0)
  return again ? 'reconnecting' : 'connecting'
}

/** What the connection is doing, and how long the last change took from the database to this screen. */
function Live() {
  const session = useSession()
  const { state } = useConnection()
  const ms = useCell(session.latency)
  const last = useCell(session.arrivals)[0]
  const button = useRef<HTMLButtonElement>(null)
  const now = word(state, useCell(session.live), useCell(session.offline))
  const said = state.status === 'stopped' && state.reason ? `Stopped: ${state.reason}` : labels[now]

  useEffect(() => {
    if (last) replay(button.current, 'beat')
  }, [last])

  return (
    <>
      <button className="live" id="live" type="button" data-state={now} ref={button}
        title={now === 'stopped' ? `${said}. Press to connect again.`
          : 'The connection, and the time from the change in the database to this screen'}
        onClick={() => now === 'stopped' && session.client.connect()}>
        <span className="dot" aria-hidden="true" />
        <span id="live-word">{labels[now]}</span>
        <span id="live-ms" className="ms">{now === 'live' && ms !== undefined ? span(ms) : ''}</span>
      </button>
      <p id="live-announce" className="sr" role="status">{said}</p>
    </>
  )
}
