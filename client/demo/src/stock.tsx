import { useState } from 'react'
import { useStock } from './data'
import type { Level } from './data'
import { count } from './format'
import { useAway } from './rights'
import { useSession } from './context'
import { Blank, Card, Tabs, useFlash, useGlide } from './ui'

type Tab = 'moving' | 'low' | 'all'

const short = 8
const long = 200
const newest = (a: Level, b: Level): number => Date.parse(b.changed_at) - Date.parse(a.changed_at) || a.id - b.id
const low = ({ quantity, reorder_level }: Level): boolean => quantity <= reorder_level
const spare = ({ quantity, reorder_level }: Level): number => quantity - reorder_level

/** Quantities of one's warehouses, moving as they are committed. */
export function Stock() {
  const { user } = useSession()
  const { data: levels = [], isSuccess } = useStock()
  const [tab, setTab] = useState<Tab>('moving')
  const [search, setSearch] = useState('')
  const [place, setPlace] = useState('')
  const away = useAway().filter((right) => right.place)
  const places = user.warehouses.filter(({ id }) => !away.some((right) => right.place === id))
  const title = user.warehouses.length ? 'Stock in your warehouses' : 'Stock'

  if (!places.length) {
    const names = away.map(({ label }) => label).join(' and ')
    return (
      <Card id="stock" title={title}>
        <div className="blank">
          <Blank icon="lock" title={away.length ? 'Not yours to see any more' : 'Nothing here is yours to see'}>
            {user.first} {away.length ? `was taken off ${names}` : 'belongs to no warehouse'}: not one stock row is sent
            to this browser, however many move.
          </Blank>
        </div>
      </Card>
    )
  }

  const here = places.some(({ id }) => id === place) ? place : ''
  const rows = choose(levels, tab, tab === 'all' ? search : '', tab === 'all' ? here : '')
  const few = `Low ${count(levels.filter(low).length)}`
  const choices = [['moving', 'Moving now'], ['low', few], ['all', 'All']] as const
  return (
    <Card id="stock" title={title} aside={
      <Tabs id="stock-tabs" label="Which stock levels" choices={choices} current={tab} choose={setTab} />
    }>
      {tab === 'all' && (
        <div className="filters">
          <input className="field" type="search" placeholder="Find an item" aria-label="Find an item" value={search}
            onChange={({ target }) => setSearch(target.value)} />
          <select className="field" aria-label="Warehouse" value={here}
            onChange={({ target }) => setPlace(target.value)}>
            <option value="">All your warehouses</option>
            {places.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
          </select>
        </div>
      )}
      {rows.length > 0 && <Levels rows={rows} />}
      {isSuccess && !rows.length && (
        <div className="blank">
          <Blank icon="inbox" title="Nothing matches">No stock level fits what you look for.</Blank>
        </div>
      )}
    </Card>
  )
}

function choose(levels: Level[], tab: Tab, search: string, place: string): Level[] {
  if (tab === 'moving') return [...levels].sort(newest).slice(0, short)
  if (tab === 'low') return levels.filter(low).sort((a, b) => spare(a) - spare(b) || a.id - b.id).slice(0, long)
  const want = search.toLowerCase()
  return levels.filter((level) => (!place || String(level.warehouse_id) === place)
    && (!want || `${level.sku} ${level.name}`.toLowerCase().includes(want)))
    .sort((a, b) => a.sku.localeCompare(b.sku) || a.warehouse_id - b.warehouse_id).slice(0, long)
}

function Levels({ rows }: { rows: Level[] }) {
  const body = useGlide<HTMLTableSectionElement>()
  return (
    <table className="levels" aria-labelledby="stock-title">
      <thead>
        <tr>
          <th scope="col">Item</th>
          <th scope="col" className="place-head">Warehouse</th>
          <th scope="col" className="num">On hand</th>
          <th scope="col" className="num level-head">Reorder at</th>
          <th scope="col" className="state-head">Level</th>
        </tr>
      </thead>
      <tbody ref={body}>{rows.map((level) => <Row key={level.id} level={level} />)}</tbody>
    </table>
  )
}

function Row({ level }: { level: Level }) {
  const { id, name, sku, warehouse, quantity, reorder_level, by = 0 } = level
  const ref = useFlash<HTMLTableRowElement>('changed', level.at)
  return (
    <tr ref={ref} data-key={id}>
      <td className="item">{name}<small>{sku}<span className="where"> · {warehouse}</span></small></td>
      <td className="place">{warehouse}</td>
      <td className="num">
        {by !== 0 && (
          <span className={by > 0 ? 'was up' : 'was down'}>{by > 0 ? '+' : '−'}{count(Math.abs(by))}</span>
        )}{' '}
        <span className="quantity" key={quantity}>{count(quantity)}</span>
      </td>
      <td className="num level">{count(reorder_level)}</td>
      <td className="state"><State level={level} /></td>
    </tr>
  )
}

/** Warns of what is low; else a small bar says how far the quantity is from that, full at five times the level. */
function State({ level }: { level: Level }) {
  if (level.quantity <= 0) return <span key="out" className="badge bad">Out</span>
  if (low(level)) return <span key="low" className="badge pending">Low</span>
  const width = `${Math.min(100, Math.round(20 * level.quantity / Math.max(1, level.reorder_level)))}%`
  return <span className="meter" role="img" aria-label="Enough"><span style={{ width }} /></span>
}
