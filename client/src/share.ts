import { CloseCode } from './codes.js'
import type { ConnectionState } from './connection.js'
import type { Environment, Tabs } from './environment.js'
import type { ClientFrame, ErrorFrame, ResyncFrame, ServerFrame, WelcomeFrame } from './frames.js'
import type { Link, LinkOptions } from './link.js'
import { createStore } from './store.js'
import type { Store } from './store.js'
import { Wire } from './share-wire.js'

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

/** How long a tab waits for a leader's answer before its own connection is put to use. */
const patience = 1_000
/** How often a follower looks whether its leader has been heard. */
const pace = 1_000
/** After so many looks it is asked, and after so many it is replaced. */
const doubt = 2
const despair = 5
/** And how long after a proof that was not to be had the next one is tried. */
const retry = 15_000

/**
 * A link that the tabs of one user share. Each tab connects by itself first; the welcome proves who it is, and names its
 * group: address, user and the bridge's digest of user, tenant and grants. In the group a lock elects the one that
 * keeps its connection, for all; the others follow it, and close theirs.
 *
 * Only what is live is shared. Who needs something of the past (a cursor that is not as new as the group's, a rewind)
 * asks for it on a connection of its own, where it troubles nobody, and follows once a heartbeat says that it has come.
 * Those who lost one leader resume together from the next, each from its own cursor.
 */
export class SharedLink implements Link {
  readonly state: Store<ConnectionState>
  readonly #options: LinkOptions
  readonly #env: Environment
  readonly #tabs: Tabs
  readonly #me = Math.random().toString(36).slice(2) + Date.now().toString(36)
  readonly #own: Link
  readonly #wire: Wire
  #role: 'off' | 'alone' | 'lead' | 'follow' = 'off'
  #group: string | undefined // what the last welcome proved; undefined where there is nothing to share by
  #grants: string | undefined
  #until = 0 // when the proof is over
  #renew = 0 // and when to begin with the next
  #greeted = false
  #channel: Channel | undefined
  #lobby: Channel | undefined
  #held: ClientFrame[] | undefined // what waits until it is known whose connection it goes by
  #joining = false
  #leader = ''
  #term = 0
  #life = 0
  #n = 0
  #missed = 0
  #tick: unknown
  #hold: unknown
  #ask: AbortController | undefined // for the lock; a new one voids the one before
  #release = (): void => {}
  #members: Map<string, AbortController> = new Map()
  #leave = (): void => {} // lets the lock go by which others see that this tab is there
  #stopWake: (() => void) | undefined

