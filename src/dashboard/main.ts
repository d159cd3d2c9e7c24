/** Puts the page together: panels, one animation loop, keys, and the question for a token. */

import { reason } from './actions.js';
import { Adaptation } from './adaptation.js';
import { TaskBars } from './bars.js';
import { Checkpoints } from './checkpoints.js';
import { Devices } from './devices.js';
import { h, setText } from './dom.js';
import { EventProbability } from './events.js';
import { Feed } from './feed.js';
import { Hypnogram } from './hypnogram.js';
import { LatencyHistogram } from './latency.js';
import { EventLog } from './log.js';
import { RoutingMap } from './routing.js';
import { Top } from './top.js';
import { Traces } from './traces.js';

const feed = new Feed((state) => top.connection(state));
const top = new Top(feed);
const traces = new Traces();
const main = h(
  'main',
  {},
  feed.add(traces),
  feed.add(new TaskBars()),
  feed.add(new Hypnogram(feed)),
  feed.add(new EventProbability(feed)),
  feed.add(new RoutingMap()),
  feed.add(new LatencyHistogram()),
  feed.add(new EventLog(feed)),
  feed.add(new Checkpoints(feed)),
  feed.add(new Devices(feed)),
  feed.add(new Adaptation(feed)),
);
document.body.append(feed.add(top), main);

const keys: Readonly<Record<string, () => void>> = {
  ' ': () => traces.togglePause(),
  ArrowUp: () => traces.stepScale(-1),
  ArrowDown: () => traces.stepScale(1),
  ArrowLeft: () => traces.stepSpan(-1),
  ArrowRight: () => traces.stepSpan(1),
};
document.addEventListener('keydown', (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target !== document.body) return;
  const action = keys[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => feed.theme());

function frame(nowMs: number): void {
  feed.frame(nowMs);
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);

function open(): void {
  feed.open().catch((error: unknown) => {
    if (reason(error).includes('token')) askToken(reason(error));
    else setTimeout(open, 2_000);
  });
}

function askToken(why: string): void {
  const input = h('input', { type: 'password', required: true, autocomplete: 'current-password' });
  const text = h('p', {});
  setText(text, why);
  const dialog = h(
    'dialog',
    { class: 'token', 'aria-label': 'Token' },
    h(
      'form',
      { method: 'dialog' },
      text,
      h('label', {}, 'Token', input),
      h('button', { type: 'submit' }, 'Connect'),
    ),
  );
  dialog.addEventListener('close', () => {
    dialog.remove();
    feed.remember(input.value);
    open();
  });
  document.body.append(dialog);
  dialog.showModal();
}

open();
