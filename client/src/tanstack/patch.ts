import type { EventFrame, Key } from '../frames.js'
import type { Rule } from './rules.js'

type Fields = Record<string, unknown>

/** What a query holds after some events. */
export interface Patched {
  data: unknown
  /** An event that can't be put in: the query has to be fetched. */
  missed: boolean
}

/** Puts the updates among events into a row. */
export function patchRow(data: unknown, rule: Rule, events: EventFrame[]): Patched {
  let missed = false
  for (const event of events) {
    if (event.op !== 'update') continue
    const next = isObject(data) ? step(data, rule, event) : undefined
    if (next) data = next
    else missed = true
  }
  return { data, missed }
}

/** Puts updates into the rows of a list; `find` gives those of a row, by its key. */
export function patchList(data: unknown, rule: Rule, find: (id: Key) => EventFrame[] | undefined): Patched {
  let missed = false
  const patched = walk(data, (fields) => {
    const id = idOf(fields, rule)
    if (id === undefined) return undefined
    const row = patchRow(fields, rule, find(id) ?? [])
    missed ||= row.missed
    return row.data
  })
  return { data: patched, missed }
}

/**
 * Replaces the rows in arrays, in objects that hold arrays ({results: []}) and in pages of either. What is below a row
 * is not looked at: it is of another resource.
 */
function walk(value: unknown, replace: (fields: Fields) => unknown): unknown {
  if (!isObject(value)) return value
  const list = Array.isArray(value)
  const row = list ? undefined : replace(value)
  if (row) return row
  let copy: any
  for (const name of Object.keys(value)) {
    const before = value[name]
    const after = list || Array.isArray(before) ? walk(before, replace) : before
    if (after !== before) (copy ??= list ? [...value] : { ...value })[name] = after
  }
  return copy ?? value
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

function idOf(fields: Fields, { id = 'id' }: Rule): Key | undefined {
  const key = typeof id === 'string' ? fields[id] : id.map((name) => fields[name])
  return key == null || (Array.isArray(key) && key.includes(undefined)) ? undefined : (key as Key)
}

/** The row after an update; undefined where that can't be told. */
function step(row: Fields, { patch, version }: Rule, event: EventFrame): Fields | undefined {
  const { data = {}, old = {} } = event
  const changed = Object.keys(old)
  if (version !== undefined) {
    const of = (fields: Fields): unknown => (typeof version === 'string' ? fields[version] : version(fields))
    const order = newer(of(data), of(row))
    if (order <= 0) return row
    if (Number.isNaN(order)) return undefined
  }
  if (patch !== true) return patch?.(row, data, event) as Fields | undefined
  if (!changed.length || !changed.every((name) => name in row)) return undefined
  if (version === undefined) {
    // The event goes on from what was there before it. Else the row is older, or newer, than that.
    if (changed.every((name) => equal(row[name], data[name]))) return row
    if (!changed.every((name) => equal(row[name], old[name]))) return undefined
  }
  const shared = Object.keys(data).filter((name) => name in row)
  if (!shared.every((name) => like(row[name], data[name]))) return undefined
  return { ...row, ...Object.fromEntries(shared.map((name) => [name, data[name]])) }
}

/** Above 0 where a is the newer; NaN where that can't be told. */
function newer(a: unknown, b: unknown): number {
  const order = rank(a) - rank(b)
  return a === b && a != null ? 0 : order || NaN // two texts of one millisecond may be either way round
}

function rank(version: unknown): number {
  return typeof version === 'string' && !/^\d+$/.test(version) ? Date.parse(version) : Number(version ?? NaN)
}

function equal(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

/** Whether an API and an event write a column alike: '12.50' is not 12.5. */
function like(a: unknown, b: unknown): boolean {
  return a === null || b === null || typeof a === typeof b
}
