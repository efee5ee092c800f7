import type { EventFrame, Key } from '../frames.js'
import { keyText } from '../match.js'
import { isObject } from './keys.js'
import type { Heard, Place, Rows } from './keys.js'
import type { Rule } from './rules.js'

type Fields = Record<string, unknown>

export interface Patched {
  data: unknown
  /** Some event could not be put in, or says more than can be put in: the query has to be fetched. */
  fetch: boolean
}

/** Puts the events heard after `since` into what a query holds. */
export function patchData(data: unknown, { row, exact }: Place, rule: Rule, rows: Rows, since: number): Patched {
  const patched: Patched = { data, fetch: row !== undefined && !exact }
  const listed = row === undefined
  for (const { event, clock } of row === undefined ? [...rows.values()].flat() : rows.get(row)!) {
    if (clock > since && (event.op !== 'update' || (listed && decides(event, rule)))) patched.fetch = true
  }
  const put = (fields: Fields, heard: Heard[]): Fields => {
    for (const { event, clock } of heard) {
      if (clock <= since || event.op !== 'update') continue
      const next = step(fields, rule, event)
      if (next === undefined) patched.fetch = true
      fields = next ?? fields
    }
    return fields
  }
  if (listed) {
    patched.data = walk(data, (fields) => {
      const id = idOf(fields, rule)
      const heard = id !== undefined && rows.get(id)
      return heard ? put(fields, heard) : id === undefined ? undefined : fields
    })
  } else if (exact && isObject(data)) {
    patched.data = put(data, rows.get(row)!)
  }
  return patched
}

/** Whether a change may move rows into a list, out of it or within it. */
function decides({ old = {} }: EventFrame, { listColumns }: Rule): boolean {
  return !listColumns || Object.keys(old).some((name) => listColumns.includes(name))
}

/**
 * Replaces the rows in arrays, in objects that hold arrays ({results: []}) and in pages of either. What is below a row is
 * not looked at: it is of another resource.
 */
function walk(value: unknown, replace: (fields: Fields) => Fields | undefined): unknown {
  if (!isObject(value)) return value
  if (!Array.isArray(value)) {
    const row = replace(value)
    if (row !== undefined) return row
  }
  let copy: any
  for (const name of Object.keys(value)) {
    const before = value[name]
    if (!Array.isArray(value) && !Array.isArray(before)) continue
    const after = walk(before, replace)
    if (after !== before) (copy ??= Array.isArray(value) ? [...value] : { ...value })[name] = after
  }
  return copy ?? value
}

function idOf(fields: Fields, { id = 'id' }: Rule): string | undefined {
  const columns = typeof id === 'string' ? fields[id] : id.map((name) => fields[name])
  return columns == null || (Array.isArray(columns) && columns.includes(undefined)) ? undefined : keyText(columns as Key)
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
