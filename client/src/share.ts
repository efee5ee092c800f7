import type { ConnectionState } from './connection.js'
import type { Tabs } from './environment.js'
import type { ClientFrame, ErrorFrame, ResyncFrame, ServerFrame, WelcomeFrame } from './frames.js'
import type { Link, LinkOptions } from './link.js'
import { createWire } from './share-wire.js'

/**
 * What tabs say to each other, on a BroadcastChannel of their group. Of a leader's messages `n` counts those before, so
 * that nobody takes what is left of a stream for the whole of it; `term` grows with each leader, `life` with each of
 * its connections.
 */
type Message = { from: string } & (
  | { is: 'hello' } // does anybody lead?
  | { is: 'lead'; term: number; life: number; n: number; state: ConnectionState }
  | { is: 'down'; n: number; to?: string | undefined; frame: ServerFrame }
  | { is: 'up'; to: string; life: number; frame: ClientFrame }
  | { is: 'start' } // connect now, if you wait
  | { is: 'bye' } // leads, or follows, no more
)

/** Said to all tabs with the same address, whoever is logged in: a name of a group, never more. */
interface News {
  is: 'login' | 'out'
  group: string
}

type Channel = InstanceType<Tabs['BroadcastChannel']>

/**
 * A link that the tabs of one user share. Each tab connects by itself first; the welcome proves who it is, and names its
 * group: address, user and the bridge's digest of user, tenant and grants. In the group a lock elects the one that
 * keeps its connection, for all; the others follow it, and close theirs.
 *
 * Only what is live is shared. Who needs something of the past (a cursor that is not as new as the group's, a rewind)
 * asks for it on a connection of its own, where it troubles nobody, and follows once a heartbeat says that it has come.
 * Those who lost one leader resume together from the next, each from its own cursor.
 */
