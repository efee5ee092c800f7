import type { ControlFrame, ServerFrame } from './frames.js'

type Fields = Record<string, unknown>

/**
 * The fields that frames have, by type. What follows a name: nothing for a string, # a number, ! a boolean, { an object,
 * " an object of strings, * anything, [ a list of objects, whose fields follow; and ? where it may be left out.
 */
const shapes: Record<ControlFrame['type'], string> = {
  welcome: 'user name? session grants? expires_in_ms# heartbeat_ms#',
  subscribed: 'ref resumed!?',
  unsubscribed: 'ref',
  pong: 'type',
  error: 'ref? code message',
  resync: 'channel resource? ref? reason',
  auth_expiring: 'in_ms#',
  heartbeat: 'cursors"',
  presence: 'room users[user',
  'presence.joined': 'room user',
  'presence.changed': 'room user',
  'presence.left': 'room user',
  lease: 'granted!',
  notifications: 'items[id* unread#',
  notification_count: 'unread#',
}
const event = 'op id channel resource at txid resource_id* data{? old{? message? link? cursor?'
const ops = /^(insert|update|delete|enter|leave)$/

const kinds: Record<string, (value: any, rest: string) => boolean> = {
  '': isString,
  '#': (value) => typeof value === 'number',
  '!': (value) => typeof value === 'boolean',
  '{': isFields,
  '"': (value) => isFields(value) && Object.values(value).every(isString),
  '*': () => true,
  '[': (value, rest) => Array.isArray(value) && value.every((item) => isFields(item) && fits(item, rest)),
}

/**
 * Reads one frame of the bridge. Undefined for what this version does not know (a newer bridge may say more) and for
 * what is not a frame at all; frames are passed on as they came, unknown fields included.
 */
export function parseFrame(text: unknown): ServerFrame | undefined {
  if (!isString(text)) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isFields(value) || !isString(value.type)) return undefined
  const { type, op } = value
  const shape = 'op' in value ? ops.test(op as string) && event : Object.hasOwn(shapes, type) && shapes[type as 'pong']
  return shape && fits(value, shape) ? (value as unknown as ServerFrame) : undefined
}

function fits(fields: Fields, shape: string): boolean {
  return shape.split(' ').every((part) => {
    const [, name, kind, optional, rest] = /(\w+)([^\w?]?)(\??)(.*)/.exec(part)!
    const value = fields[name!]
    return value === undefined ? !!optional : kinds[kind!]!(value, rest!)
  })
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
