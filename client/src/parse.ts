import type { ControlFrame, EventFrame, ServerFrame } from './frames.js'

type Fields = Record<string, unknown>

const ops: readonly unknown[] = ['insert', 'update', 'delete', 'enter', 'leave']

/**
 * Reads one frame of the bridge. Undefined for what this version does not know (a newer bridge may say more) and for
 * what is not a frame at all; frames are passed on as they came, unknown fields included.
 */
export function parseFrame(text: unknown): ServerFrame | undefined {
  if (typeof text !== 'string') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isFields(value) || typeof value.type !== 'string') return undefined
  if ('op' in value) return isEventShape(value) ? (value as unknown as EventFrame) : undefined
  const check = Object.hasOwn(controls, value.type) ? controls[value.type as ControlFrame['type']] : undefined
  return check?.(value) ? (value as unknown as ControlFrame) : undefined
}

function isEventShape(f: Fields): boolean {
  return (
    ops.includes(f.op) &&
    ['id', 'channel', 'resource', 'at', 'txid'].every((name) => typeof f[name] === 'string') &&
    f.resource_id !== undefined &&
    optional(f.data, isFields) &&
    optional(f.old, isFields) &&
    ['message', 'link', 'cursor'].every((name) => optional(f[name], isString))
  )
}

const controls: Record<ControlFrame['type'], (f: Fields) => boolean> = {
  welcome: (f) =>
    isString(f.user) &&
    optional(f.name, isString) &&
    isString(f.session) &&
    optional(f.grants, isString) &&
    isNumber(f.expires_in_ms) &&
    isNumber(f.heartbeat_ms),
  subscribed: (f) => isString(f.ref) && optional(f.resumed, (v) => typeof v === 'boolean'),
  unsubscribed: (f) => isString(f.ref),
  pong: () => true,
  error: (f) => optional(f.ref, isString) && isString(f.code) && isString(f.message),
  resync: (f) =>
    isString(f.channel) && optional(f.resource, isString) && optional(f.ref, isString) && isString(f.reason),
  auth_expiring: (f) => isNumber(f.in_ms),
  heartbeat: (f) => isFields(f.cursors) && Object.values(f.cursors).every(isString),
  presence: (f) => isString(f.room) && isList(f.users, (user) => isString(user.user)),
  'presence.joined': isPresence,
  'presence.changed': isPresence,
  'presence.left': isPresence,
  lease: (f) => typeof f.granted === 'boolean',
  notifications: (f) => isList(f.items, (item) => item.id !== undefined) && isNumber(f.unread),
  notification_count: (f) => isNumber(f.unread),
}

function isPresence(f: Fields): boolean {
  return isString(f.room) && isString(f.user)
}

function isList(value: unknown, check: (item: Fields) => boolean): boolean {
  return Array.isArray(value) && value.every((item) => isFields(item) && check(item))
}

function optional(value: unknown, check: (value: unknown) => boolean): boolean {
  return value === undefined || check(value)
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isString(value: unknown): boolean {
  return typeof value === 'string'
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number'
}
