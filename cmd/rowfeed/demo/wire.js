// The wire panel: the frames that this user's socket received and what it asked for, and how many changes were
// committed meanwhile.

import { $, count, h, time, whyButton } from './dom.js';

const KEPT = 40;

export class Wire {
  #base = null; #committed = 0; #sent = 0; #why;

  // why(change) explains what became of a change.
  constructor({ why }) {
    this.#why = why;
    const fold = $('wire-fold');
    const open = (yes) => {
      fold.setAttribute('aria-expanded', String(yes));
      $('wire-body').hidden = !yes;
    };
    fold.addEventListener('click', () => open($('wire-body').hidden));
    open(matchMedia('(min-width: 641px)').matches);
  }

  // show starts afresh for a user.
  show(user) {
    this.#base = null;
    this.#committed = this.#sent = 0;
    $('wire-frames').replaceChildren();
    $('wire-sent-label').textContent = `Events sent to ${user.first}`;
    $('wire-hint').textContent = `Counted since you look on as ${user.first}. Other people’s rows are not filtered `
      + 'here: they never leave the server.';
    this.#draw();
  }

  // committed takes the number of row changes that the database has committed since the demo began.
  committed(total) {
    this.#base ??= total;
    this.#committed = total - this.#base;
    this.#draw();
  }

  frame({ text, frame, sent }) {
    if (frame.id && frame.channel) this.#sent++;
    const list = $('wire-frames');
    list.prepend(this.#line(text, frame, sent));
    for (const old of [...list.children].slice(KEPT)) if (!old.firstChild.open) old.remove();
    this.#draw();
  }

  #line(text, frame, sent) {
    const about = frame.resource ? `${frame.resource}/${frame.resource_id ?? ''}` : frame.channel ?? frame.ref ?? '';
    const up = [h('span', { 'aria-hidden': 'true' }, '↑ '), h('span.sr', {}, 'Sent: ')];
    const place = frame.resumed ? 'resumed' : sent && frame.cursor ? 'from cursor' : null;
    const type = h('span.type', {}, sent && h('span.sent', {}, up), frame.type ?? '', ' ', h('i', {}, about),
      place && h('em', {}, place));
    const bytes = `${count(new TextEncoder().encode(text).length)} bytes`;
    const summary = h('summary', { title: `${about}, ${bytes}` }, type, h('span.when', {}, time(new Date())));
    const details = h('details', {}, summary);
    details.addEventListener('toggle', () => {
      if (!details.open || details.childElementCount > 1) return;
      if (frame.txid) details.append(whyButton(() => this.#why(frame)));
      details.append(h('pre', {}, ...colour(frame)));
    });
    return h('li', {}, details);
  }

  #draw() {
    const committed = Math.max(this.#committed, 0);
    $('wire-committed').textContent = count(committed);
    $('wire-sent').textContent = count(this.#sent);
    const share = committed ? Math.min(1, this.#sent / committed) : 0;
    $('wire-ratio').style.transform = `scaleX(${share})`;
  }
}

const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)|[^"\d\w-]+|./gs;

// colour prints a frame as JSON whose keys, strings and numbers are text nodes in spans.
function colour(frame) {
  const parts = [];
  for (const [whole, string, colon, scalar] of JSON.stringify(frame, null, 2).matchAll(TOKENS)) {
    if (string) parts.push(h(colon ? 'span.key' : 'span.string', {}, string), colon ?? '');
    else if (scalar) parts.push(h('span.number', {}, scalar));
    else parts.push(whole);
  }
  return parts;
}
