/** The bridge's close codes, by name. */
export const CloseCode = {
  draining: 4000,
  slowConsumer: 4001,
  heartbeatTimeout: 4002,
  grantsChanged: 4003,
  authExpired: 4004,
  resync: 4005,
  authTimeout: 4500,
  authFailed: 4501,
  originNotAllowed: 4503,
  connectionLimit: 4504,
  protocolError: 4505,
} as const

/** Standard codes (RFC 6455, section 7.4.1) that say the bridge can't take what this client sends. */
const refused: readonly number[] = [1003, 1007, 1009]

/** Whether reconnecting with the same token and the same subscriptions would only be closed again. */
export function isTerminal(code: number): boolean {
  return (code >= 4500 && code <= 4999) || refused.includes(code)
}

/** The wait in milliseconds that a close reason asks for, as that of a draining node does; 0 where it names none. */
export function retryDelay(reason: string): number {
  return Math.min(Number(/retry_ms=(\d+)/.exec(reason)?.[1] ?? 0), 60_000)
}
