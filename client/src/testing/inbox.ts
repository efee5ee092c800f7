import type { NotificationItem } from '../frames.js'
import type { Request, Session } from './session.js'

/** Kept notifications: each user's own, the newest first. */
export class Inboxes {
  readonly #items = new Map<string, NotificationItem[]>()
  readonly #of: (user: string) => Session[]

  constructor(of: (user: string) => Session[]) {
    this.#of = of
  }

  items(user: string): readonly NotificationItem[] {
    return this.#items.get(user) ?? []
  }

  add(user: string, item: NotificationItem): void {
    this.#items.set(user, [item, ...this.items(user)])
  }

  handle(session: Session, frame: Request): boolean {
    const { user } = session.who!
    const { ref } = frame
    if (frame.type === 'notifications.list') {
      const { before, limit = 50 } = frame
      const all = this.items(user)
      const from = before === undefined ? 0 : all.findIndex(({ id }) => id === before) + 1
      session.say({ type: 'notifications', ...(ref !== undefined && { ref }), items: all.slice(from, from + limit),
        unread: this.#unread(user) })
    } else if (frame.type === 'notifications.read') {
      const now = new Date().toISOString()
      const meant = ({ id }: NotificationItem): boolean => !('ids' in frame) || frame.ids.includes(id)
      const read = (item: NotificationItem): NotificationItem => ({ ...item, read_at: item.read_at ?? now })
      this.#items.set(user, this.items(user).map((item) => (meant(item) ? read(item) : item)))
      for (const one of this.#of(user)) one.say({ type: 'notification_count', unread: this.#unread(user) })
    } else return false
    return true
  }

  #unread(user: string): number {
    return this.items(user).filter(({ read_at }) => read_at === null).length
  }
}
