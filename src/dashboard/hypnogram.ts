/** The night so far: one step an epoch, missing where there was no prediction. */
import uPlot from 'uplot';
import type { HistoryPoint, Snapshot } from '../client/client.js';
import { axis, Chart } from './charts.js';
import { cssColor, h, hoursText, humanName, panel, setText } from './dom.js';
import type { Feed, PageEvent, Panel } from './feed.js';
import { stageRank, type Task, viewOf } from './tasks.js';

const spanSMin = 600;

export class Hypnogram implements Panel {
  readonly element: HTMLElement;
  readonly #feed: Feed;
  readonly #box = h('div', { class: 'chart', role: 'img', 'aria-label': 'Hypnogram so far' });
  readonly #summary = h('span', { class: 'summary' });
  #task: Task | undefined;
  #stages: string[] = [];
  #points: [endS: number, label: string | null][] = [];
  #chart: Chart | undefined;
  #dirty = false;

  constructor(feed: Feed) {
    this.#feed = feed;
    const { element, body } = panel('hypnogram', 'Hypnogram', this.#summary);
    this.element = element;
    body.append(this.#box);
  }

  onSnapshot({ tasks }: Snapshot, stream: string | undefined): void {
    this.#task = tasks.find((task) => viewOf(task) === 'stages');
    this.element.hidden = this.#task === undefined;
    this.#points = [];
    if (this.#task === undefined) return;
    this.#stages = stageRank(this.#task.classes);
    this.#build();
    if (stream === undefined) return;
    const { name } = this.#task;
    this.#feed.call('history', { stream, task: name }).then(
      ({ points }) => {
        if (this.#feed.stream === stream) this.#load(points);
      },
      () => {},
    );
  }

  onEvent(event: PageEvent): void {
    if (event.kind !== 'prediction' && event.kind !== 'no_prediction') return;
    if (event.task !== this.#task?.name) return;
    this.#points.push([event.windowEndS, event.kind === 'prediction' ? event.label : null]);
    this.#dirty = true;
  }

  onFrame(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#chart?.plot.setData(this.#data());
    setText(this.#summary, this.#describe());
  }

  onTheme(): void {
    this.#chart?.redraw();
  }

  #load(points: readonly HistoryPoint[]): void {
    const lastS = points.at(-1)?.[0] ?? Number.NEGATIVE_INFINITY;
    const later = this.#points.filter(([endS]) => endS > lastS);
    this.#points = [
      ...points.map(([endS, label]) => [endS, label] as [number, string | null]),
      ...later,
    ];
    this.#dirty = true;
  }

  /** Steps hold from an epoch's begin to its end, so the last one gets a point of its own. */
  #data(): uPlot.AlignedData {
    const hopS = this.#task?.hopS ?? 30;
    const firstS = (this.#points[0]?.[0] ?? 0) - hopS;
    const x: number[] = [];
    const y: (number | null)[] = [];
    for (const [endS, label] of this.#points) {
      x.push(endS - hopS - firstS);
      y.push(label === null ? null : this.#stages.indexOf(label));
    }
    const last = this.#points.at(-1);
    if (last !== undefined) {
      x.push(last[0] - firstS);
      y.push(last[1] === null ? null : this.#stages.indexOf(last[1]));
    }
    return [x, y];
  }

  #describe(): string {
    const last = this.#points.at(-1);
    const first = this.#points[0];
    if (last === undefined || first === undefined) return '';
    const hopS = this.#task?.hopS ?? 30;
    return `${last[1] === null ? '—' : humanName(last[1])} · ${hoursText(last[0] - first[0] + hopS)} h`;
  }

  #build(): void {
    const stages = this.#stages;
    const stepped = uPlot.paths.stepped?.({ align: 1 });
    this.#chart = new Chart(
      this.#box,
      {
        scales: {
          x: { time: false, range: (_, min, max) => [min ?? 0, Math.max(max ?? 0, spanSMin)] },
          y: { range: [-0.5, stages.length - 0.5] },
        },
        axes: [
          axis({
            values: (_, ticks) => ticks.map(hoursText),
            size: 24,
            incrs: [60, 120, 300, 600, 1800, 3600],
          }),
          axis({
            size: 52,
            splits: stages.map((_, i) => i),
            values: () => stages.map(humanName),
          }),
        ],
        series: [
          {},
          {
            stroke: () => cssColor('--accent'),
            width: 2,
            points: { show: false },
            ...(stepped && { paths: stepped }),
          },
        ],
      },
      this.#data(),
    );
  }
}
