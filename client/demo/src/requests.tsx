import { useMutation } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { RefObject } from 'react'
import { said } from './api'
import { useRequests } from './data'
import type { Request } from './data'
import { ago, amount, count, counted, words } from './format'
import { useAway } from './rights'
import { useSession } from './context'
import { Blank, Card, Icon, Tabs, useFlash, useGlide } from './ui'

export const short = 7
const linger = 6000 // how long a decided request stays where it was, so that nothing moves under a pointer
const recent = 5000
const onMove = ['transfer-requests', 'physical-counts']

const tones: Record<string, string> = { pending: 'pending', submitted: 'pending', shipped: 'onward', approved: 'good',
  completed: 'good', received: 'good', rejected: 'bad', cancelled: 'bad', paid: 'onward', ordered: 'onward',
  disbursed: 'onward' }

export const keyOf = ({ resource, id }: Request): string => `${resource}/${id}`
export const moves = ({ resource }: Request): boolean => onMove.includes(resource)
const waits = ({ decidable, status }: Request): boolean => decidable && tones[status] === 'pending'
const lingers = (item: Request): boolean =>
  !waits(item) && item.decidable && tones[item.was ?? ''] === 'pending' && Date.now() - item.at! < linger
const newest = (field: 'created_at' | 'changed_at') => (a: Request, b: Request): number =>
  Date.parse(b[field]) - Date.parse(a[field]) || b.id - a.id

/** What one filed, or what waits for one's decision, with statuses that flip as they are committed. */
export function Requests() {
  const { user } = useSession()
  const { data = [], isSuccess } = useRequests()
  const [tab, setTab] = useState<'waiting' | 'decided'>('waiting')
  const [all, setAll] = useState(false)
  const list = useGlide<HTMLUListElement>()
  const items = data.filter((item) => user.decides || !moves(item))
  const chosen = choose(items, user.decides ? tab : 'all')
  const still = useStill(list, all ? chosen : chosen.slice(0, short), items, user.decides)
  useLingering(items)

  const waiting = items.filter(waits).length
  const turn = (to: 'waiting' | 'decided'): void => {
    still.release()
    setTab(to)
  }
  return (
    <Card id="requests" title={user.decides ? 'Requests to decide' : 'Your requests'} aside={user.decides && (
      <Tabs id="requests-tabs" label="Which requests" current={tab} choose={turn}
        choices={[['waiting', `Waiting ${count(waiting)}`], ['decided', 'Decided']]} />
    )}>
      <ul className={user.decides ? 'rows deciding' : 'rows'} id="requests-list" role="list" ref={list}>
        {still.held > 0 && (
          <li className="held">
            <button className="waiting" type="button" onClick={still.release}>
              Show {counted(still.held, 'new request')}
            </button>
          </li>
        )}
        {still.shown.map((item) => <Row key={keyOf(item)} item={item} />)}
        {isSuccess && !chosen.length && <li className="blank"><Nothing /></li>}
      </ul>
      {chosen.length > short && (
        <footer className="card-foot" id="requests-foot">
          <button className="link" type="button" id="requests-more" data-all={all} onClick={() => setAll(!all)}>
            {all ? `Show ${short} only` : `Show all ${count(chosen.length)}`}
          </button>
        </footer>
      )}
    </Card>
  )
}

function choose(items: Request[], tab: 'all' | 'waiting' | 'decided'): Request[] {
  if (tab === 'waiting') return items.filter((item) => waits(item) || lingers(item)).sort(newest('created_at'))
  return items.filter((item) => tab === 'all' || !waits(item)).sort(newest('changed_at'))
}

/** Renders once more when the last of the lingering rows has to go. */
function useLingering(items: Request[]): void {
  const [, tick] = useState(0)
  const first = Math.min(...items.filter(lingers).map(({ at }) => at! + linger))
  useEffect(() => {
    if (!Number.isFinite(first)) return
    const timer = setTimeout(() => tick((n) => n + 1), Math.max(0, first - Date.now()) + 20)
    return () => clearTimeout(timer)
  }, [first])
}

