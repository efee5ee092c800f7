import { expect, test } from 'vitest'
import { createSeen } from '../src/seen.js'

test('answers with the last time, and forgets what is older than the bound', () => {
  const mark = createSeen(8)
  expect([mark('a', 1), mark('a', 2), mark('a', 3)]).toEqual([undefined, 1, 2])
  for (let i = 0; i < 4; i++) mark(`b${i}`, 4)
  expect([mark('a', 5), mark('b3', 5)]).toEqual([3, 4]) // of what was seen again the new time counts
  for (let i = 0; i < 8; i++) mark(`c${i}`, 6)
  expect([mark('a', 7), mark('c7', 7)]).toEqual([undefined, 6])
})

// At 1,000 a second these are four minutes; one Map whose first key is deleted each time takes minutes of work for it.
test('costs the same after days: 250,000 ids take no time to speak of', () => {
  const mark = createSeen()
  const began = performance.now()
  for (let i = 0; i < 250_000; i++) {
    mark(`7f3a-1xrg-1179-${i}`, i)
    if (i % 1000 === 0 && performance.now() - began > 10_000) throw new Error(`only ${i} in 10 s`)
  }
}, 30_000)
