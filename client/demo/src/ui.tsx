import { useEffect, useLayoutEffect, useRef } from 'react'
import type { ReactNode, RefObject } from 'react'
import { span } from './format'

export const Icon = ({ name, solid }: { name: string; solid?: boolean }) => (
  <svg className={solid ? 'icon solid' : 'icon'} aria-hidden="true"><use href={`#i-${name}`} /></svg>
)

interface CardProps {
  id: string
  title: ReactNode
  hint?: ReactNode
  aside?: ReactNode
  children: ReactNode
}

export const Card = ({ id, title, hint, aside, children }: CardProps) => (
  <section className="card" id={id} aria-labelledby={`${id}-title`}>
    <header className="card-head">
      <div>
        <h2 id={`${id}-title`}>{title}</h2>
        {hint && <p className="hint" id={`${id}-hint`}>{hint}</p>}
      </div>
      {aside}
    </header>
    {children}
  </section>
)

interface TabsProps<T extends string> {
  id: string
  label: string
  choices: readonly (readonly [T, string])[]
  current: T
  choose: (value: T) => void
  fill?: boolean
}

/** A group of toggle buttons. */
export const Tabs = <T extends string>({ id, label, choices, current, choose, fill }: TabsProps<T>) => (
  <div className={fill ? 'tabs fill' : 'tabs'} id={id} role="group" aria-label={label}>
    {choices.map(([value, text]) => (
      <button key={value} type="button" data-value={value} aria-pressed={value === current}
        onClick={() => choose(value)}>{text}</button>
    ))}
  </div>
)

export const Blank = ({ icon, title, children }: { icon: string; title: string; children: ReactNode }) => (
  <><Icon name={icon} /><b>{title}</b><span>{children}</span></>
)

/** A line of what came of a press, with how long it took in ms. */
export interface Step {
  look: 'done' | 'none' | 'wrong' | 'now'
  text: ReactNode
  ms?: number
  value?: string
}

export const Trace = ({ id, steps }: { id: string; steps: Step[] }) => (
  <ol className="trace" id={id} aria-live="polite">
    {steps.map(({ look, text, ms, value = ms === undefined ? '' : span(ms) }, i) => (
      <li key={i} className={look}><span>{text}</span>{value && <time>{value}</time>}</li>
    ))}
  </ol>
)

const keywords = /\b(DELETE FROM|INSERT INTO|WHERE|AND|VALUES|ALTER TABLE|ALTER COLUMN|TYPE)\b|(\b\d+\b)/

/** An SQL statement with a comment above it. */
export const Statement = ({ id, comment, sql }: { id: string; comment: string; sql: string }) => (
  <pre className="statement ran" id={id} aria-label="The statement">
    <i>{`-- ${comment}\n`}</i>
    {sql.split(keywords).filter(Boolean).map((part, i) => (
      /^\d+$/.test(part) ? <span key={i}>{part}</span> : keywords.test(part) ? <b key={i}>{part}</b> : part
    ))}
  </pre>
)

export const WhyButton = ({ onClick }: { onClick: () => void }) => (
  <button className="button" type="button" aria-haspopup="dialog" onClick={onClick}>
    <Icon name="question" />Why?
  </button>
)

/** Starts a CSS animation again by taking its class away and giving it back. */
export function replay(element: Element | null, name: string): void {
  if (!element) return
  element.classList.remove(name)
  void (element as HTMLElement).offsetWidth
  element.classList.add(name)
}

/** Plays the animation of the class each time that `change` becomes another value. */
export function useFlash<E extends Element>(name: string, change: unknown): RefObject<E | null> {
  const ref = useRef<E>(null)
  const before = useRef(change)
  useLayoutEffect(() => {
    if (change !== undefined && change !== before.current) replay(ref.current, name)
    before.current = change
  }, [name, change])
  return ref
}

/** Lets the children of a list slide from where they were (first, last, invert, play). */
export function useGlide<E extends HTMLElement>(): RefObject<E | null> {
  const list = useRef<E>(null)
  const tops = useRef(new Map<Element, number>())
  useLayoutEffect(() => {
    const before = tops.current
    const children = [...(list.current?.children ?? [])] as HTMLElement[]
    tops.current = new Map(children.map((child) => [child, child.offsetTop]))
    if (document.hidden || matchMedia('(prefers-reduced-motion: reduce)').matches) return
    for (const child of children) {
      const by = (before.get(child) ?? child.offsetTop) - child.offsetTop
      if (Math.abs(by) < 1 || Math.abs(by) > 1200) continue
      child.animate([{ transform: `translateY(${by}px)` }, { transform: 'none' }],
        { duration: 320, easing: 'cubic-bezier(.2,.8,.2,1)' })
    }
  })
  return list
}

/** Hears an event of the window or the document for as long as the component is there. */
export function useListener(target: EventTarget, type: string, listener: (event: Event) => void): void {
  const latest = useRef(listener)
  latest.current = listener
  useEffect(() => {
    const hear = (event: Event): void => latest.current(event)
    target.addEventListener(type, hear)
    return () => target.removeEventListener(type, hear)
  }, [target, type])
}