/**
 * Rows never move under a pointer that is about to press a button, nor under the focus: what is new waits until it is
 * released. Gives the rows to show and how many wait.
 */
function useStill(list: RefObject<HTMLElement | null>, rows: Request[], all: Request[], wanted: boolean) {
  const [, tick] = useState(0)
  const last = useRef<string[]>([])
  const force = useRef(false)
  const waiting = useRef(0)
  useEffect(() => {
    const element = list.current
    const release = (): void => queueMicrotask(() => waiting.current && !busy(element) && tick((n) => n + 1))
    for (const type of ['pointerleave', 'focusout']) element?.addEventListener(type, release)
    return () => {
      for (const type of ['pointerleave', 'focusout']) element?.removeEventListener(type, release)
    }
  }, [list])

  const fresh = rows.filter((item) => !last.current.includes(keyOf(item))).length
  const hold = wanted && !force.current && fresh > 0 && last.current.length >= 3 && busy(list.current)
  const shown = hold ? last.current.flatMap((key) => all.find((item) => keyOf(item) === key) ?? []) : rows
  useEffect(() => {
    last.current = shown.map(keyOf)
    waiting.current = hold ? fresh : 0
    force.current = false
  })
  const release = (): void => {
    force.current = true
    tick((n) => n + 1)
  }
  return { shown, held: hold ? fresh : 0, release }
}

const busy = (element: HTMLElement | null): boolean =>
  Boolean(element && (element.matches(':hover') || element.contains(document.activeElement)))

function Nothing() {
  const { user } = useSession()
  const groups = useAway().filter(({ place }) => !place).map(({ label }) => label)
  if (groups.length) {
    return (
      <Blank icon="lock" title="Not yours to see any more">
        Without {groups.join(' and ')} nothing that others filed is sent to this browser.
      </Blank>
    )
  }
  if (user.decides) {
    return <Blank icon="inbox" title="Nothing waits for you">A new request appears here as soon as it is filed.</Blank>
  }
  return <Blank icon="inbox" title="No requests yet">What you file appears here, and follows every decision.</Blank>
}

/** A request, a transfer or a count. */
export function Row({ item }: { item: Request }) {
  const { user } = useSession()
  const ref = useFlash<HTMLLIElement>('changed', item.at)
  const arrived = useRef(item.arrived && Date.now() - item.at! < recent)
  const who = item.requester.id === user.id ? null : item.requester.name
  const meta = [item.number, words(item.kind), who, ago(item.created_at)].filter(Boolean).join(' · ')
  return (
    <li ref={ref} data-key={keyOf(item)} className={arrived.current ? 'arrived' : undefined}>
      <span className="kind" aria-hidden="true"><Icon name={item.icon} /></span>
      <div className="what">
        <p className="subject" title={item.subject}>{item.subject}</p>
        <p className="meta" title={meta}>{meta}</p>
      </div>
      <p className="amount">{item.amount !== null && <><small>{item.currency}</small>{amount(item.amount)}</>}</p>
      <div className="end">
        {user.decides && waits(item) ? <Decide item={item} /> : (
          <span key={item.status} className={`badge ${tones[item.status] ?? ''} ${item.was ? 'flip' : ''}`}>
            {words(item.status)}
          </span>
        )}
      </div>
    </li>
  )
}

function Decide({ item }: { item: Request }) {
  const { api, toast } = useSession()
  const { mutate, isPending, isSuccess } = useMutation({
    mutationFn: (decision: 'approved' | 'rejected') =>
      api.post(`/api/requests/${item.resource}/${item.id}/decision`, { decision }),
    onError: (error) => toast(said(error), true),
  })
  const busy = isPending || isSuccess // the event replaces the buttons
  return (
    <>
      <button className="button yes" type="button" disabled={busy} aria-label={`Approve ${item.number}`}
        onClick={() => mutate('approved')}><Icon name="check" />Approve</button>
      <button className="button no" type="button" disabled={busy} aria-label={`Reject ${item.number}`}
        onClick={() => mutate('rejected')}><Icon name="cross" />Reject</button>
    </>
  )
}
