import { QueryClientProvider } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { RowfeedProvider } from 'rowfeed/react'
import type { Person, Setup } from './api'
import { SessionContext, useSession } from './context'
import type { Session } from './context'
import { Header } from './header'
import { Migration } from './migration'
import { Outage } from './outage'
import { Requests } from './requests'
import { Rights, useSeen } from './rights'
import { openSession } from './session'
import { Sql } from './sql'
import { Stock } from './stock'
import { Toasts } from './toasts'
import { Transfers } from './transfers'
import { WhyProvider } from './why'
import { Wire } from './wirecard'

const again = 1000 // ms until the demo server is asked once more

async function fetchSetup(): Promise<Setup> {
  for (;;) {
    try {
      return (await (await fetch('/demo/setup')).json()) as Setup
    } catch {
      await new Promise((resolve) => setTimeout(resolve, again))
    }
  }
}

/** One user at a time: each has a client and a cache of their own. */
export function App() {
  const [session, setSession] = useState<Session>()

  useEffect(() => {
    let stale = false
    void fetchSetup().then((setup) => {
      if (stale) return
      const wanted = new URLSearchParams(location.search).get('as')
      setSession(openSession(setup, setup.users.find(({ role }) => role === wanted) ?? setup.users[0]!))
    })
    return () => {
      stale = true
    }
  }, [])

  useEffect(() => {
    if (!session) return
    document.title = `${session.user.name} · Nalar ERP, live`
    history.replaceState(null, '', `?as=${session.user.role}`)
  }, [session])

  if (!session) return null
  const look = (user: Person): void => {
    session.close()
    setSession(openSession(session.setup, user))
  }
  return (
    <SessionContext value={session}>
      <RowfeedProvider client={session.client}>
        <QueryClientProvider client={session.queries}>
          <WhyProvider key={session.user.id}>
            <Header look={look} />
            <Page look={look} />
            <Toasts />
          </WhyProvider>
        </QueryClientProvider>
      </RowfeedProvider>
    </SessionContext>
  )
}

function Page({ look }: { look: (user: Person) => void }) {
  const { user } = useSession()
  const cards = [<Requests key="requests" />, <Transfers key="transfers" />, <Stock key="stock" />]
  return (
    <>
      <main id="main" className="page" tabIndex={-1}>
        <div className="hello">
          <h1 id="hello">{user.name}</h1>
          <p id="sees" className="sees">{useSeen()}</p>
        </div>
        <div className="columns">
          <div className="column" id="work">{user.role === 'clerk' ? cards.reverse() : cards}</div>
          <div className="column side">
            <Sql />
            <Rights look={look} />
            <Migration />
            <Outage />
            <Wire />
          </div>
        </div>
      </main>
      <footer className="colophon">
        <p>A sample ERP on a real PostgreSQL. Its code does not know of rowfeed: triggers capture what it commits.</p>
      </footer>
    </>
  )
}
