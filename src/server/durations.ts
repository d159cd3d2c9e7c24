/**
 * A histogram of seconds with one label, for the path of the samples: several thousand times a
 * second, where prom-client's own `observe` checks and hashes its labels anew each time (4 us a
 * call). Registered and read like any other metric.
 */
import { Histogram, type Registry } from 'prom-client';

const pathBoundsS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

interface Tally {
  /** Per bound, not cumulated; what is above the last bound is in `count` alone. */
  readonly buckets: Float64Array;
  sum: number;
  count: number;
}

interface DurationsOptions {
  readonly name: string;
  readonly help: string;
  /** Absent: one series without a label. */
  readonly label?: string;
  readonly registry: Registry;
  /** Upper bounds of the buckets, s; those of the path of the samples where absent. */
  readonly boundsS?: readonly number[];
}

export class Durations extends Histogram {
  readonly #options: DurationsOptions;
  readonly #boundsS: readonly number[];
  readonly #tallies = new Map<string, Tally>();

  constructor(options: DurationsOptions) {
    const { name, help, label, registry, boundsS = pathBoundsS } = options;
    const labelNames = label === undefined ? [] : [label];
    super({ name, help, labelNames, buckets: [...boundsS], registers: [registry] });
    this.#options = options;
    this.#boundsS = boundsS;
    if (label === undefined) this.#tally('');
  }

  add(labelled: string, seconds: number): void {
    const tally = this.#tallies.get(labelled) ?? this.#tally(labelled);
    const value = Number.isFinite(seconds) ? seconds : 0;
    tally.sum += value;
    tally.count += 1;
    for (let i = 0; i < this.#boundsS.length; i++) {
      if (value > (this.#boundsS[i] as number)) continue;
      tally.buckets[i] += 1;
      return;
    }
  }

  /** What the registry and `get` read of prom-client's own histograms (15.1). */
  async getForPromString() {
    const { name, help, label } = this.#options;
    const values = [...this.#tallies].flatMap(([value, tally]) => {
      const sharedLabels = label === undefined ? {} : { [label]: value };
      const row = (suffix: string, labels: object, count: number) => ({
        metricName: `${name}_${suffix}`,
        labels,
        sharedLabels,
        value: count,
      });
      let below = 0;
      const buckets = this.#boundsS.map((le, i) => {
        below += tally.buckets[i] ?? 0;
        return row('bucket', { le }, below);
      });
      return [
        ...buckets,
        row('bucket', { le: '+Inf' }, tally.count),
        row('sum', {}, tally.sum),
        row('count', {}, tally.count),
      ];
    });
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }

  #tally(labelled: string): Tally {
    const tally = { buckets: new Float64Array(this.#boundsS.length), sum: 0, count: 0 };
    this.#tallies.set(labelled, tally);
    return tally;
  }
}
