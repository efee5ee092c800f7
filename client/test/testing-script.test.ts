import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createFakeServer } from '../src/testing/index.js'
import type { PartialEvent, Seen } from '../src/testing/index.js'
import type { SocketLike } from '../src/index.js'

type Frame = Record<string, unknown>

/** A step of the script that a bridge has played; what it said is in `says`. */
interface Step {
  open?: string
  close?: string
  on?: string
  send?: Frame
  text?: string
  emit?: { channel: string; event: PartialEvent; seen: Seen }
  says: Record<string, Frame[]>
}

const script = JSON.parse(readFileSync(new URL('../../test/testdata/script.json', import.meta.url), 'utf8')) as Step[]
const chance = ['id', 'at', 'txid', 'cursor', 'session', 'grants', 'expires_in_ms']

test('the fake server says what a bridge has said, step by step', async () => {
  const server = createFakeServer({
    authenticate: (token) => /^@(\d)$/.exec(token)?.[1],
    channels: { stock: { items: ['id', 'owner', 'colour', 'n'] } },
    features: { presence: false, leases: false, notifications: false },
  })
  const sockets: Record<string, SocketLike> = {}
  const heard: Record<string, Frame[]> = {}
  const cursors: Record<string, string> = {}

  function open(name: string): void {
    const socket = (sockets[name] = new server.environment.WebSocket!('wss://fake.example/ws', ['rowfeed.v1']))
    heard[name] ??= []
    socket.onmessage = ({ data }: { data: string }) => {
      const frame = JSON.parse(data) as Frame
      if (typeof frame.cursor === 'string') cursors[name] = frame.cursor
      heard[name]!.push(Object.fromEntries(Object.entries(frame).filter(([field]) => !chance.includes(field))))
    }
    socket.onclose = ({ code }: { code: number }) => heard[name]!.push({ close: code })
  }

  for (const [i, { open: opened, close, on, send, text, emit, says }] of script.entries()) {
    if (opened !== undefined) open(opened)
    if (close !== undefined) {
      sockets[close]!.onclose = null
      sockets[close]!.close(1000)
    }
    if (text !== undefined) sockets[on!]!.send(text)
    if (send) sockets[on!]!.send(JSON.stringify({ ...send, ...(send.cursor === '@a' && { cursor: cursors.a }) }))
    if (emit) server.emit(emit.channel, emit.event, emit.seen)
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    const news = Object.fromEntries(Object.entries(heard).filter(([, frames]) => frames.length > 0))
    expect(news, `step ${i}: ${JSON.stringify(script[i])}`).toEqual(says)
    for (const frames of Object.values(heard)) frames.length = 0
  }
  expect(script.length).toBeGreaterThan(50)
})
