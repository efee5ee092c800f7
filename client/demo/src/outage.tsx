import { useEffect, useRef, useState } from 'react'
import { committedQuery } from './data'
import { count, counted, span } from './format'
import { useSession } from './context'
import type { Session } from './context'
import { useCell } from './store'
import { Card, Icon, Trace } from './ui'
import type { Step } from './ui'

const settle = 300 // so that a screen reader hears the numbers once, not each of them

interface Story {
  since: number // when the connection went; 0: it is there
  length: number // how long it was away, in ms; 0: it has not been yet
  before?: number // what the database had committed when it went
  meanwhile?: number // and has since
  missed: number
  again: number
  afresh: string
}

const ended = (story: Story): Story => ({ ...story, since: 0, length: performance.now() - story.since })
const none: Story = { since: 0, length: 0, missed: 0, again: 0, afresh: '' }

/** Closes this page's connection for a while, and tells what was missed and came when it was back. */
export function Outage() {
  const session = useSession()
  const { user } = session
  const live = useCell(session.live)
  const offline = useCell(session.offline)
  const story = useStory(session)
  const steps = useSettled(story.length ? tell(story, user.first) : [])
  const hint = `Close ${user.first}’s connection while everybody works on. What happens meanwhile comes when it is `
    + 'back, each change once.'
  return (
    <Card id="outage" title="Lose the connection" hint={hint}>
      <div className="cut">
        <button className={offline ? 'button wide primary' : 'button wide'} id="outage-cut" type="button"
          disabled={!offline && !live} onClick={() => (offline ? session.restore() : session.cut())}>
          <Icon name={offline ? 'plug' : 'unplug'} />
          <span id="outage-label">{offline ? 'Go online again' : 'Go offline'}</span>
        </button>
        {story.since > 0 && <p className="away" id="outage-away">{away(story)}</p>}
      </div>
      <Trace id="outage-trace" steps={story.since ? [] : steps} />
    </Card>
  )
}

function away({ since, meanwhile }: Story): string {
  const gone = `Nothing has reached this page for ${count(Math.floor((performance.now() - since) / 1000))} s.`
  return meanwhile === undefined ? gone : `${gone} The database has committed ${counted(meanwhile, 'change')} since.`
}

/** Follows the connection: an outage begins and ends with it, whoever closed it. */
function useStory(session: Session): Story {
  const { live, arrivals, wire, afresh, queries } = session
  const [story, setStory] = useState(none)
  const again = useRef(0)

  useEffect(() => {
    let was = live.get()
    const stops = [
      live.subscribe((is) => {
        if (was && !is) {
          again.current = wire.get().again
          afresh.set('')
          setStory({ ...none, since: performance.now() })
        }
        if (!was && is) setStory((now) => (now.since ? ended(now) : now))
        was = is
      }),
      arrivals.subscribe(([last]) => {
        if (last?.missed) setStory((now) => ({ ...now, missed: now.missed + 1 }))
      }),
      wire.subscribe((now) => setStory((old) =>
        (old.again === now.again - again.current ? old : { ...old, again: now.again - again.current }))),
      afresh.subscribe((text) => setStory((now) => ({ ...now, afresh: text }))),
    ]
    return () => stops.forEach((stop) => stop())
  }, [live, arrivals, wire, afresh])

  // How much was committed since the outage began is asked each second, and once more at its end.
  useEffect(() => {
    if (!story.since && !story.length) return
    let over = false
    async function ask(): Promise<void> {
      const total = await queries.fetchQuery({ ...committedQuery(session), staleTime: 0 }).catch(() => undefined)
      if (over) return
      setStory((now) => (total === undefined ? { ...now }
        : { ...now, before: now.before ?? total, meanwhile: total - (now.before ?? total) }))
    }
    void ask()
    const timer = story.since ? setInterval(() => void ask(), 1000) : undefined
    return () => {
      over = true
      clearInterval(timer)
    }
  }, [story.since, story.length, queries, session])
  return story
}

function tell({ length, meanwhile, missed, again, afresh }: Story, first: string): Step[] {
  const steps: Step[] = [{ look: 'done', text: 'Back online, away for', value: span(length) }]
  if (meanwhile) steps.push({ look: 'none', text: 'Committed meanwhile, by everybody', value: count(meanwhile) })
  if (missed) steps.push({ look: 'done', text: 'Missed here and sent now, each once', value: count(missed) })
  else if (!afresh) steps.push({ look: 'none', text: `None of it was ${first}’s to see` })
  if (afresh) steps.push({ look: 'wrong', text: afresh })
  if (again) steps.push({ look: 'none', text: 'Sent a second time and left out', value: count(again) })
  return steps
}

/** The steps as they were when they had not changed for a moment. */
function useSettled(steps: Step[]): Step[] {
  const [settled, setSettled] = useState<Step[]>([])
  const text = JSON.stringify(steps)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(JSON.parse(text) as Step[]), settle)
    return () => clearTimeout(timer)
  }, [text])
  return settled
}
