import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { parse } from 'yaml'
import { expect, test, vi } from 'vitest'
import { golden } from './fakesocket.js'
import type { EventFrame } from '../src/index.js'

interface Document {
  channels: Record<string, { address: string }>
  components: { messages: Record<string, { payload: object }> }
}

const folder = new URL('types/', import.meta.url)
const documents = ['erp', 'every'] as const
const read = (name: string): Document =>
  parse(readFileSync(new URL(`${name}/asyncapi.yaml`, folder), 'utf8')) as Document
const document = { erp: read('erp'), every: read('every') }
// Compiled by a program of its own, in which the package has the types of that installation.
const { events } = (await import(new URL('every/events.ts', folder).href)) as { events: EventFrame[] }

const ajv = addFormats.default(new Ajv({ strict: false, allErrors: true }))
for (const name of documents) ajv.addSchema(document[name], name)

/** What AsyncAPI publishes; it brings the meta-schema with it. */
const specification = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json') as object
const official = addFormats.default(new Ajv({ strict: false, meta: false, validateSchema: false })).compile(specification)

vi.setConfig({ testTimeout: 60_000 }) // schemas are compiled when they are used first, which takes a busy machine its time

/** Validates what is sent as a message of a document. */
function payload(name: (typeof documents)[number], message: string): ValidateFunction {
  return ajv.getSchema(`${name}#/components/messages/${message}/payload`) ?? expect.fail(`no message ${message}`)
}

test.each(documents)('%s: the document is what AsyncAPI 3.0 says of itself', (name) => {
  expect(official({ ...document[name], channels: 1 })).toBe(false)
  official(document[name])
  expect(official.errors ?? []).toEqual([])
})

test.each(documents)('%s: every reference leads somewhere', (name) => {
  const references = [...JSON.stringify(document[name]).matchAll(/"\$ref":"#\/([^"]*)"/g)].map(([, path]) => path!)
  expect(references.length).toBeGreaterThan(20)
  for (const path of references) {
    const into = (at: unknown, part: string): unknown => (at as Record<string, unknown> | undefined)?.[part]
    const found = path.split('/').reduce(into, document[name])
    expect(found, path).toBeTypeOf('object')
  }
})

test('what a bridge has sent is what the document says of it, and nothing else', () => {
  expect(events.length).toBeGreaterThan(10)
  for (const event of events) {
    const { channel, resource, type, op } = event
    const validate = payload('every', [channel, resource, type].join('.').replace('~', '..'))
    validate(event)
    expect(validate.errors ?? []).toEqual([])
    expect(validate({ ...event, data: { ...event.data, more: 1 } })).toBe(false)
    expect(validate({ ...event, op: 'leave' })).toBe(false)
    if (op !== 'delete') expect(validate({ ...event, data: undefined, resource_id: {} })).toBe(false)
  }
})

test.each(golden('control/'))('$name is what the document says of it', ({ frame }) => {
  const validate = payload('erp', frame.type)
  validate(frame)
  expect(validate.errors ?? []).toEqual([])
  expect(validate({ type: 'another' })).toBe(false)
})
