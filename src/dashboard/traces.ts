/**
 * Live traces of all channels. The picture moves by whole device pixels: each frame shifts what is
 * drawn and adds the new strip, so that 32 channels cost little more than one. Where several
 * samples fall on a pixel, its smallest and largest are drawn.
 */
import type { Snapshot } from '../client/client.js';
import { modelRateHz } from '../core/tasks.js';
import { button, cssColor, h, panel, setText } from './dom.js';
import type { PageEvent, Panel } from './feed.js';
import { SignalRing } from './ring.js';

const spansS = [2, 5, 10, 20];
const scalesUv = [5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/** The right edge lags the newest sample by this, so that blocks arriving unevenly move evenly. */
const delayS = 0.12;
const ringS = 25;

export class Traces implements Panel {
  readonly element: HTMLElement;
  readonly #canvas = h('canvas', { role: 'img', 'aria-label': 'Live EEG traces' });
  readonly #context: CanvasRenderingContext2D;
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
  #paused = false;
  /** Sample index at the right edge, fractional; and index minus seconds of `performance.now`. */
  #offset: number | undefined;
  #edge = 0;
  #stale = true;
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
    const context = this.#canvas.getContext('2d', { alpha: false });
    if (context === null) throw new Error('this browser has no canvas');
    this.#context = context;
    body.append(this.#labels, h('div', { class: 'plot' }, this.#canvas, this.#empty));
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
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
    this.#stale = true;
  }

  onFrame(nowMs: number): void {
    const ring = this.#ring;
    if (ring === undefined || this.#offset === undefined || this.#paused) return;
    if (this.#scaleUv === undefined && nowMs - this.#scaledMs > 500) this.#autoScale(ring, nowMs);
    const perPx = (this.#spanS * modelRateHz) / this.#canvas.width;
    const target = this.#offset + (nowMs / 1000) * modelRateHz;
    const shift = Math.floor((Math.min(target, ring.end) - this.#edge) / perPx);
    if (this.#stale || shift < 0 || shift >= this.#canvas.width) {
      this.#edge = Math.min(target, ring.end);
      this.#stale = false;
      this.#draw(ring, 0, perPx);
    } else if (shift > 0) {
      this.#edge += shift * perPx;
      this.#context.drawImage(this.#canvas, -shift, 0);
      this.#draw(ring, this.#canvas.width - shift, perPx);
    }
  }

  togglePause(): void {
    this.#paused = !this.#paused;
    this.#stale = true;
    this.#pause.setAttribute('aria-pressed', String(this.#paused));
    setText(this.#pause, this.#paused ? 'Resume' : 'Pause');
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
    this.#stale = true;
  }

  #reset(names: readonly string[]): void {
    if (names.join() === this.#names.join() && this.#ring?.channels === names.length) return;
    this.#names = names;
    this.#ring = names.length > 0 ? new SignalRing(names.length, ringS) : undefined;
    this.#offset = undefined;
    this.#stale = true;
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
    this.#resize();
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
      this.#stale = true;
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
    this.#stale = true;
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = window.devicePixelRatio;
    this.#canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.#canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    this.#stale = true;
  }

  /** Draw the strip from `fromPx` to the right edge. */
  #draw(ring: SignalRing, fromPx: number, perPx: number): void {
    const { width, height } = this.#canvas;
    const context = this.#context;
    const ratio = window.devicePixelRatio;
    const rowPx = height / ring.channels;
    context.save();
    context.beginPath();
    context.rect(fromPx, 0, width - fromPx, height);
    context.clip();
    context.fillStyle = this.#colors.panel;
    context.fillRect(fromPx, 0, width - fromPx, height);
    this.#grid(fromPx, perPx);
    context.lineWidth = Math.max(1, ratio * 0.9);
    context.lineJoin = 'round';
    for (let c = 0; c < ring.channels; c++) {
      const row = this.#labels.children[c];
      const state = row instanceof HTMLElement ? row.dataset.state : undefined;
      context.strokeStyle =
        state === 'good' || state === 'unknown' ? this.#colors.good : this.#colors.bad;
      context.beginPath();
      this.#trace(
        ring,
        c,
        Math.max(0, fromPx - 3),
        perPx,
        (c + 0.5) * rowPx,
        rowPx / this.#shownUv,
      );
      context.stroke();
    }
    context.restore();
  }

  /** A thin line every second. */
  #grid(fromPx: number, perPx: number): void {
    const { width, height } = this.#canvas;
    const start = this.#edge - width * perPx;
    this.#context.fillStyle = this.#colors.grid;
    const first = Math.ceil((start + fromPx * perPx - perPx) / modelRateHz);
    for (let s = first; s * modelRateHz <= this.#edge; s++)
      this.#context.fillRect(Math.round((s * modelRateHz - start) / perPx), 0, 1, height);
  }

  #trace(
    ring: SignalRing,
    channel: number,
    fromPx: number,
    perPx: number,
    midPx: number,
    pxPerUv: number,
  ): void {
    const context = this.#context;
    const start = this.#edge - this.#canvas.width * perPx;
    let pen = false;
    const point = (x: number, uv: number) => {
      const y = midPx - uv * pxPerUv;
      if (pen) context.lineTo(x, y);
      else context.moveTo(x, y);
      pen = true;
    };
    if (perPx <= 2) {
      const from = Math.floor(start + fromPx * perPx);
      for (let i = from; i <= this.#edge + 1; i++) {
        const uv = ring.value(channel, i);
        if (Number.isNaN(uv)) pen = false;
        else point((i - start) / perPx, uv);
      }
      return;
    }
    for (let x = fromPx; x < this.#canvas.width; x++) {
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (let i = Math.floor(start + x * perPx); i < start + (x + 1) * perPx; i++) {
        const uv = ring.value(channel, i);
        if (uv < low) low = uv;
        if (uv > high) high = uv;
      }
      if (low > high) pen = false;
      else {
        point(x, low);
        point(x, high);
      }
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
