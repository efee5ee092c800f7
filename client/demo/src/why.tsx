import { createContext, useContext, useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { said } from './api'
import type { Person } from './api'
import { useSession } from './context'
import { Icon } from './ui'

/** The change that is asked about, by its row and transaction, as an event has them. */
export interface Change {
  resource: string
  resource_id: unknown
  txid: string
}

type Verdict = 'yes' | 'no' | 'not known'

interface Gate {
  gate: string
  verdict: Verdict
  text: string
}

interface Reasons {
  user: string
  sent: Verdict
  gates: Gate[]
}

const names = [['captured', 'Captured'], ['rule', 'Rule matched'], ['condition', 'Condition'], ['audience', 'Audience'],
  ['move', 'Moved'], ['grants', 'Grants held'], ['subscribed', 'Subscribed'], ['queued', 'Queued'],
  ['written', 'Written']] as const
const looks: Record<Verdict, [string, string, string]> = { yes: ['yes', 'check', 'Yes'], no: ['no', 'cross', 'No'],
  'not known': ['unknown', 'question', 'Not known'] }
const sent: Record<Verdict, [string, string]> = { yes: ['good', 'Sent'], no: ['', 'Not sent'],
  'not known': ['pending', 'Not known'] }

const WhyContext = createContext<(change: Change) => void>(() => {})

/** Opens the dialog that tells of a change why each of the three people was sent it or not. */
export const useWhy = () => useContext(WhyContext)

export function WhyProvider({ children }: { children: ReactNode }) {
  const [change, setChange] = useState<Change>()
  return (
    <WhyContext value={setChange}>
      {children}
      {change && <Dialog change={change} close={() => setChange(undefined)} />}
    </WhyContext>
  )
}

function Dialog({ change, close }: { change: Change; close: () => void }) {
  const { api, setup } = useSession()
  const dialog = useRef<HTMLDialogElement>(null)
  const [reasons, setReasons] = useState<Reasons[]>()
  const [error, setError] = useState('')

  useEffect(() => {
    dialog.current?.showModal() // and the focus goes back to where it was when it closes
    let gone = false
    api.post<Reasons[]>('/demo/why', { resource: change.resource, key: String(change.resource_id), txid: change.txid })
      .then((list) => gone || setReasons(list), (reason: unknown) => gone || setError(said(reason)))
    return () => {
      gone = true
    }
  }, [api, change])

  const named = ({ user, sent: verdict }: Reasons): string =>
    `${setup.users.find(({ id }) => id === user)?.name}: ${sent[verdict][1]}`
  return (
    <dialog className="why" id="why" ref={dialog} aria-labelledby="why-title" onClose={close}
      onClick={({ target }) => target === dialog.current && dialog.current?.close()}>
      <header>
        <div>
          <h2 id="why-title">Why?</h2>
          <p className="hint" id="why-about">
            What became of the change of {change.resource}/{String(change.resource_id)} on its way to each of the three.
          </p>
        </div>
        <button className="icon-button" id="why-close" type="button" aria-label="Close"
          onClick={() => dialog.current?.close()}><Icon name="cross" /></button>
      </header>
      <p className="sr" id="why-said" role="status">
        {reasons ? reasons.map(named).join(', ') : error ? '' : 'Asking the bridge'}
      </p>
      <div className="people" id="why-people">
        {error ? <p className="wrong" role="alert">Not explained: {error}.</p> : setup.users.map((user) => (
          <Column key={user.id} user={user} why={reasons?.find((one) => one.user === user.id)} />
        ))}
      </div>
    </dialog>
  )
}

/** One of the three; without reasons it is somebody who is still being asked about. */
function Column({ user, why }: { user: Person; why: Reasons | undefined }) {
  const [look, word] = why ? sent[why.sent] : ['', 'Asking']
  const said = (name: string): Gate | undefined => why?.gates.find(({ gate }) => gate === name)
  return (
    <section className="person" aria-label={user.name}>
      <h3>
        <span className={`avatar ${user.role}`} aria-hidden="true">{user.initials}</span>
        <span><b>{user.name}</b><small>{user.title}</small></span>
        <span className={`badge ${look}`}>{word}</span>
      </h3>
      <ol className="gates" role="list">
        {names.filter(([name]) => name !== 'move' || said('move')).map(([name, label]) => (
          <Line key={name} label={label} gate={said(name)} />
        ))}
      </ol>
    </section>
  )
}

function Line({ label, gate }: { label: string; gate: Gate | undefined }) {
  if (!gate) return <li className="after"><Icon name="check" /><b>{label}</b></li>
  const [look, icon, word] = looks[gate.verdict]
  return (
    <li className={look}><Icon name={icon} /><b>{label}<span className="sr">: {word}.</span></b><p>{gate.text}</p></li>
  )
}
