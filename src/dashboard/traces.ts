/**
 * Live traces of all channels. The picture moves by whole device pixels: each frame draws what is
 * new, so that 32 channels cost little more than one. Where several samples fall on a pixel, its
 * smallest and largest are drawn.
 */
import type { Snapshot } from '../client/client.js';
import { modelRateHz } from '../core/tasks.js';
import { button, cssColor, h, panel, setText } from './dom.js';
import type { PageEvent, Panel } from './feed.js';
import { SignalRing } from './ring.js';
import { type Draw, Strips } from './strips.js';

const spansS = [2, 5, 10, 20];
const scalesUv = [5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/** The right edge lags the newest sample by this, so that blocks arriving unevenly move evenly. */
const delayS = 0.12;
const ringS = 25;

export class Traces implements Panel {
  readonly element: HTMLElement;
  readonly #strips = new Strips('Live EEG traces');
  readonly #labels = h('ol', { class: 'labels' });
  readonly #span = h('output');
  readonly #scale = h('output');
  readonly #empty = h('p', { class: 'empty' }, 'Waiting for signal');
  readonly #pause: HTMLButtonElement;
  #ring: SignalRing | undefined;
  #names: readonly string[] = [];
  #spanS = 10;
  #scaleUv: number | undefined;
  #shownUv = 50;
  #scaledMs = 0;
  /** While paused: what was there then, which can still be scaled and resized. */
  #held: { readonly ring: SignalRing; readonly index: number } | undefined;
  /** Index minus seconds of `performance.now`, in samples. */
  #offset: number | undefined;
  #colors = readColors();

  constructor() {
    this.#pause = button('Pause', () => this.togglePause(), { 'aria-pressed': 'false' });
    const { element, body } = panel(
      'traces',
      'Signal',
      h(
        'span',
        { class: 'stepper' },
        button('−', () => this.stepScale(1), { 'aria-label': 'Smaller traces' }),
        this.#scale,
        button('+', () => this.stepScale(-1), { 'aria-label': 'Larger traces' }),
      ),
      h(
        'span',
        { class: 'stepper' },
        button('−', () => this.stepSpan(-1), { 'aria-label': 'Shorter span' }),
        this.#span,
        button('+', () => this.stepSpan(1), { 'aria-label': 'Longer span' }),
      ),
      this.#pause,
    );
    this.element = element;
    body.append(this.#labels, h('div', { class: 'plot' }, this.#strips.element, this.#empty));
  }

  onSnapshot({ streams, latest }: Snapshot, stream: string | undefined): void {
    const names = streams.find((each) => each.stream === stream)?.channels ?? [];
    this.#reset(names);
    const quality = latest.find((each) => each.kind === 'quality' && each.stream === stream);
    if (quality?.kind === 'quality') this.#showQuality(quality.channels);
  }

  onEvent(event: PageEvent): void {
    if (event.kind === 'quality') this.#showQuality(event.channels);
    if (event.kind !== 'signal') return;
    if (this.#ring?.channels !== event.channels) {
      const names = Array.from({ length: event.channels }, (_, i) => this.#names[i] ?? `${i + 1}`);
      this.#reset(names.slice(0, event.channels));
      this.#ring = new SignalRing(event.channels, ringS);
    }
    const first = this.#ring.end === 0;
    this.#ring.push(event.index, event.samples, event.data);
    this.#follow(first);
  }

  onTheme(): void {
    this.#colors = readColors();
    this.#strips.invalidate();
  }

  onFrame(nowMs: number): void {
    const ring = this.#held?.ring ?? this.#ring;
    const index = this.#held?.index ?? this.#now(nowMs);
    if (ring === undefined || index === undefined) return;
    if (this.#scaleUv === undefined && nowMs - this.#scaledMs > 500) this.#autoScale(ring, nowMs);
    const perPx = (this.#spanS * modelRateHz) / this.#strips.widthPx;
    this.#strips.move(Math.floor(index / perPx), this.#draw(ring, perPx));
  }

  togglePause(): void {
    const ring = this.#held === undefined ? this.#ring?.copy() : undefined;
    const index = this.#now(performance.now());
    this.#held = ring === undefined || index === undefined ? undefined : { ring, index };
    this.#strips.invalidate();
    const isHeld = this.#held !== undefined;
    this.#pause.setAttribute('aria-pressed', String(isHeld));
    setText(this.#pause, isHeld ? 'Resume' : 'Pause');
  }

  /** The index at the right edge; undefined without signal. */
  #now(nowMs: number): number | undefined {
    if (this.#ring === undefined || this.#offset === undefined) return undefined;
    return Math.min(this.#offset + (nowMs / 1000) * modelRateHz, this.#ring.end);
  }

  stepScale(by: number): void {
    const at = scalesUv.findIndex((uv) => uv >= this.#shownUv);
    this.#scaleUv = scalesUv[Math.max(0, Math.min(scalesUv.length - 1, at + by))];
    this.#setScale(this.#scaleUv ?? 50);
  }

  stepSpan(by: number): void {
    const at = spansS.indexOf(this.#spanS) + by;
    this.#spanS = spansS[Math.max(0, Math.min(spansS.length - 1, at))] ?? 10;
    setText(this.#span, `${this.#spanS} s`);
    this.#strips.invalidate();
  }

  #reset(names: readonly string[]): void {
    if (names.join() === this.#names.join() && this.#ring?.channels === names.length) return;
    this.#names = names;
    this.#ring = names.length > 0 ? new SignalRing(names.length, ringS) : undefined;
    this.#offset = undefined;
    if (this.#held !== undefined) this.togglePause();
    this.#strips.invalidate();
    this.#empty.hidden = false;
    this.#labels.replaceChildren(
      ...names.map((name) =>
        h(
          'li',
          { 'data-state': 'unknown' },
          h('span', { class: 'name' }, name.replace(/\.+$/, '')),
          h('i', {}),
        ),
      ),
    );
    this.element.style.setProperty('--rows', String(Math.max(1, names.length)));
    this.stepSpan(0);
    this.#setScale(this.#shownUv);
  }

  #showQuality(channels: readonly { state: string; rmsUv: number | null }[]): void {
    for (const [i, { state, rmsUv }] of channels.entries()) {
      const row = this.#labels.children[i];
      if (!(row instanceof HTMLElement)) continue;
      row.dataset.state = state;
      const rms = rmsUv === null ? '' : `, ${rmsUv.toFixed(1)} µV rms`;
      row.title = `${this.#names[i] ?? ''}: ${state}${rms}`;
      const mark = row.lastElementChild;
      if (mark !== null) setText(mark, state === 'good' ? '' : state);
    }
  }

  /** Let the edge glide to where the newest sample says it should be. */
  #follow(first: boolean): void {
    const ring = this.#ring;
    if (ring === undefined) return;
    const aim = ring.end - (performance.now() / 1000 + delayS) * modelRateHz;
    const far = this.#offset === undefined || Math.abs(aim - this.#offset) > modelRateHz;
    if (first || far) {
      this.#offset = aim;
      this.#strips.invalidate();
      this.#empty.hidden = true;
    } else {
      this.#offset = (this.#offset ?? aim) + 0.02 * (aim - (this.#offset ?? aim));
    }
  }

  /** Rows hold 2.5 times the typical size; up at once, down only when far too large. */
  #autoScale(ring: SignalRing, nowMs: number): void {
    this.#scaledMs = nowMs;
    const wanted = 2.5 * ring.typicalUv(4);
    const fit = scalesUv.find((uv) => uv >= wanted) ?? 2000;
    if (wanted > 0 && (fit > this.#shownUv || fit * 2 < this.#shownUv)) this.#setScale(fit);
  }

  #setScale(uv: number): void {
    this.#shownUv = uv;
    setText(this.#scale, `${uv} µV`);
    this.#strips.invalidate();
  }

  /** Good channels in one stroke and bad ones in another: a stroke costs more than its points. */
  #draw(ring: SignalRing, perPx: number): Draw {
    return (context, { fromPx, toPx, zeroPx }) => {
      const { heightPx } = this.#strips;
      context.fillStyle = this.#colors.panel;
      context.fillRect(fromPx - zeroPx, 0, toPx - fromPx, heightPx);
      context.fillStyle = this.#colors.grid;
      for (let s = Math.ceil(((fromPx - 1) * perPx) / modelRateHz); ; s++) {
        const x = Math.round((s * modelRateHz) / perPx);
        if (x >= toPx) break;
        context.fillRect(x - zeroPx, 0, 1, heightPx);
      }
      context.lineWidth = Math.max(1, window.devicePixelRatio * 0.9);
      context.lineJoin = 'round';
      const bad = this.#bad(ring.channels);
      for (const isBad of [true, false]) {
        context.strokeStyle = isBad ? this.#colors.bad : this.#colors.good;
        context.beginPath();
        for (let c = 0; c < ring.channels; c++) {
          if (bad[c] !== isBad) continue;
          const rowPx = heightPx / ring.channels;
          const middle = { x: -zeroPx, y: (c + 0.5) * rowPx };
          const view = { perPx, pxPerUv: rowPx / this.#shownUv, middle };
          trace(context, ring, c, { from: fromPx - 3, to: toPx + 1, ...view });
        }
        context.stroke();
      }
    };
  }

  #bad(channels: number): boolean[] {
    return Array.from({ length: channels }, (_, c) => {
      const row = this.#labels.children[c];
      const state = row instanceof HTMLElement ? row.dataset.state : undefined;
      return state !== 'good' && state !== 'unknown';
    });
  }
}

interface TraceView {
  /** Pixels of the picture. */
  readonly from: number;
  readonly to: number;
  readonly perPx: number;
  readonly pxPerUv: number;
  /** Of the context: the picture's origin, and the middle of the channel's row. */
  readonly middle: { readonly x: number; readonly y: number };
}

/** Adds one channel to the path; a gap lifts the pen. */
function trace(
  path: CanvasRenderingContext2D,
  ring: SignalRing,
  channel: number,
  { from, to, perPx, pxPerUv, middle }: TraceView,
): void {
  let isDown = false;
  const point = (px: number, uv: number) => {
    if (isDown) path.lineTo(px + middle.x, middle.y - uv * pxPerUv);
    else path.moveTo(px + middle.x, middle.y - uv * pxPerUv);
    isDown = true;
  };
  if (perPx <= 2) {
    for (let i = Math.floor(from * perPx); i <= to * perPx; i++) {
      const uv = ring.value(channel, i);
      if (Number.isNaN(uv)) isDown = false;
      else point(i / perPx, uv);
    }
    return;
  }
  for (let px = from; px < to; px++) {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = Math.floor(px * perPx); i < (px + 1) * perPx; i++) {
      const uv = ring.value(channel, i);
      if (uv < low) low = uv;
      if (uv > high) high = uv;
    }
    if (low > high) isDown = false;
    else {
      point(px, low);
      point(px, high);
    }
  }
}

function readColors() {
  return {
    panel: cssColor('--panel'),
    grid: cssColor('--grid'),
    good: cssColor('--trace'),
    bad: cssColor('--trace-bad'),
  };
}
