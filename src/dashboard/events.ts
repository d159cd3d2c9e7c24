/** The probability of what begins and ends (a seizure) in the last minutes, events shaded. */
import type uPlot from 'uplot';
import type { HistoryPoint, Snapshot } from '../client/client.js';
import { axis, Chart } from './charts.js';
import { clockText, cssColor, h, humanName, panel, setText } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';
import { type Task, viewOf } from './tasks.js';

const spanS = 300;

interface Span {
  readonly id: number;
  readonly beginS: number;
  endS: number | undefined;
}

export class EventProbability implements Panel {
  readonly element: HTMLElement;
  readonly #feed: Feed;
  readonly #box = h('div', { class: 'chart', role: 'img', 'aria-label': 'Event probability' });
  readonly #state = h('strong', { class: 'state', role: 'status' });
  readonly #title: HTMLElement;
  #task: Task | undefined;
  #times: number[] = [];
  #shares: (number | null)[] = [];
  #spans: Span[] = [];
  #chart: Chart | undefined;
  #dirty = false;

  constructor(feed: Feed) {
    this.#feed = feed;
    const { element, body } = panel('event', 'Seizure', this.#state);
    this.element = element;
    this.#title = element.querySelector('h2') ?? element;
    body.append(this.#box);
  }

  onSnapshot({ tasks }: Snapshot, stream: string | undefined): void {
    this.#task = tasks.find((task) => viewOf(task) === 'events');
    this.element.hidden = this.#task === undefined;
    this.#times = [];
    this.#shares = [];
    this.#spans = [];
    if (this.#task === undefined) return;
    setText(this.#title, `${humanName(this.#task.name)} probability`);
    this.#build();
    this.#dirty = true;
    if (stream === undefined) return;
    this.#feed.call('history', { stream, task: this.#task.name, limit: spanS }).then(
      ({ classes, points, events }) => {
        if (this.#feed.stream !== stream) return;
        this.#load(points, classes.indexOf(this.#task?.event?.label ?? ''));
        for (const event of events) this.onEvent(event);
      },
      () => {},
    );
  }

  onEvent(event: PageEvent): void {
    const label = this.#task?.event?.label;
    if (!('task' in event) || event.task !== this.#task?.name || label === undefined) return;
    if (event.kind === 'event') {
      if (event.phase === 'begin') this.#begin(event.id, event.stampS);
      else this.#end(event.id, event.stampS);
    } else if (event.kind === 'prediction' || event.kind === 'no_prediction') {
      this.#times.push(event.windowEndS);
      this.#shares.push(event.kind === 'prediction' ? (event.smoothed[label] ?? 0) : null);
      if (this.#times.length > 2 * spanS) {
        this.#times.splice(0, spanS);
        this.#shares.splice(0, spanS);
      }
    }
    this.#dirty = true;
  }

  onFrame(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#chart?.plot.setData([this.#times, this.#shares]);
    const open = this.#spans.some(({ endS }) => endS === undefined);
    this.element.classList.toggle('alarm', open);
    const count = this.#spans.length;
    const label = humanName(this.#task?.event?.label ?? '');
    const text = open ? `${label} now` : count === 0 ? 'none so far' : `${count} so far`;
    setText(this.#state, text);
  }

  onTheme(): void {
    this.#chart?.redraw();
  }

  #begin(id: number, beginS: number): void {
    if (this.#spans.every((span) => span.id !== id))
      this.#spans.push({ id, beginS, endS: undefined });
  }

  #end(id: number, endS: number): void {
    const span = this.#spans.find((each) => each.id === id);
    if (span !== undefined) span.endS = endS;
  }

  #load(points: readonly HistoryPoint[], column: number): void {
    const firstS = this.#times[0] ?? Number.POSITIVE_INFINITY;
    const earlier = points.filter(([endS]) => endS < firstS);
    this.#times = [...earlier.map(([endS]) => endS), ...this.#times];
    const shares = earlier.map(([, label, shares]) =>
      label === null ? null : (shares[column] ?? 0),
    );
    this.#shares = [...shares, ...this.#shares];
    this.#dirty = true;
  }

  #build(): void {
    const nowS = () => this.#times.at(-1) ?? 0;
    this.#chart = new Chart(
      this.#box,
      {
        scales: {
          x: { time: false, range: () => [nowS() - spanS, nowS()] },
          y: { range: [0, 1] },
        },
        axes: [
          axis({
            values: (_, ticks) =>
              ticks.map((at) => (at > nowS() - 1 ? 'now' : `−${clockText(nowS() - at)}`)),
            size: 24,
            splits: () => [4, 3, 2, 1, 0].map((minutes) => nowS() - 60 * minutes),
          }),
          axis({ size: 40, splits: [0, 0.5, 1], values: () => ['0', '50 %', '100 %'] }),
        ],
        series: [
          {},
          {
            stroke: () => cssColor('--alarm'),
            fill: () => cssColor('--alarm-soft'),
            width: 1.75,
            points: { show: false },
          },
        ],
        hooks: {
          drawClear: [(plot) => this.#drawSpans(plot)],
          draw: [(plot) => this.#drawLevels(plot)],
        },
      },
      [this.#times, this.#shares],
    );
  }

  #drawSpans(plot: uPlot): void {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.fillStyle = cssColor('--alarm-band');
    for (const { beginS, endS } of this.#spans) {
      const from = Math.max(left, plot.valToPos(beginS, 'x', true));
      const to = endS === undefined ? left + width : plot.valToPos(endS, 'x', true);
      if (to > from) plot.ctx.fillRect(from, top, Math.max(2, to - from), height);
    }
  }

  /** Where an event begins and ends: the hysteresis of the task. */
  #drawLevels(plot: uPlot): void {
    const event = this.#task?.event;
    if (event === undefined) return;
    const { left, width } = plot.bbox;
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = cssColor('--muted');
    ctx.lineWidth = 1;
    ctx.setLineDash([4, 4]);
    for (const level of [event.on, event.off]) {
      const y = Math.round(plot.valToPos(level, 'y', true)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(left, y);
      ctx.lineTo(left + width, y);
      ctx.stroke();
    }
    ctx.restore();
  }
}