  constructor(options: LinkOptions, connect: (options: LinkOptions) => Link) {
    this.#options = options
    this.#env = options.environment
    this.#tabs = options.environment.tabs!
    this.state = createStore<ConnectionState>({ status: 'idle' }, this.#env.report)
    this.#own = connect({
      ...options,
      onLive: () => {},
      onWelcome: (frame, first) => this.#proven(frame, first),
      onFrame: (frame) => this.#heard(frame),
    })
    this.#own.state.subscribe((state) => this.#changed(state))
    this.#wire = new Wire(
      (frame) => this.#own.send(frame),
      (frame, to) => this.#deliver(frame, to),
    )
  }

  start(): void {
    if (this.#role === 'follow') return this.#say({ is: 'start' })
    if (this.#role === 'off') this.#enter()
    this.#own.start()
  }

  stop(): void {
    this.#out()
    this.#quit()
    this.#role = 'off'
    this.#own.stop()
    for (const channel of [this.#channel, this.#lobby]) channel?.close()
    this.#channel = this.#lobby = this.#group = undefined
    this.#stopWake?.()
    this.#leave()
    this.state.set({ status: 'idle' })
  }

  send(frame: ClientFrame): void {
    if (this.#held) this.#held.push(frame)
    else if (this.#role === 'follow') {
      if ('rewind' in frame) this.#anew()
      else this.#say({ is: 'up', to: this.#leader, life: this.#life, frame })
    } else if (this.#own.state.get().status === 'live') {
      if ('rewind' in frame) this.#quit() // the past would reach those who follow
      this.#wire.up(this.#me, frame)
    }
  }

  #enter(): void {
    this.#role = 'alone'
    this.#lobby = this.#open(`rowfeed ${this.#options.url}`, (news: News) => {
      if (this.#group && (news.is === 'out') === (news.group === this.#group)) this.#anew()
    })
    this.#stopWake = this.#env.onWake((offline) => {
      if (this.state.get().status === 'waiting' && !offline) this.start()
    })
    this.#lock(`rowfeed ${this.#me}`, {}, () => new Promise<void>((resolve) => (this.#leave = resolve))).catch(() => {})
  }

  // The bridge has said who this is.
  #proven(frame: WelcomeFrame, first: boolean): void {
    const { user, grants, expires_in_ms } = frame
    const group = grants && JSON.stringify(['rowfeed', this.#options.url, user, grants])
    const now = this.#env.now()
    this.#until = now + expires_in_ms
    this.#renew = now + Math.max(expires_in_ms - 90_000, expires_in_ms / 2)
    this.#grants = grants
    if (group !== this.#group) this.#regroup(group)
    if (this.#role === 'follow') this.#own.stop() // it was for the proof alone
    else if (first) this.#live()
  }

  #regroup(group: string | undefined): void {
    this.#out()
    this.#quit()
    this.#channel?.close()
    this.#group = group
    this.#channel = group ? this.#open(group, (message: Message) => this.#receive(message)) : undefined
    if (group && !this.#greeted) this.#lobby?.postMessage({ is: 'login', group } satisfies News)
    this.#greeted = true
  }

  // A connection of its own has begun.
  #live(): void {
    this.#wire.reset()
    this.#forget()
    this.#life++
    if (this.#role === 'lead') return this.#use()
    this.#held = []
    this.#options.onLive(this.#grants)
    if (!this.#group || this.#held.some((frame) => 'cursor' in frame || 'rewind' in frame)) return this.#use()
    this.#hold = this.#env.setTimeout(() => this.#use(), patience)
    this.#join()
  }

  // Puts this tab's own connection to use.
  #use(): void {
    this.#env.clearTimeout(this.#hold)
    const held = this.#held
    this.#held = undefined
    this.#show(this.#own.state.get())
    if (held === undefined) this.#options.onLive(this.#grants)
    else for (const frame of held) this.send(frame)
  }

  #join(): void {
    if (this.#joining || !this.#group) return
    this.#joining = true
    this.#missed = 0
    this.#contend({})
    this.#say({ is: 'hello' })
    this.#watch()
  }

  #watch(): void {
    this.#env.clearTimeout(this.#tick)
    this.#tick = this.#env.setTimeout(() => {
      this.#watch()
      this.#look()
    }, pace)
  }

  // Counts looks, not time: who was frozen has not yet heard what was said meanwhile.
  #look(): void {
    if (++this.#missed >= doubt) this.#say({ is: 'hello' })
    if (this.#missed >= despair) {
      this.#missed = 0
      this.#contend({ steal: true })
    }
    if (this.#role !== 'follow') return
    const now = this.#env.now()
    if (now >= this.#until) return this.#anew()
    if (now >= this.#renew) {
      this.#renew = now + retry
      this.#own.start()
    }
    if (this.state.get().status === 'waiting' && this.#missed === doubt) this.#say({ is: 'start' })
  }

  #contend(how: { steal?: true }): void {
    this.#ask?.abort()
    const ask = (this.#ask = new AbortController())
    this.#lock(this.#group!, how.steal ? how : { signal: ask.signal }, () => {
      if (this.#ask !== ask) return
      return new Promise<void>((resolve) => {
        this.#release = resolve
        this.#lead()
      })
    }).catch(() => {
      if (this.#ask !== ask) return
      // Another has taken it, from one that was not heard; or there are no locks here after all.
      if (this.#role !== 'alone') return this.#anew()
      this.#quit()
      if (this.#held) this.#use()
    })
  }

  async #lock(name: string, options: LockOptions, run: () => Promise<void> | undefined): Promise<void> {
    await this.#tabs.locks.request(name, options, run)
  }

  #lead(): void {
    this.#env.clearTimeout(this.#tick)
    this.#role = 'lead'
    this.#term = Math.max(this.#term + 1, this.#env.now())
    this.#n = 0
    if (this.#own.state.get().status !== 'live') this.#own.start()
    else if (this.#held) return this.#use()
    this.#show(this.#own.state.get())
  }

  #follow({ from, term, life, n, state }: Message & { is: 'lead' }): void {
    const held = this.#held ?? []
    const was = this.state.get().status
    this.#env.clearTimeout(this.#hold)
    this.#held = undefined
    this.#role = 'follow'
    this.#leader = from
    this.#term = term
    this.#life = life
    this.#n = n
    this.#own.stop()
    if (was === 'live') this.state.set({ status: 'connecting', attempt: 0 }) // what was asked on the other one is void
    this.state.set(state)
    this.#options.onLive(this.#grants)
    for (const frame of held) if (frame.type !== 'subscribe' && frame.type !== 'unsubscribe') this.send(frame)
  }

  // What other tabs of the group say.
  #receive(message: Message): void {
    if (this.#role === 'lead') return this.#serve(message)
    const { from } = message
    if (message.is === 'lead') this.#led(message)
    else if (this.#role !== 'follow' || from !== this.#leader) return
    else if (message.is === 'down') {
      this.#missed = 0
      if (message.n !== ++this.#n || this.#env.now() >= this.#until) return this.#anew()
      if (message.to === undefined || message.to === this.#me) this.#take(message.frame)
    } else if (message.is === 'bye') this.state.set({ status: 'connecting', attempt: 0 }) // the lock says who is next
  }

  #led(message: Message & { is: 'lead' }): void {
    const { from, term, life, n, state } = message
    if (!this.#joining || term < this.#term) return
    this.#missed = 0
    const live = state.status === 'live'
    if (this.#role !== 'follow') {
      if (live && !this.#wire.past) this.#follow(message)
    } else if (live && (from !== this.#leader || life !== this.#life)) this.#follow(message)
    else {
      if (from === this.#leader && n !== this.#n) return this.#anew() // something was said that was not heard
      this.#leader = from
      this.#term = term
      this.#n = n
      this.state.set(state)
    }
  }

  // What followers say to their leader.
  #serve(message: Message): void {
    const { from } = message
    if (message.is === 'lead') {
      if (message.term > this.#term) this.#anew() // it was taken from this one, that was not heard
    } else if (message.is === 'hello') this.#show(this.state.get())
    else if (message.is === 'start') this.#own.start()
    else if (message.is === 'bye') this.#part(from)
    else if (message.is === 'up' && message.to === this.#me && message.life === this.#life) {
      if (!this.#members.has(from)) this.#meet(from)
      this.#wire.up(from, message.frame)
    }
  }

  // A follower's lock is free when the follower is no more, however it ended.
  #meet(tab: string): void {
    const watch = new AbortController()
    this.#members.set(tab, watch)
    this.#lock(`rowfeed ${tab}`, { signal: watch.signal }, () => void this.#part(tab)).catch(() => {})
  }

  #part(tab: string): void {
    this.#members.get(tab)?.abort()
    if (this.#members.delete(tab)) this.#wire.gone((gone) => gone === tab)
  }

  #forget(): void {
    for (const watch of this.#members.values()) watch.abort()
    this.#members.clear()
  }

  // What this tab's own connection says.
  #heard(frame: ServerFrame): void {
    if (this.#role === 'follow') return
    this.#wire.down(frame)
    if (frame.type === 'heartbeat' && this.#role === 'alone' && !this.#held && !this.#wire.past) this.#join()
    if (frame.type === 'resync' && (frame as ResyncFrame).reason === 'grants_changed') {
      this.#out() // what was proven is no longer so
      this.#anew()
    }
  }

  #deliver(frame: ServerFrame, to?: string): void {
    if (this.#role === 'lead' && to !== this.#me) this.#say({ is: 'down', n: ++this.#n, to, frame })
    if (to === undefined || to === this.#me) this.#take(frame)
  }

  #take(frame: ServerFrame): void {
    this.#options.onFrame(frame)
    if (this.#role === 'follow' && (frame as ErrorFrame).code === 'too_many_subscriptions') this.#anew()
  }

  #changed(state: ConnectionState): void {
    if (state.status === 'idle' || state.status === 'live') return
    const { code } = 'code' in state ? state : { code: 0 }
    const refused = state.status === 'stopped' || code === CloseCode.grantsChanged
    if (this.#role === 'follow' && (!refused || code === CloseCode.connectionLimit)) return
    if (refused) {
      this.#out()
      this.#quit()
      this.#group = undefined
    } else if (this.#role === 'alone') this.#quit()
    this.#show(state)
  }

  // The state is this tab's and, where it leads, its followers'.
  #show(state: ConnectionState): void {
    const was = this.state.get()
    const same = state.status !== 'waiting' && JSON.stringify(was) === JSON.stringify(state)
    if (!same) this.state.set(state)
    if (this.#role === 'lead') this.#say({ is: 'lead', term: this.#term, life: this.#life, n: this.#n, state })
  }

  // Tells the group that each has to prove itself again.
  #out(): void {
    if (this.#group) this.#lobby?.postMessage({ is: 'out', group: this.#group } satisfies News)
  }

  // Has nothing to do with the others any more, until the next join.
  #quit(): void {
    this.#env.clearTimeout(this.#tick)
    this.#env.clearTimeout(this.#hold)
    if (this.#role === 'lead' || this.#role === 'follow') this.#say({ is: 'bye' })
    if (this.#role === 'lead') this.#wire.gone((tab) => tab !== this.#me)
    this.#role = 'alone'
    this.#joining = false
    this.#forget()
    this.#ask?.abort()
    this.#ask = undefined
    this.#release()
  }

  // Connects by itself, with a fresh proof, whatever it was.
  #anew(): void {
    this.#quit()
    this.#held = undefined
    this.#own.stop()
    this.#show({ status: 'connecting', attempt: 0 })
    this.#own.start()
  }

  #say(message: Message extends infer M ? (M extends { from: string } ? Omit<M, 'from'> : never) : never): void {
    this.#channel?.postMessage({ ...message, from: this.#me } as Message)
  }

  #open<T>(name: string, receive: (message: T) => void): Channel {
    const channel = new this.#tabs.BroadcastChannel(name)
    channel.onmessage = ({ data }: { data: T }) => receive(data)
    return channel
  }
}
