/**
 * A made-up session for the page's tests: 32 channels of seeded noise and alpha, all four tasks, a
 * seizure, drifting expert routing. `step` moves it by 50 ms; time is the caller's.
 */
import type { ChannelQuality } from '../../src/core/events.js';
import { Rng } from '../../src/core/rng.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { localClock } from '../../src/core/time.js';
import { type FakeDaemon, fakePrediction, fakeStatus, fakeTasks } from './fake-daemon.js';

export const fakeChannels =
  'Fp1 Fp2 AF3 AF4 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 PO3 PO4 O1 Oz O2'.split(
    ' ',
  );
const blockSamples = 10;
const stages = ['wake', 'n1', 'n2', 'n3', 'n3', 'n2', 'rem', 'n2', 'n3', 'n2', 'rem', 'wake', 'n2'];

export class FakeSession {
  readonly #daemon: FakeDaemon;
  readonly #rng = new Rng(7);
  readonly #beganS = localClock();
  readonly #drift = new Float32Array(fakeChannels.length);
  readonly #slow = new Float32Array(fakeChannels.length);
  readonly #seq = new Map<string, number>();
  #index = 0;

  constructor(daemon: FakeDaemon) {
    this.#daemon = daemon;
    daemon.emit(this.#status());
    this.#quality();
  }

  /** Sleep of the night before, one epoch every 30 s. */
  pastNight(hours: number): void {
    const epochs = hours * 120;
    for (let i = 0; i < epochs; i++) {
      const at = Math.floor((i / epochs) * stages.length + 0.6 * this.#rng.uniform());
      this.#predict(fakeTasks[0], stages[at] ?? 'n2', 0.6 + 0.4 * this.#rng.uniform(), i * 30);
    }
  }

  step(): void {
    const timeS = this.#index / 200;
    this.#signal();
    const tick = Math.round(timeS * 20);
    if (tick % 5 === 0) this.#imagery(timeS);
    if (tick % 20 === 0) this.#everySecond(timeS);
    if (tick % 40 === 0) this.#quality();
    this.#index += blockSamples;
  }

  #everySecond(timeS: number): void {
    const [, seizure, , workload] = fakeTasks;
    const phase = timeS % 150;
    const ictal = phase > 70 && phase < 100;
    const p = ictal ? 0.9 + 0.08 * this.#rng.uniform() : 0.03 + 0.1 * this.#rng.uniform() ** 3;
    this.#predict(seizure, 'seizure', p, timeS);
    const id = Math.floor(timeS / 150) + 1;
    const event = { kind: 'event', stream: 's1', task: 'seizure', id, label: 'seizure' } as const;
    const stampS = this.#beganS + timeS;
    if (phase === 72) this.#daemon.emit({ ...event, phase: 'begin', stampS, peak: p });
    if (phase === 101) this.#daemon.emit({ ...event, phase: 'end', stampS, peak: 0.98 });
    this.#predict(workload, 'high', 0.5 + 0.4 * Math.sin(timeS / 23), timeS);
    this.#daemon.emit(this.#status());
    this.#daemon.routing = this.#daemon.routing.map((block, b) =>
      block.map((_, t) => {
        const raw = Array.from({ length: 8 }, (_, e) => {
          const liking = Math.cos(1.7 * t + 2.4 * e + b + 0.4 * Math.sin(timeS / 9 + e + t));
          return Math.exp(1.6 * liking);
        });
        const sum = raw.reduce((a, c) => a + c, 0);
        return raw.map((value) => value / sum);
      }),
    );
  }

  #imagery(timeS: number): void {
    const labels = ['left', 'rest', 'right', 'feet'];
    const label = labels[Math.floor(timeS / 6) % 4] ?? 'rest';
    this.#predict(fakeTasks[2], label, 0.55 + 0.3 * Math.sin((timeS % 6) / 2), timeS);
  }

  #predict(task: TaskSpec | undefined, favoured: string, p: number, timeS: number): void {
    if (task === undefined) return;
    const seq = this.#seq.get(task.name) ?? 0;
    this.#seq.set(task.name, seq + 1);
    const others = task.classes.filter((name) => name !== favoured);
    const rest = others.map((_, i) => (1 - p) / 2 ** (i + 1));
    const spare = (1 - p - rest.reduce((a, b) => a + b, 0)) / Math.max(1, others.length);
    const probabilities = Object.fromEntries(
      task.classes.map((name) => {
        const at = others.indexOf(name);
        return [name, at < 0 ? p : (rest[at] ?? 0) + spare];
      }),
    );
    const best = Object.entries(probabilities).sort((a, b) => b[1] - a[1])[0];
    const runMs = 3 + 3 * this.#rng.uniform() + (this.#rng.uniform() < 0.05 ? 14 : 0);
    const latency = { queueMs: 1.5, runMs, totalMs: runMs + 1.5 + 2 * this.#rng.uniform() };
    const windowEndS = this.#beganS + timeS;
    this.#daemon.emit(
      fakePrediction({
        task: task.name,
        seq,
        windowStartS: windowEndS - task.windowS,
        windowEndS,
        probabilities,
        smoothed: probabilities,
        label: best?.[0] ?? favoured,
        checkpoint: this.#daemon.checkpoint,
        trained: this.#daemon.trained,
        latency,
      }),
    );
  }

  #signal(): void {
    const channels = fakeChannels.length;
    const data = new Float32Array(channels * blockSamples);
    for (let c = 0; c < channels; c++) {
      const back = fakeChannels[c]?.match(/^(P|O)/) ? 16 : 4;
      const front = fakeChannels[c]?.match(/^Fp|^AF/) ? 70 : 0;
      for (let i = 0; i < blockSamples; i++) {
        const t = (this.#index + i) / 200;
        this.#drift[c] = 0.985 * (this.#drift[c] ?? 0) + 2.6 * this.#rng.normal();
        this.#slow[c] = 0.7 * (this.#slow[c] ?? 0) + 2.2 * this.#rng.normal();
        const waxing = 0.5 + 0.5 * Math.sin(t * 0.9 + 0.1 * c);
        const alpha = back * waxing * Math.sin(2 * Math.PI * 10.2 * t + 0.15 * c);
        const sinceBlink = (t % 4.3) - 2;
        const blink = front * Math.exp(-((sinceBlink / 0.09) ** 2));
        const value = (this.#drift[c] ?? 0) + (this.#slow[c] ?? 0) + alpha + blink;
        data[c * blockSamples + i] = c === 17 ? 0.1 * value : value;
      }
    }
    this.#daemon.emit({
      kind: 'signal',
      stream: 's1',
      index: this.#index,
      stampS: this.#beganS + this.#index / 200,
      samples: blockSamples,
      channels,
      data,
    });
  }

  #quality(): void {
    const channels = fakeChannels.map((label, c): ChannelQuality => {
      const state = c === 17 ? 'flat' : c === 9 ? 'mains' : 'good';
      return { label, state, rmsUv: c === 17 ? 0.4 : 14, mainsRatio: c === 9 ? 2.4 : 0.02 };
    });
    this.#daemon.emit({ kind: 'quality', stream: 's1', stampS: this.#beganS, channels });
  }

  #status() {
    return fakeStatus({
      name: 'ActiCap 32',
      nominalRateHz: 500,
      rateHz: 500.02,
      channels: fakeChannels,
      samples: this.#index,
      lastSampleS: this.#beganS + this.#index / 200,
    });
  }
}