export function sharedLink(options: LinkOptions, connect: (options: LinkOptions) => Link): Link {
  // In here, since what a lazily loaded module has at its top level is not inlined.
  /** Close codes; said here too, so that not all of them come along. */
  const grantsChanged = 4003
  const connectionLimit = 4504
  /** How long a tab waits for a leader's answer before its own connection is put to use. */
  const patience = 1_000
  /** How often a follower looks whether its leader has been heard. */
  const pace = 1_000
  /** After so many looks it is asked, and after so many it is replaced. */
  const doubt = 2
  const despair = 5
  /** And how long after a proof that was not to be had the next one is tried. */
  const retry = 15_000
  const { clearTimeout, now, onWake, setTimeout, tabs } = options.environment
  const me = Math.random().toString(36).slice(2) + Date.now().toString(36)
  let state: ConnectionState = { status: 'idle' }
  let role: 'off' | 'alone' | 'lead' | 'follow' = 'off'
  let group: string | undefined // what the last welcome proved; undefined where there is nothing to share by
  let grants: string | undefined
  let until = 0 // when the proof is over
  let renew = 0 // and when to begin with the next
  let greeted = false
  let full = false // there is no room for this tab's subscriptions beside those of others
  let channel: Channel | undefined
  let lobby: Channel | undefined
  let held: ClientFrame[] | undefined // what waits until it is known whose connection it goes by
  let joining = false
  let leader = ''
  let term = 0
  let life = 0
  let n = 0
  let missed = 0
  let tick: unknown
  let hold: unknown
  let ask: AbortController | undefined // for the lock; a new one voids the one before
  let release = (): void => {}
  const members = new Map<string, AbortController>()
  let leave = (): void => {} // lets the lock go by which others see that this tab is there
  let stopWake: (() => void) | undefined

  const own = connect({ ...options, onLive: () => {}, onWelcome: proven, onFrame: heard, onState: changed })
  const wire = createWire(own.send, deliver)

  function become(next: ConnectionState): void {
    state = next
    options.onState(next)
  }

  function start(): void {
    if (role === 'follow') return say({ is: 'start' })
    if (role === 'off') enter()
    own.start()
  }

  function stop(): void {
    out()
    quit()
    role = 'off'
    own.stop()
    for (const open of [channel, lobby]) open?.close()
    channel = lobby = group = undefined
    stopWake?.()
    leave()
    greeted = full = false // who comes next may be another
    become({ status: 'idle' })
  }

  function send(frame: ClientFrame): void {
    if (held) held.push(frame)
    else if (role === 'follow') {
      if (asksPast(frame)) anew()
      else say({ is: 'up', to: leader, life, frame })
    } else if (own.state().status === 'live') {
      if (asksPast(frame)) quit() // the past would reach those who follow
      wire.up(me, frame)
    }
  }

  function enter(): void {
    role = 'alone'
    lobby = open(`rowfeed ${options.url}`, (news: News) => {
      if (group && (news.is === 'out') === (news.group === group)) anew()
    })
    stopWake = onWake((offline) => {
      if (state.status === 'waiting' && !offline) start()
    })
    const gone = new Promise<void>((resolve) => (leave = resolve))
    lock(`rowfeed ${me}`, {}, () => gone).catch(() => {})
  }

  // The bridge has said who this is.
  function proven(frame: WelcomeFrame, first: boolean): void {
    const { user, expires_in_ms } = frame
    const at = now()
    ;({ grants } = frame)
    const proved = grants && JSON.stringify(['rowfeed', options.url, user, grants])
    until = at + expires_in_ms
    renew = at + Math.max(expires_in_ms - 90_000, expires_in_ms / 2)
    const moved = proved !== group
    if (moved) regroup(proved)
    if (role === 'follow') own.stop() // it was for the proof alone
    else if (first || (moved && held)) live()
  }

  function regroup(proved: string | undefined): void {
    if (role === 'follow') show({ status: 'connecting', attempt: 0 }) // what was asked of the leader is lost
    out()
    quit()
    channel?.close()
    group = proved
    channel = group ? open(group, receive) : undefined
    if (group && !greeted) lobby?.postMessage({ is: 'login', group } satisfies News)
    greeted = true
  }

  // A connection of its own has begun.
  function live(): void {
    wire.reset()
    forget()
    life++
    if (role === 'lead') return use()
    held = []
    options.onLive(grants)
    if (!group || full || held.some((frame) => 'cursor' in frame || asksPast(frame))) return use()
    hold = setTimeout(use, patience)
    join()
  }

  // Puts this tab's own connection to use.
  function use(): void {
    clearTimeout(hold)
    const frames = held
    held = undefined
    show(own.state())
    if (frames === undefined) options.onLive(grants)
    else for (const frame of frames) send(frame)
  }

  function join(): void {
    if (joining || !group) return
    joining = true
    missed = 0
    contend({})
    say({ is: 'hello' })
    watch()
  }

  function watch(): void {
    clearTimeout(tick)
    tick = setTimeout(() => {
      watch()
      look()
    }, pace)
  }

  // Counts looks, not time: who was frozen has not yet heard what was said meanwhile.
  function look(): void {
    if (++missed >= doubt) say({ is: 'hello' })
    if (missed >= despair) {
      missed = 0
      contend({ steal: true })
    }
    if (role !== 'follow') return
    const at = now()
    if (at >= until) return anew()
    if (at >= renew) {
      renew = at + retry
      own.start()
    }
    if (state.status === 'waiting' && missed === doubt) say({ is: 'start' })
  }

  function contend(how: { steal?: true }): void {
    ask?.abort()
    const mine = (ask = new AbortController())
    lock(group!, how.steal ? how : { signal: mine.signal }, () => {
      if (ask !== mine) return
      return new Promise<void>((resolve) => {
        release = resolve
        lead()
      })
    }).catch(() => {
      if (ask !== mine) return
      // Another has taken it, from one that was not heard; or there are no locks here after all.
      if (role !== 'alone') return anew()
      quit()
      if (held) use()
    })
  }

  async function lock(name: string, how: LockOptions, run: () => Promise<void> | undefined): Promise<void> {
    await tabs!.locks.request(name, how, run)
  }

  function lead(): void {
    clearTimeout(tick)
    role = 'lead'
    term = Math.max(term + 1, now())
    n = 0
    if (own.state().status !== 'live') own.start()
    else if (held) return use()
    show(own.state())
  }

  function follow(message: Message & { is: 'lead' }): void {
    const frames = held ?? []
    const was = state.status
    clearTimeout(hold)
    held = undefined
    role = 'follow'
    ;({ from: leader, term, life, n } = message)
    own.stop()
    if (was === 'live') become({ status: 'connecting', attempt: 0 }) // what was asked on the other one is void
    become(message.state)
    options.onLive(grants)
    for (const frame of frames) if (frame.type !== 'subscribe' && frame.type !== 'unsubscribe') send(frame)
  }

  // What other tabs of the group say.
  function receive(message: Message): void {
    if (role === 'lead') return serve(message)
    const { from } = message
    if (message.is === 'lead') led(message)
    else if (role !== 'follow' || from !== leader) return
    else if (message.is === 'down') {
      missed = 0
      if (message.n !== ++n || now() >= until) return anew()
      if (message.to === undefined || message.to === me) take(message.frame)
    } else if (message.is === 'bye') become({ status: 'connecting', attempt: 0 }) // the lock says who is next
  }

  function led(message: Message & { is: 'lead' }): void {
    const { from } = message
    if (!joining || message.term < term) return
    missed = 0
    const isLive = message.state.status === 'live'
    if (role !== 'follow') {
      if (isLive && !wire.past()) follow(message)
    } else if (isLive && (from !== leader || message.life !== life)) follow(message)
    else {
      if (from === leader && message.n !== n) return anew() // something was said that was not heard
      ;({ from: leader, term, n } = message)
      become(message.state)
    }
  }

  // What followers say to their leader.
  function serve(message: Message): void {
    const { from } = message
    if (message.is === 'lead') {
      if (message.term > term) anew() // it was taken from this one, that was not heard
    } else if (message.is === 'hello') show(state)
    else if (message.is === 'start') own.start()
    else if (message.is === 'bye') part(from)
    else if (message.is === 'up' && message.to === me && message.life === life) {
      if (!members.has(from)) meet(from)
      wire.up(from, message.frame)
    }
  }

  // A follower's lock is free when the follower is no more, however it ended.
  function meet(tab: string): void {
    const watch = new AbortController()
    members.set(tab, watch)
    lock(`rowfeed ${tab}`, { signal: watch.signal }, () => void part(tab)).catch(() => {})
  }

  function part(tab: string): void {
    members.get(tab)?.abort()
    if (members.delete(tab)) wire.gone((gone) => gone === tab)
  }

  function forget(): void {
    for (const watch of members.values()) watch.abort()
    members.clear()
  }

  // What this tab's own connection says.
  function heard(frame: ServerFrame): void {
    if (role === 'follow') return
    wire.down(frame)
    if (frame.type === 'heartbeat' && role === 'alone' && !held && !full && !wire.past()) join()
    if (frame.type === 'resync' && (frame as ResyncFrame).reason === 'grants_changed') {
      out() // what was proven is no longer so
      anew()
    }
  }

  function deliver(frame: ServerFrame, to?: string): void {
    if (role === 'lead' && to !== me) say({ is: 'down', n: ++n, to, frame })
    if (to === undefined || to === me) take(frame)
  }

  function take(frame: ServerFrame): void {
    const others = role === 'follow' || members.size > 0
    full ||= others && (frame as ErrorFrame).code === 'too_many_subscriptions'
    if (others && full) anew() // alone there may be room: it is not refused yet
    else options.onFrame(frame)
  }

  function changed(next: ConnectionState): void {
    if (next.status === 'idle' || next.status === 'live') return
    const code = 'code' in next ? next.code : 0
    const refused = next.status === 'stopped' || code === grantsChanged
    if (role === 'follow' && (!refused || code === connectionLimit)) return
    if (refused) {
      out()
      quit()
      group = undefined
    } else if (role === 'alone') quit()
    show(next)
  }

  // The state is this tab's and, where it leads, its followers'.
  function show(next: ConnectionState): void {
    const was = state
    const same = next.status !== 'waiting' && JSON.stringify(was) === JSON.stringify(next)
    if (!same) become(next)
    if (role === 'lead') say({ is: 'lead', term, life, n, state: next })
  }

  // Tells the group that each has to prove itself again.
  function out(): void {
    if (group) lobby?.postMessage({ is: 'out', group } satisfies News)
  }

  // Has nothing to do with the others any more, until the next join.
  function quit(): void {
    clearTimeout(tick)
    clearTimeout(hold)
    if (role === 'lead' || role === 'follow') say({ is: 'bye' })
    if (role === 'lead') wire.gone((tab) => tab !== me)
    role = 'alone'
    joining = false
    forget()
    ask?.abort()
    ask = undefined
    release()
  }

  // Connects by itself, with a fresh proof, whatever it was.
  function anew(): void {
    quit()
    held = undefined
    own.stop()
    show({ status: 'connecting', attempt: 0 })
    own.start()
  }

  function say(message: Message extends infer M ? (M extends { from: string } ? Omit<M, 'from'> : never) : never): void {
    channel?.postMessage({ ...message, from: me } as Message)
  }

  function open<T>(name: string, receive: (message: T) => void): Channel {
    const opened = new tabs!.BroadcastChannel(name)
    opened.onmessage = ({ data }: { data: T }) => receive(data)
    return opened
  }

  return { state: () => state, start, stop, send }
}

function asksPast(frame: ClientFrame): boolean {
  return 'rewind' in frame && frame.rewind !== undefined
}
