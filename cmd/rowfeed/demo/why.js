// The dialog that tells of a change why each of the three people was sent it or not, gate by gate.

import { $, h, icon } from './dom.js';

const GATES = [['captured', 'Captured'], ['rule', 'Rule matched'], ['condition', 'Condition'], ['audience', 'Audience'],
  ['move', 'Moved'], ['grants', 'Grants held'], ['subscribed', 'Subscribed'], ['queued', 'Queued'],
  ['written', 'Written']];
const LOOKS = { yes: ['yes', 'check', 'Yes'], no: ['no', 'cross', 'No'],
  'not known': ['unknown', 'question', 'Not known'] };
const SENT = { yes: ['good', 'Sent'], no: ['', 'Not sent'], 'not known': ['pending', 'Not known'] };

export class Why {
  #ask; #turn = 0; #dialog = $('why');

  // ask(change) gives the reasons; it is async.
  constructor({ ask }) {
    this.#ask = ask;
    $('why-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('click', ({ target }) => target === this.#dialog && this.#dialog.close());
  }

  // open explains a change, by its row and transaction, as an event has them.
  async open({ resource, resource_id: id, txid }, users) {
    const turn = ++this.#turn;
    $('why-about').textContent = `What became of the change of ${resource}/${id} on its way to each of the three.`;
    $('why-said').textContent = 'Asking the bridge';
    this.#draw(users.map((user) => person(user)));
    this.#dialog.showModal();
    const list = await this.#ask({ resource, key: String(id), txid });
    if (turn !== this.#turn) return;
    const error = list ? list.error : 'The demo server does not answer: is it still running?';
    if (error) this.#draw([h('p.wrong', { role: 'alert' }, `Not explained: ${error}.`)]);
    else this.#draw(list.map((one) => person(users.find(({ id: who }) => who === one.user), one)));
    $('why-said').textContent = error ? '' : list.map((one) => said(users, one)).join(', ');
  }

  #draw(children) { $('why-people').replaceChildren(...children); }
}

const said = (users, { user, sent }) => `${users.find(({ id }) => id === user).name}: ${SENT[sent][1]}`;

// person is a column; without reasons it is that of somebody who is still being asked about.
function person(user, why) {
  const [look, word] = why ? SENT[why.sent] : ['', 'Asking'];
  const asked = GATES.filter(([name]) => name !== 'move' || why?.gates.some(({ gate: one }) => one === 'move'));
  return h('section.person', { 'aria-label': user.name },
    h('h3', {}, h(`span.avatar.${user.role}`, { 'aria-hidden': 'true' }, user.initials),
      h('span', {}, h('b', {}, user.name), h('small', {}, user.title)), h(`span.badge${look && '.' + look}`, {}, word)),
    h('ol.gates', { role: 'list' }, asked.map(([name, label]) => gate(label,
      why?.gates.find((one) => one.gate === name)))));
}

function gate(label, said) {
  if (!said) return h('li.after', {}, icon('check'), h('b', {}, label));
  const [look, mark, word] = LOOKS[said.verdict];
  return h(`li.${look}`, {}, icon(mark), h('b', {}, label, h('span.sr', {}, `: ${word}.`)), h('p', {}, said.text));
}
