const base = 500
const cap = 20_000

/**
 * The wait in milliseconds before reconnection number `attempt` (0 is the first): anything up to 0.5 s, doubled each
 * time, at most 20 s. Full jitter, so that browsers that lost the bridge together do not come back together.
 */
export function backoff(attempt: number, random: () => number): number {
  return Math.round(random() * Math.min(cap, base * 2 ** attempt))
}
