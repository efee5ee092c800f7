import { useState } from 'react'
import { useRequests } from './data'
import { count } from './format'
import { keyOf, moves, Row, short } from './requests'
import { useSession } from './context'
import { Blank, Card, Tabs, useGlide } from './ui'

const kinds = { 'transfer-requests': 'Transfers', 'physical-counts': 'Counts' } as const

/** Goods on their way between warehouses, and what was counted in them. */
export function Transfers() {
  const { user } = useSession()
  const { data = [], isSuccess } = useRequests()
  const [resource, setResource] = useState<keyof typeof kinds>('transfer-requests')
  const [all, setAll] = useState(false)
  const list = useGlide<HTMLUListElement>()
  const own = data.filter(moves)
  if (user.decides || (!user.warehouses.length && !own.length)) return null
  const items = own.filter((item) => item.resource === resource)
    .sort((a, b) => Date.parse(b.changed_at) - Date.parse(a.changed_at) || b.id - a.id)
  const choices = Object.entries(kinds).map(([name, label]) => [name as keyof typeof kinds,
    `${label} ${count(own.filter((item) => item.resource === name).length)}`] as const)
  return (
    <Card id="transfers" title="Transfers and counts" aside={
      <Tabs id="transfers-tabs" label="Which of them" choices={choices} current={resource} choose={setResource} />
    }>
      <ul className="rows" id="transfers-list" role="list" ref={list}>
        {(all ? items : items.slice(0, short)).map((item) => <Row key={keyOf(item)} item={item} />)}
        {isSuccess && !items.length && (
          <li className="blank"><Blank icon="inbox" title="None of yours">
            {resource === 'transfer-requests' ? 'Transfers to and from your warehouses appear here, step by step.'
              : 'A physical count that you hand in appears here, and follows every decision.'}
          </Blank></li>
        )}
      </ul>
      {items.length > short && (
        <footer className="card-foot">
          <button className="link" type="button" id="transfers-more" data-all={all} onClick={() => setAll(!all)}>
            {all ? `Show ${short} only` : `Show all ${count(items.length)}`}
          </button>
        </footer>
      )}
    </Card>
  )
}
