// The live part: one socket that speaks rowfeed.v1 and comes back by itself.

import { now } from './dom.js';

const SILENCE = 35_000; // the server's heartbeat comes every 25 s
const LONGEST = 20_000;
const REMEMBERED = 50_000; // ids of events
const FINAL = new Set([1003, 1007, 1009]);

// Feed keeps one user subscribed to channels. It dispatches "state" (detail: {state, reason}), "frame" (detail: {text,
// frame, sent}: of either direction), "event" (detail: {frame, missed}: missed was made while there was no
// connection), "again" (detail: an event frame that came before), "stale" (detail: {reason}: what the page shows may be
// old, fetch it afresh).
export class Feed extends EventTarget {
  #url; #channels; #token;
  #socket = null; #timer = 0; #watch = 0; #attempt = 0;
  #waiting = new Set(); #fresh = false; #seen = new Set(); #ended = false;
  #cursors = new Map(); // by channel: where to go on
  #back = 0; // when this connection took the place of another; 0: it is the first
  #lived = false;
  #regranted = false; // the last connection ended because grants had changed
  state = 'connecting';

  // token is an async function that gives a fresh token.
  constructor({ url, channels, token }) {
    super();
    this.#url = url;
    this.#channels = channels;
    this.#token = token;
    addEventListener('online', this.#wake);
    document.addEventListener('visibilitychange', this.#wake);
  }

  // open connects, also again after the state "stopped".
  open() {
    this.#attempt = 0;
    this.#connect();
  }

  // cut closes the socket, and stays away until open.
  cut() {
    clearTimeout(this.#timer);
    this.#drop(1000);
    this.#say('offline');
  }

  // close ends the feed for good.
  close() {
    this.#ended = true;
    removeEventListener('online', this.#wake);
    document.removeEventListener('visibilitychange', this.#wake);
    clearTimeout(this.#timer);
    this.#drop(1000);
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#drop(1000);
    if (this.#ended) return;
    this.#say(this.#attempt ? 'reconnecting' : 'connecting');
    let token;
    try {
      token = await this.#token();
    } catch {
      return this.#later();
    }
    if (this.#ended) return;
    const socket = this.#socket = new WebSocket(this.#url, ['rowfeed.v1', `bearer.${token}`]);
    socket.onmessage = (message) => socket === this.#socket && this.#receive(message.data);
    socket.onclose = (close) => socket === this.#socket && this.#closed(close);
    this.#listen();
  }

  // #listen takes a peer that says nothing for too long as gone: a half-open socket reports no error.
  #listen() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#closed({ code: 4002, reason: '' }), SILENCE);
  }

  #receive(text) {
    this.#listen();
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    this.#emit('frame', { text, frame });
    switch (frame.type) {
      case 'welcome': return this.#subscribe();
      case 'subscribed': return this.#subscribed(frame);
      case 'heartbeat': return Object.entries(frame.cursors).forEach(([name, at]) => this.#cursors.set(name, at));
      case 'auth_expiring': return this.#renew();
      case 'resync': return this.#emit('stale', frame);
      case 'error': return frame.ref && this.#stop(`${frame.ref}: ${frame.message}`);
      default: if (frame.id && frame.channel) this.#event(frame);
    }
  }

  // #subscribe asks for what was missed, where a cursor says from where on.
  #subscribe() {
    if (this.state === 'live') return; // the answer to a renewed token
    this.#back = this.#lived ? now() : 0;
    this.#fresh = false;
    this.#waiting = new Set(this.#channels);
    for (const channel of this.#channels) {
      const frame = { type: 'subscribe', ref: channel, channel };
      if (this.#cursors.has(channel)) frame.cursor = this.#cursors.get(channel);
      this.#send(frame);
      this.#emit('frame', { text: JSON.stringify(frame), frame, sent: true });
    }
  }

  // #subscribed: only when every channel is live does a fetch afresh miss nothing. Where all of them go on from a
  // cursor there is nothing to fetch.
  #subscribed({ ref, resumed }) {
    this.#waiting.delete(ref);
    if (!resumed) this.#fresh = true;
    if (this.#waiting.size) return;
    this.#attempt = 0;
    this.#lived = true;
    this.#say('live');
    const reason = this.#regranted ? 'grants_changed' : this.#back ? 'reconnected' : 'connected';
    this.#regranted = false;
    if (this.#fresh) this.#emit('stale', { reason });
  }

  async #renew() {
    const socket = this.#socket;
    try {
      const token = await this.#token();
      if (socket === this.#socket) this.#send({ type: 'auth', token });
    } catch {
      // the socket ends with auth_expired and the page reconnects
    }
  }

  // #event hands each event on once: after a reconnect the server sends some again.
  #event(frame) {
    if (frame.cursor) this.#cursors.set(frame.channel, frame.cursor);
    if (this.#seen.has(frame.id)) return this.#emit('again', frame);
    this.#seen.add(frame.id);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value);
    this.#emit('event', { frame, missed: Date.parse(frame.at) < this.#back });
  }

  #closed({ code, reason }) {
    this.#drop(code === 4002 ? 4002 : 1000);
    if (this.#ended) return;
    if (code === 4003) { // what was missed is not to be told by the old grants
      this.#cursors.clear();
      this.#regranted = true;
    }
    if ((code >= 4500 && code < 5000) || FINAL.has(code)) return this.#stop(reason || `code ${code}`);
    this.#later(code === 4000 ? Number.parseInt(reason, 10) : NaN);
  }

  // #later reconnects after a random part of a growing wait, so that many pages don't come back in one instant.
  #later(wait) {
    const limit = Math.min(LONGEST, 500 * 2 ** this.#attempt++);
    this.#say('reconnecting');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), Number.isFinite(wait) ? wait : 250 + Math.random() * limit);
  }

  // #wake: a page that is looked at again, or has a network again, does not wait for its turn.
  #wake = () => {
    if (this.state === 'reconnecting' && !document.hidden && !this.#socket) this.#connect();
  };

  #stop(reason) {
    this.#drop(1000);
    this.#say('stopped', reason);
  }

  #drop(code) {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    if (socket && socket.readyState < WebSocket.CLOSING) socket.close(code);
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #say(state, reason = '') {
    this.state = state;
    this.#emit('state', { state, reason });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
