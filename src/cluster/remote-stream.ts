/**
 * One stream as a worker has it: the last minute of its conditioned signal, in the same ring as at
 * the edge, filled from steps. Steps are applied in order; what is held stays.
 */
import type { NoPredictionReason } from '../core/events.js';
import { gridSamples, patchSamples } from '../core/tasks.js';
import type { Reference } from '../signal/alignment.js';
import { SignalRing } from '../signal/ring.js';
import type { PatchSource } from '../windows/served-stream.js';
import { keyOf } from './names.js';
import type { Step } from './step-message.js';

const ringS = 60;
/** As many as the ring may be asked for, one each 10 s. */
const referencesMax = 8;

export class RemoteStream implements PatchSource {
  readonly id: string;
  readonly epoch: number;
  readonly channels: number;
  readonly positions: Float32Array;
  readonly ring: SignalRing;
  /** Names of the tasks to serve; empty = all. */
  readonly only: readonly string[];
  /** For the read-out of a person's pack. */
  readonly labels: readonly string[];
  /** LSL seconds of the last step that came. */
  lastS = 0;
  /** Before it, filters were warming up. */
  #firstReal = Number.POSITIVE_INFINITY;
  #first: number | undefined;
  readonly #references: Reference[] = [];

  constructor(step: Step) {
    this.id = keyOf(step);
    this.epoch = step.epoch;
    this.channels = step.channels;
    this.positions = step.positions;
    this.only = step.only;
    this.labels = step.own?.labels ?? [];
    this.ring = new SignalRing(step.channels, ringS);
  }

  get nextSample(): number {
    return this.ring.nextIndex;
  }

  /** Some of the signal before this step was sent and is not held. */
  misses(step: Step): boolean {
    if (this.#first === undefined) return step.previousEnd > 0;
    return step.previousEnd > this.ring.nextIndex;
  }

  /** Returns the ends of the ticks that are new. */
  apply(step: Step): number[] {
    this.#first ??= step.startSample;
    this.#keep(step.own?.reference);
    const fresh: number[] = [];
    for (let tick = 0; tick < step.ticks; tick++) {
      const index = step.startSample + tick * gridSamples;
      if (index < this.ring.nextIndex) continue;
      this.#write(step, tick, index);
      fresh.push(index + gridSamples);
    }
    return fresh;
  }

  oldestSample(): number {
    return Math.max(this.#first ?? 0, this.ring.firstIndex);
  }

  patches(endSample: number, out: Float32Array, mask: Float32Array): void {
    this.ring.patches(endSample, out, mask);
  }

  reference(endSample: number): Float32Array | undefined {
    return this.referenceAt(endSample)?.covariance;
  }

  referenceAt(index: number): Reference | undefined {
    return this.#references.findLast(({ from }) => from <= index);
  }

  reason(endSample: number): NoPredictionReason {
    if (endSample - patchSamples < this.#firstReal) return 'warming_up';
    const { valid } = this.ring.copy(endSample - patchSamples, endSample);
    return valid.some((value) => value === 0) ? 'gap' : 'bad_channels';
  }

  /** Each step tells of the same one again, until there is another. */
  #keep(reference: Reference | undefined): void {
    const last = this.#references.at(-1);
    if (reference === undefined || (last !== undefined && reference.from <= last.from)) return;
    const isSame = last?.covariance.every((value, i) => value === reference.covariance[i]);
    if (isSame) return;
    this.#references.push(reference);
    if (this.#references.length > referencesMax) this.#references.shift();
  }

  #write(step: Step, tick: number, index: number): void {
    const { channels, ticks } = step;
    const samples = gridSamples;
    const data = new Float32Array(channels * samples);
    const valid = new Uint8Array(channels * samples);
    for (let c = 0; c < channels; c++) {
      const from = c * ticks * samples + tick * samples;
      data.set(step.data.subarray(from, from + samples), c * samples);
      valid.set(step.valid.subarray(from, from + samples), c * samples);
    }
    this.ring.write({ index, samples, data, valid });
    const scales = step.scales.subarray(tick * channels, (tick + 1) * channels);
    this.ring.closeTick(index / gridSamples, scales);
    if (this.#firstReal === Number.POSITIVE_INFINITY && valid.includes(1))
      this.#firstReal = index + (valid.indexOf(1) % samples);
  }
}

/** True where a step belongs to a later life of the stream, or to another format. */
export function replaces(step: Step, known: RemoteStream): boolean {
  return (
    step.epoch > known.epoch || (step.epoch === known.epoch && step.channels !== known.channels)
  );
}
