import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { eventParser } from '../src/sse.js'

const folder = new URL('../../test/testdata/wire/sse/', import.meta.url)
const golden = readdirSync(folder).map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') }))

function parse(pieces: string[]): [name: string, data: string][] {
  const events: [string, string][] = []
  const feed = eventParser((name, data) => events.push([name, data]))
  for (const piece of pieces) feed(piece)
  return events
}

describe('text/event-stream', () => {
  test.each(golden)('$name, cut in two at every place', ({ text }) => {
    const whole = parse([text])
    expect(whole.map(([, data]) => JSON.parse(data) as object)).toEqual(
      [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!) as object),
    )
    expect(whole.map(([name]) => name)).toEqual(
      text.split('\n\n').filter(Boolean).map((block) => /^event: (.*)$/m.exec(block)?.[1] ?? ''),
    )
    for (let at = 1; at < text.length; at++) expect(parse([text.slice(0, at), text.slice(at)])).toEqual(whole)
    expect(parse([...text])).toEqual(whole)
    for (const end of ['\r\n', '\r']) {
      const other = `${text.replaceAll('\n', end)}:\n` // of a lone \r at the end it is not known whether it is a whole end
      expect(parse([other])).toEqual(whole)
      expect(parse([...other])).toEqual(whole)
    }
  })

  test('what the standard says of fields', () => {
    expect(parse([': a comment\ndata:one\ndata:  two\ndata\nid: 7\nretry: 5\nnonsense: x\n\n'])).toEqual([
      ['', 'one\n two\n'],
    ])
    expect(parse(['event: close\n\ndata: a: b\n\n'])).toEqual([['', 'a: b']]) // no data: no event, and the name is gone
    expect(parse(['data: half'])).toEqual([])
    expect(parse(['data: line\u2028separator\n\n'])).toEqual([['', 'line\u2028separator']])
  })
})
