const numbers = new Intl.NumberFormat('en')
const money = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const days = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' })

export const count = (n: number): string => numbers.format(n)
export const counted = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`
export const amount = (text: string): string => money.format(Number(text))
export const time = (date: Date): string => clock.format(date)

/** How long ago a moment was, in the words of a person. */
export function ago(iso: string): string {
  const seconds = (Date.now() - Date.parse(iso)) / 1000
  if (seconds < 45) return 'just now'
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`
  return days.format(new Date(iso))
}

/** A length of time in ms so that it fits a pill. */
export function span(ms: number): string {
  if (ms < 1) return '<1 ms'
  if (ms < 1000) return `${Math.round(ms)} ms`
  return `${(ms / 1000).toFixed(1)} s`
}

export const words = (name: string): string => name.replaceAll('_', ' ').replace(/^./, (c) => c.toUpperCase())

/** The time of day in ms since 1970, finer than Date's. */
export const now = (): number => performance.timeOrigin + performance.now()
