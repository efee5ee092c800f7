import { useEffect, useRef, useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { said } from './api'
import { useTables } from './data'
import type { Kind, Table, TableRow } from './data'
import { counted, words } from './format'
import { useSession } from './context'
import { until } from './store'
import { Card, Icon, Tabs, Trace, WhyButton } from './ui'
import type { Step } from './ui'
import { useWhy } from './why'
import type { Change } from './why'

interface Done {
  rows: number
  changed: boolean
  txid: string
  ms: number
}

// How long the page waits before it says that no event came: where none is due, and where one is.
const brief = 2500
const long = 15_000

/** Runs one plain UPDATE and follows what comes of it, from the click to this screen. */
export function Sql() {
  const { user } = useSession()
  const { data } = useTables()
  const why = useWhy()
  const [kind, setKind] = useState<Kind>(user.role === 'clerk' ? 'stock' : 'requests')
  const { run, busy, steps, change } = useUpdate()
  return (
    <Card id="sql" title="Change a row yourself" hint="One plain UPDATE, run as the ERP, of any row.">
      {data && (
        <Form key={kind} table={data[kind]} busy={busy} run={(row, value) => void run(kind, data[kind], row, value)}>
          <Tabs id="sql-tabs" label="Which table" current={kind} choose={setKind} fill
            choices={[['requests', 'A request'], ['stock', 'A stock level']]} />
        </Form>
      )}
      <Trace id="sql-trace" steps={steps} />
      {change && (
        <p className="ask" id="sql-why"><WhyButton onClick={() => why(change)} />Who was sent it, and who was not</p>
      )}
    </Card>
  )
}

interface FormProps {
  table: Table
  busy: boolean
  run: (row: TableRow, value: string) => void
  children: ReactNode
}

function Form({ table, busy, run, children }: FormProps) {
  const { user } = useSession()
  const { rows, chosen, choose, value, setValue } = useChoice(table)

  function submit(event: FormEvent): void {
    event.preventDefault()
    if (chosen) run(chosen, value)
  }

  const option = ({ id, label }: TableRow) => <option key={id} value={id}>{`${id}  ·  ${label}`}</option>
  const groups = [[`${user.first} may see`, rows.filter((row) => row.seen_by.includes(user.id))],
    [`Not ${user.first}’s to see`, rows.filter((row) => !row.seen_by.includes(user.id))]] as const
  return (
    <form id="sql-form" onSubmit={submit}>
      {children}
      <div className="statement" id="sql-statement">
        <div className="line"><b>UPDATE</b>{table.table}</div>
        <div className="line"><b>{'   SET'}</b>{table.column} ={table.values ? (
          <select id="sql-new" aria-label="New value" value={value} onChange={({ target }) => setValue(target.value)}>
            {table.values.map((one) => <option key={one} value={one}>{`'${one}'`}</option>)}
          </select>
        ) : (
          <input id="sql-new" aria-label="New value" type="number" min={0} max={1_000_000} step={1} required
            value={value} onChange={({ target }) => setValue(target.value)} />
        )}</div>
        <div className="line"><b>{' WHERE'}</b>id =</div>
        <div className="line">
          <select className="row" id="sql-row" aria-label="Row" value={chosen?.id}
            onChange={({ target }) => choose(target.value)}>
            {groups.map(([label, list]) => list.length > 0 && (
              <optgroup key={label} label={label}>{list.map(option)}</optgroup>
            ))}
          </select>
        </div>
      </div>
      <button className="button primary" id="sql-run" type="submit" disabled={busy}>
        <Icon name="play" solid />Run UPDATE
      </button>
    </form>
  )
}

/** The row and the value that the form holds. A row stays chosen when the rows are fetched afresh without it. */
function useChoice(table: Table) {
  const { user } = useSession()
  const [row, setRow] = useState<TableRow>()
  const [value, setValue] = useState('')
  const own = table.rows.find(({ seen_by }) => seen_by.includes(user.id)) ?? table.rows[0]
  const chosen = row ? table.rows.find(({ id }) => id === row.id) ?? row : own
  const rows = chosen && !table.rows.includes(chosen) ? [chosen, ...table.rows] : table.rows

  const first = chosen?.id
  useEffect(() => {
    if (chosen) setValue(offer(chosen, table.values))
  }, [first])

  function choose(id: string): void {
    const next = rows.find((one) => String(one.id) === id)
    setRow(next)
    if (next) setValue(offer(next, table.values))
  }
  return { rows, chosen, choose, value, setValue }
}

/** A new value that differs from the row's, so that the first click changes something. */
function offer(row: TableRow, values: string[] | null): string {
  if (values) return row.value === 'approved' ? 'rejected' : 'approved'
  return String(Math.max(0, Number(row.value) - 7) || 25)
}

function useUpdate() {
  const session = useSession()
  const { api, user, arrivals } = session
  const [steps, setSteps] = useState<Step[]>([])
  const [busy, setBusy] = useState(false)
  const [change, setChange] = useState<Change>()
  const turn = useRef(0)

  async function run(kind: Kind, table: Table, row: TableRow, value: string): Promise<void> {
    const mine = ++turn.current
    const show = (next: Step[]): void => {
      if (mine === turn.current) setSteps(next)
    }
    const clicked = performance.now()
    setBusy(true)
    setChange(undefined)
    show([{ look: 'now', text: 'Sent to PostgreSQL' }])
    let done: Done
    try {
      done = await api.post<Done>('/demo/update', { kind, id: row.id, value })
    } catch (error) {
      return show([{ look: 'wrong', text: said(error) }])
    } finally {
      setBusy(false)
    }
    row.value = value
    const committed: Step = { look: 'done', text: `Committed, ${counted(done.rows, 'row')}`, ms: done.ms }
    if (!done.changed) {
      const text = `It was ${words(value).toLowerCase()} already: nothing changed, so no event`
      return show([committed, { look: 'none', text }])
    }
    show([committed, { look: 'now', text: 'Listening' }])
    const due = row.seen_by.includes(user.id)
    const found = await arrived(done.txid, row.id, due ? long : brief)
    show([committed, ...outcome(found, due, clicked)])
    if (mine === turn.current) setChange({ resource: table.resource, resource_id: row.id, txid: done.txid })
  }

  async function arrived(txid: string, id: number, patience: number) {
    const mine = (list: ReturnType<typeof arrivals.get>) => list.find(({ event }) => event.txid === txid
      && String(event.resource_id) === String(id))
    return mine((await until(arrivals, patience, (list) => mine(list) !== undefined)) ?? [])
  }

  function outcome(found: Awaited<ReturnType<typeof arrived>>, due: boolean, clicked: number): Step[] {
    if (found) {
      return [{ look: 'done', text: 'On this screen', ms: found.at - Date.parse(found.event.at) },
        { look: 'done', text: 'Click to screen', ms: Math.max(found.at - performance.timeOrigin - clicked, 0) }]
    }
    if (!due) return [{ look: 'none', text: `Nothing was sent here: not ${user.first}’s row` }]
    return [{ look: 'wrong', text: 'No event came: is the bridge connected?' }]
  }
  return { run, busy, steps, change }
}
