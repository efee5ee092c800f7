import { useEffect, useRef, useState } from 'react'
import { said } from './api'
import type { Person } from './api'
import { rightsKey, useRights } from './data'
import type { Right } from './data'
import { count, counted, now, time } from './format'
import { useSession } from './context'
import type { Session } from './context'
import { until, useCell } from './store'
import { Card, Statement, Trace, useListener } from './ui'
import type { Step } from './ui'

interface Turn {
  statement: string
  rows: number
  ms: number
  at: number
}

interface Unseen {
  changes: number
  arrived: number
}

const patience = 15_000 // for the bridge to say that what one may see has changed
const look = 1000

/** The rights that are taken away from the user now. */
export const useAway = (): Right[] => (useRights().data ?? []).filter(({ held }) => !held)

/** What the user sees, in a sentence. */
export function useSeen(): string {
  const { user } = useSession()
  const away = useAway().map(({ label }) => label)
  if (!away.length) return user.sees
  const [are, them] = away.length > 1 ? ['are', 'them'] : ['is', 'it']
  return `${away.join(' and ')} ${are} taken away: what ${user.first} saw by ${them} is no longer sent to this browser.`
}

/** Takes away what lets a person see others' rows, and tells what comes of it: rows go, and the feed goes quiet. */
export function Rights({ look }: { look: (user: Person) => void }) {
  const session = useSession()
  const { user, setup } = session
  const { data: rights } = useRights()
  const connected = useCell(session.live)
  const { press, pending, statement, steps } = usePress(session, rights ?? [])
  const away = useAway().length > 0 || pending?.held === false
  const unseen = useUnseen(session, away)
  if (!rights) return <Card id="rights" title="Take a right away">{null}</Card>

  const idle = !pending && connected
  const hint = rights.length
    ? `What lets ${user.first} see others’ rows. A switch runs one plain statement as the ERP; what is off comes back `
      + 'when you leave.'
    : `${user.first} has none: no group, no warehouse, only what ${user.first} filed. Look on as somebody who has.`
  return (
    <Card id="rights" title="Take a right away" hint={hint}>
      <div className="rights" id="rights-body">
        <ul className="switches" id="rights-list" role="list">
          {rights.map((right) => (
            <Switch key={right.id} right={right} checked={pending?.id === right.id ? pending.held : right.held}
              idle={idle} press={(held) => void press(right, held)} />
          ))}
          {!rights.length && (
            <li className="choices">
              {setup.users.filter((one) => one.decides || one.warehouses.length > 0).map((one) => (
                <button key={one.id} className="button" type="button" onClick={() => look(one)}>{one.name}</button>
              ))}
            </li>
          )}
        </ul>
        {rights[0] && (
          <Statement id="rights-statement" comment={statement?.comment ?? 'A switch runs this'}
            sql={statement?.sql ?? rights[0].take} />
        )}
      </div>
      <Trace id="rights-trace" steps={steps} />
      {away && unseen && (
        <p className="away" id="rights-unseen">
          {`${counted(unseen.changes, 'change')} committed since then that ${user.first} may no longer see: `
            + `${count(unseen.arrived)} arrived.`}
        </p>
      )}
    </Card>
  )
}

interface SwitchProps {
  right: Right
  checked: boolean
  idle: boolean
  press: (held: boolean) => void
}

function Switch({ right: { id, label, sees }, checked, idle, press }: SwitchProps) {
  return (
    <li>
      <label>
        <span><b id={`right-${id}-label`}>{label}</b><small id={`right-${id}-sees`}>{sees}</small></span>
        <input className="toggle" type="checkbox" role="switch" id={`right-${id}`} checked={checked}
          aria-labelledby={`right-${id}-label`} aria-describedby={`right-${id}-sees`} aria-disabled={!idle}
          onChange={({ target }) => idle && press(target.checked)} />
      </label>
    </li>
  )
}

