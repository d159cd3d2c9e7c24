/** How long after its last sample a prediction was there: the last thousand, on a log scale. */
import uPlot from 'uplot';
import { axis, Chart } from './charts.js';
import { cssColor, h, panel, setText } from './dom.js';
import type { PageEvent, Panel } from './feed.js';

const keep = 1_000;
/** Bins from 0.5 ms to 1 s, six an octave pair: edges grow by 2^(1/3). */
const edges = Array.from({ length: 34 }, (_, i) => 0.5 * 2 ** (i / 3));

export class LatencyHistogram implements Panel {
  readonly element: HTMLElement;
  readonly #summary = h('span', { class: 'summary' });
  readonly #box = h('div', { class: 'chart', role: 'img', 'aria-label': 'Latency histogram' });
  readonly #values: number[] = [];
  #chart: Chart | undefined;
  #dirty = false;
  #drawnMs = 0;

  constructor() {
    const { element, body } = panel('latency', 'Latency', this.#summary);
    this.element = element;
    body.append(this.#box);
  }

  onSnapshot(): void {
    if (this.#chart === undefined) this.#build();
  }

  onEvent(event: PageEvent): void {
    if (event.kind !== 'prediction') return;
    this.#values.push(event.latency.totalMs);
    if (this.#values.length > keep) this.#values.shift();
    this.#dirty = true;
  }

  /** Twice a second is enough for a distribution. */
  onFrame(nowMs: number): void {
    if (!this.#dirty || nowMs - this.#drawnMs < 500) return;
    this.#dirty = false;
    this.#drawnMs = nowMs;
    this.#chart?.plot.setData(this.#data());
    const sorted = [...this.#values].sort((a, b) => a - b);
    const at = (q: number) => (sorted[Math.floor(q * (sorted.length - 1))] ?? 0).toFixed(1);
    setText(this.#summary, `median ${at(0.5)} ms · p99 ${at(0.99)} ms`);
  }

  onTheme(): void {
    this.#chart?.redraw();
  }

  #data(): uPlot.AlignedData {
    const counts = edges.map(() => 0);
    for (const value of this.#values) {
      const bin = Math.floor(3 * Math.log2(Math.max(value, 0.5) / 0.5));
      const at = Math.min(edges.length - 1, bin);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    const total = Math.max(1, this.#values.length);
    return [edges.map((_, i) => i), counts.map((count) => count / total)];
  }

  #build(): void {
    const bars = uPlot.paths.bars?.({ size: [0.82], align: 1, radius: 0.15 });
    const marks = [1, 3, 10, 30, 100, 300, 1000];
    this.#chart = new Chart(
      this.#box,
      {
        scales: {
          x: { time: false, range: [0, edges.length] },
          y: { range: (_, __, max) => [0, Math.max(0.1, (max ?? 0) * 1.1)] },
        },
        axes: [
          axis({
            size: 24,
            splits: marks.map((ms) => 3 * Math.log2(ms / 0.5)),
            values: () => marks.map((ms) => (ms === 1000 ? '1 s' : `${ms} ms`)),
            grid: { show: false },
          }),
          axis({
            size: 40,
            values: (_, ticks) => ticks.map((share) => `${Math.round(share * 100)} %`),
          }),
        ],
        series: [
          {},
          {
            fill: () => cssColor('--accent'),
            width: 0,
            points: { show: false },
            ...(bars && { paths: bars }),
          },
        ],
      },
      this.#data(),
    );
  }
}
