import type { EventFrame, Key } from '../frames.js'
import { keyText } from '../match.js'
import type { QueryKey } from './queryclient.js'
import type { Rule } from './rules.js'

/** Events of one resource by the text of the row's key, each row's in their order. */
export type Rows = Map<string, EventFrame[]>

/** Where a query stands to some rows: a list of them (no `row`), the one row, or (not `exact`) something under it. */
export interface Place {
  row?: string
  exact?: boolean
}

/** Whether a key begins with a prefix, as TanStack's filters mean it, but 17 is '17': that is what routers give. */
export function startsWith(key: QueryKey, prefix: QueryKey): boolean {
  return prefix.length <= key.length && prefix.every((part, i) => covers(key[i], part))
}

function covers(whole: any, part: any): boolean {
  if (isObject(part) !== isObject(whole)) return false
  return isObject(part)
    ? Object.keys(part).every((name) => covers(whole[name], part[name]))
    : String(whole) === String(part)
}

/** Finds out of a query's key which of the rows, if any, it is concerned with. */
export function placer(rule: Rule, rows: Rows): (key: QueryKey) => Place | undefined {
  const { queryKey, isList, detailKey } = rule
  const sample = [...rows.values()][0]![0]!.resource_id
  const kind = keyText(sample)
  const stems = stemsOf(rule, sample)
  const length = detailKey?.(sample).length

  return (key) => {
    const under = startsWith(key, queryKey)
    if (under && isList?.(key)) return {}
    for (const stem of stems) {
      const id = textOf(key[stem.length])
      if (id === undefined || !startsWith(key, stem)) continue
      if (rows.has(id)) return { row: id, exact: key.length === (length ?? stem.length + 1) }
      if (isList || stem.length > queryKey.length || alike(id, kind)) return undefined // another row's
    }
    if (detailKey && !stems.length) {
      for (const [row, [first]] of rows) {
        const detail = detailKey(first!.resource_id)
        if (startsWith(key, detail)) return { row, exact: key.length === detail.length }
      }
    }
    return under && !isList ? {} : undefined
  }
}

/** What comes before the id in the keys of single rows; nothing where the id is inside an object. */
export function stemsOf({ queryKey, detailKey }: Rule, id: Key): QueryKey[] {
  if (!detailKey) return [queryKey, [...queryKey, 'detail'], [...queryKey, 'details']]
  const pattern = detailKey(id)
  const at = pattern.findIndex((part) => textOf(part) === keyText(id))
  return at < 0 ? [] : [pattern.slice(0, at)]
}

/** The text of what may be an id. */
function textOf(part: unknown): string | undefined {
  return typeof part === 'string' || typeof part === 'number' || Array.isArray(part) ? keyText(part as Key) : undefined
}

/** Whether a part of a key looks like an id as this one does: both numbers, both UUIDs, both SKU-0017; never a word. */
function alike(a: string, b: string): boolean {
  const shape = (text: string): string => text.replace(/\d+/g, '0').replace(/[a-z]+/gi, 'a')
  return /\d/.test(a) && (shape(a) === shape(b) || (a.length === b.length && a.length > 19))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