/** Runs the statement of a switch and tells step by step what comes of it. */
function usePress(session: Session, rights: Right[]) {
  const { api, queries, resync, regrant, tells } = session
  const [pending, setPending] = useState<{ id: string; held: boolean }>()
  const [statement, setStatement] = useState<{ comment: string; sql: string }>()
  const [steps, setSteps] = useState<Step[]>([])
  const visit = useVisit(session)
  const turn = useRef(0)

  async function press(right: Right, held: boolean): Promise<void> {
    const mine = ++turn.current
    const pressed = now()
    let telling = true
    tells.set('grants_changed', () => telling)
    setPending({ id: right.id, held })
    setStatement({ comment: 'Running', sql: held ? right.give : right.take })
    setSteps([{ look: 'now', text: 'Sent to PostgreSQL' }])
    try {
      const done = await api.post<Turn>(`/demo/rights/${right.id}`, { held, visit: await visit() })
      queries.setQueryData<Right[]>(rightsKey, rights.map((one) => (one.id === right.id ? { ...one, held } : one)))
      setPending(undefined)
      setStatement({ comment: `Ran at ${time(new Date())}`, sql: done.statement })
      await report(done, held, pressed, (next) => mine === turn.current && setSteps(next))
    } catch (error) {
      setPending(undefined)
      setSteps([{ look: 'wrong', text: said(error) }])
    }
    telling = false
  }

  async function report(done: Turn, held: boolean, pressed: number, show: (steps: Step[]) => void): Promise<void> {
    const past: Step[] = [{ look: 'done', text: `Committed, ${counted(done.rows, 'row')}`, ms: done.ms }]
    show([...past, { look: 'now', text: 'Waiting for the bridge' }])
    const heard = await until(resync, patience, (last) => last?.reason === 'grants_changed' && last.at >= pressed)
    if (!heard) return show([...past, { look: 'wrong', text: 'The bridge said nothing: is it connected?' }])
    const ms = Math.max(0, heard.at - done.at)
    past.push({ look: 'done', text: <>Heard <code>resync</code>: grants changed</>, ms })
    show([...past, { look: 'now', text: 'Fetching the lists afresh' }])
    const result = await until(regrant, patience, (last) => last !== undefined && last.at >= pressed)
    if (!result) return show([...past, { look: 'wrong', text: 'The lists could not be fetched: reload the page' }])
    const rows = `${counted(held ? result.came : result.went, 'row')} ${held ? 'came back' : 'went'}`
    show([...past, { look: 'done', text: `Fetched afresh, ${rows}`, ms: result.ms }])
  }
  return { press, pending, statement, steps }
}

/** Gives the name of the open request to which belongs what this page takes away: it lasts until the page goes. */
function useVisit({ api }: Session): () => Promise<string> {
  const stay = useRef<{ name: Promise<string>; end: () => void }>(undefined)
  const leave = (): void => {
    stay.current?.end()
    stay.current = undefined
  }
  useListener(window, 'pagehide', leave)
  useEffect(() => leave, [])

  async function open(signal: AbortSignal, ended: () => void): Promise<string> {
    const { body } = await api.open('/demo/visit', signal)
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
    const { visit } = JSON.parse((await reader.read()).value!) as { visit: string }
    void reader.read().catch(() => {}).then(ended)
    return visit
  }
  return () => {
    if (stay.current) return stay.current.name
    const control = new AbortController()
    const mine = { name: Promise.resolve(''), end: () => control.abort() }
    const forget = (): void => { // the next switch begins another
      if (stay.current === mine) stay.current = undefined
    }
    mine.name = open(control.signal, forget).catch(() => {
      forget()
      return ''
    })
    stay.current = mine
    return mine.name
  }
}

/** Counts, while a right is away, what the page is not sent, and what of it came all the same. */
function useUnseen({ api, arrivals, resync }: Session, away: boolean): Unseen | undefined {
  const [seen, setSeen] = useState<Unseen>()
  useEffect(() => {
    if (!away) return
    const [begun, hidden, came] = [now(), new Set<string>(), new Set<string>()]
    let known = 0
    let quiet = resync.get()?.reason === 'grants_changed' // another window took it, and the bridge has said so
    const keyOf = ({ txid, resource }: { txid: string; resource: string }): string => `${txid} ${resource}`
    const stops = [
      resync.subscribe((last) => {
        if (last?.reason === 'grants_changed') quiet = true
      }),
      arrivals.subscribe(([last]) => {
        if (quiet && last && last.at > begun) came.add(keyOf(last.event))
      }),
    ]
    const timer = setInterval(async () => {
      if (document.hidden) return
      const answer = await api.get<{ changes: number; list: { txid: string; resource: string }[] }>(
        `/demo/unseen?from=${known}`).catch(() => undefined)
      if (!answer) return
      known += answer.list.length
      for (const one of answer.list) hidden.add(keyOf(one))
      if (quiet) setSeen({ changes: answer.changes, arrived: [...came].filter((key) => hidden.has(key)).length })
    }, look)
    return () => {
      clearInterval(timer)
      for (const stop of stops) stop()
      setSeen(undefined)
    }
  }, [away, api, arrivals, resync])
  return seen
}
