/**
 * What must hold at every moment of a simulated life, computed from the signal that was published
 * and independently of how the daemon schedules: which windows end where, and in which order.
 */
import type { CheckpointChange, DaemonEvent, SignalBlock } from '../../src/core/events.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import type { Answered } from '../support/tiny-checkpoint.js';

const grid = 50;
/** Windows that lie wholly in a longer hole are not asked for. */
const holeMax = 2000;

interface Lane {
  readonly expected: number[];
  answered: number;
  end: number;
  endS: number;
}

export class Oracle {
  readonly #daemon: Daemon;
  readonly #tasksOf: (checkpoint: string) => readonly TaskSpec[];
  #active: string;
  /** By stream: next grid point and the stamp of the last block. */
  readonly #streams = new Map<string, { next: number; end: number; stampS: number }>();
  /** By `stream task`: ends of the windows that must be answered, and how many were. */
  readonly #lanes = new Map<string, Lane>();
  #broken: unknown;
  answers = 0;
  predictions = 0;
  predictedS = 0;
  changes = 0;

  constructor(daemon: Daemon, tasksOf: (checkpoint: string) => readonly TaskSpec[]) {
    this.#daemon = daemon;
    this.#tasksOf = tasksOf;
    this.#active = daemon.snapshot().checkpoint;
    daemon.events$.subscribe((event) => this.#take(event));
  }

  /** Throws the first thing that did not hold. */
  verify(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** Nothing is owed any more. */
  settled(): void {
    this.verify();
    for (const [lane, { expected, answered }] of this.#lanes)
      check(expected.length === answered, `${lane}: ${answered} of ${expected.length} answered`);
  }

  #take(event: DaemonEvent): void {
    try {
      if (event.kind === 'signal') this.#signal(event);
      else if (event.kind === 'prediction' || event.kind === 'no_prediction') this.#answer(event);
      else if (event.kind === 'checkpoint') this.#change(event);
      else if (event.kind === 'status') this.#bounds();
    } catch (error) {
      this.#broken ??= error;
    }
  }

  #signal({ stream, index, samples, stampS }: SignalBlock): void {
    const known = this.#streams.get(stream);
    const endS = stampS + (samples - 1) / 200;
    if (index > 0 && known !== undefined)
      check(stampS >= known.stampS, `${stream}: ${known.stampS} s, then ${stampS} s at ${index}`);
    check(Number.isFinite(endS) && samples > 0, `${stream}: an empty block`);
    check(index === 0 || index >= (known?.end ?? 1), `${stream}: samples go back to ${index}`);
    // A stream that was connected anew counts from 0.
    const state = known === undefined || index === 0 ? { next: grid, end: 0, stampS } : known;
    this.#streams.set(stream, state);
    state.end = index + samples;
    state.stampS = stampS;
    if (index - state.next > holeMax) state.next = (Math.floor(index / grid) + 1) * grid;
    for (; state.next <= index + samples; state.next += grid)
      for (const task of this.#tasksOf(this.#active)) {
        const start = state.next - task.windowS * 200;
        if (start >= 0 && start % (task.hopS * 200) === 0)
          this.#lane(stream, task.name).expected.push(state.next);
      }
  }

  #answer(answer: Answered): void {
    const { stream, task, seq, endSample } = answer;
    const lane = this.#lane(stream, task);
    const name = `${stream} ${task} ${seq}`;
    check(seq === lane.answered, `${name}: expected number ${lane.answered}`);
    const end = lane.expected[lane.answered++];
    check(endSample === end, `${name}: ends at ${endSample}, expected ${end}`);
    const stampS = answer.windowEndS;
    if (endSample > lane.end)
      check(stampS > lane.endS, `${name}: ${lane.endS} s, then ${stampS} s at ${endSample}`);
    Object.assign(lane, { end: endSample, endS: stampS });
    this.answers++;
    if (answer.kind === 'no_prediction') return;
    this.predictions++;
    this.predictedS = Math.max(this.predictedS, answer.windowEndS);
    const sum = Object.values(answer.probabilities).reduce((a, b) => a + b, 0);
    check(Math.abs(sum - 1) < 1e-9, `${name}: probabilities sum to ${sum}`);
    check(answer.latency.totalMs >= 0 && answer.latency.queueMs >= 0, `${name}: negative latency`);
  }

  #change({ phase, checkpoint }: CheckpointChange): void {
    if (phase === 'active' || phase === 'rolled_back') {
      this.#active = checkpoint;
      this.changes++;
    }
    const { checkpoint: serving } = this.#daemon.snapshot();
    check(serving === this.#active, `${serving} serves, ${this.#active} was said to`);
  }

  #bounds(): void {
    for (const { name, length, lengthMax } of this.#daemon.counters())
      check(length <= lengthMax, `${name}: ${length} of ${lengthMax}`);
  }

  #lane(stream: string, task: string): Lane {
    const key = `${stream} ${task}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { expected: [], answered: 0, end: 0, endS: 0 };
      this.#lanes.set(key, lane);
    }
    return lane;
  }
}

export function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
