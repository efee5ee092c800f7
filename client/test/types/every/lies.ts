// What is not true of any event does not compile, so that events.ts says something.
import { events } from './events.js'
import type { Named } from 'rowfeed'
import type { Schema } from './rowfeed.js'
import { is } from '../expect.js'
import type { Same } from '../expect.js'

type Plain = NonNullable<Named<Schema, 'plain'>['data']>
is<Same<Plain['c07'], number | 'NaN' | 'Infinity' | '-Infinity' | null>>()
is<Same<Plain['c16'], 'so so' | 'it\'s "fine" \\o/' | null>>()
is<Same<Plain['c58'], string>>()
is<Same<Named<Schema, 'strict'>['resource_id'], [string, string, string]>>()

const { data } = events[0]!
// @ts-expect-error: a field that is not there
export const more: Plain = { ...data, c99: 1 } satisfies Plain
// @ts-expect-error: a number that is none
export const text = { ...(data as Plain), c01: '7' } satisfies Plain
// @ts-expect-error: a label that the enum has not
export const label = { ...(data as Plain), c16: 'fine' } satisfies Plain
// @ts-expect-error: null, where the column is not
export const none = { ...(data as Plain), c58: null } satisfies Plain
// @ts-expect-error: a key of two columns, which has three
export const key: Named<Schema, 'strict'>['resource_id'] = ['2026-03-04', 'A']
