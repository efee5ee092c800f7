import { useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { said } from './api'
import { migrationQuery, useMigration } from './data'
import type { MigrationState } from './data'
import { now, span, time } from './format'
import { useSession } from './context'
import { useCell } from './store'
import { Card, Icon, Statement, Trace } from './ui'
import type { Step } from './ui'

interface Done {
  statement: string
  ms: number
  write_ms: number
  at: number
}

const patience = 60_000 // for the bridge to find it, and to say so
const pause = 250
const echo = 20_000 // it is told once more when all has ended that was under way
const up = 'rowfeed migrate up'

/**
 * Alters a watched table of the ERP while it is written to, and tells what comes of it: the write went through, the
 * drift was found, the page heard of it; then it has migrate up run, and is told once more.
 */
export function Migration() {
  const session = useSession()
  const { data: state } = useMigration()
  const connected = useCell(session.live)
  const { press, busy, ran, steps } = usePress(state)
  const hint = 'Alter a watched table while everybody works on. The ERP’s writes go through; the bridge finds the '
    + 'drift by itself.'
  const next = state?.altered ? up : state?.statement
  return (
    <Card id="migration" title="A migration under way" hint={hint}>
      <div className="cut">
        {next && (
          <Statement id="migration-statement" comment={ran?.comment ?? 'The button runs this'} sql={ran?.sql ?? next} />
        )}
        <button className={state?.altered ? 'button wide primary' : 'button wide'} id="migration-run" type="button"
          disabled={busy || !connected || !state} onClick={() => void press()}>
          <Icon name="play" /><span id="migration-label">{state?.altered ? `Run ${up}` : 'Alter the table'}</span>
        </button>
        {state?.altered && (
          <p className="away" id="migration-away">
            The table is not as the triggers were made for it. The ERP works on as ever; what can’t be told truthfully
            comes as resync.
          </p>
        )}
      </div>
      <Trace id="migration-trace" steps={steps} />
    </Card>
  )
}

function usePress(state: MigrationState | undefined) {
  const session = useSession()
  const { api, queries, resync, tells } = session
  const [busy, setBusy] = useState(false)
  const [ran, setRan] = useState<{ comment: string; sql: string }>()
  const [steps, setSteps] = useState<Step[]>([])
  const ended = useRef(-Infinity)
  const look = () => queries.fetchQuery({ ...migrationQuery(session), staleTime: 0 })

  useEffect(() => {
    tells.set('drift', () => busy || Boolean(state?.altered) || now() < ended.current + echo)
  })

  /** Does the step that is next, and tells what comes of it. */
  async function press(): Promise<void> {
    if (!state) return
    const pressed = now()
    const mend = state.altered
    setBusy(true)
    setRan({ comment: 'Running', sql: mend ? up : state.statement })
    setSteps([{ look: 'now', text: 'Sent to PostgreSQL' }])
    try {
      const done = await api.post<Done>(`/demo/migration/${mend ? 'up' : 'alter'}`, {})
      setRan({ comment: `Ran at ${time(new Date())}`, sql: done.statement })
      await follow(done, pressed, mend)
    } catch (error) {
      setSteps([{ look: 'wrong', text: said(error) }])
    }
    await look().catch(() => {})
    ended.current = now()
    setBusy(false)
  }

  /** Waits until the bridge has found how the table stands, and has told this page. */
  async function follow(done: Done, pressed: number, mend: boolean): Promise<void> {
    const past: Step[] = [
      { look: 'done', text: mend ? 'Triggers installed anew' : 'Table altered', ms: done.ms },
      { look: 'done', text: 'The ERP’s next UPDATE went through', ms: done.write_ms },
    ]
    const wait = async (text: ReactNode, test: () => Promise<boolean>): Promise<boolean> => {
      setSteps([...past, { look: 'now', text }])
      for (const end = now() + patience; now() < end; await new Promise((resolve) => setTimeout(resolve, pause))) {
        if (await test()) return true
      }
      setSteps([...past, { look: 'wrong', text: `Nothing came within ${span(patience)}: is the bridge connected?` }])
      return false
    }
    const found = await wait(mend ? 'Waiting for the bridge to see it' : 'Waiting for the bridge to find it',
      async () => (await look()).found === !mend)
    if (!found) return
    past.push({ look: 'done', text: mend ? 'The bridge sees that all is well' : 'The bridge has found the drift',
      ms: Math.max(0, now() - done.at) })
    const heard = (): number => (resync.get()?.reason === 'drift' ? resync.get()!.at : 0)
    if (!await wait(<span>Waiting for <code>resync</code></span>, async () => heard() >= pressed)) return
    setSteps([...past, { look: 'done', text: <span>Heard <code>resync</code>: fetched afresh</span>,
      ms: Math.max(0, heard() - done.at) }])
  }
  return { press, busy, ran, steps }
}
