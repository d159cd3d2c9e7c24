/**
 * What is usual in a stream: the mean latents of a task's windows so far, beside which the window
 * of now is seen. Electrodes, amplifiers and people shift every second alike; a stage does not.
 */
import { contextStepS, type TaskSpec } from '../core/tasks.js';
import type { TaskRow } from './pack.js';

/** Windows after which an old one counts for a third: an hour of sleep. */
export const historyWindows = 120;

export class History {
  #mean: Float32Array | undefined;
  #count = 0;

  /** Of the windows so far, that of now too; old ones fade. Undefined before the first. */
  get mean(): Float32Array | undefined {
    return this.#mean;
  }

  /** The average latents of the next window, or what stands for so many of them. */
  add(average: Float32Array, windows = 1): void {
    const weight = Math.min(windows, historyWindows);
    this.#count = Math.min(this.#count + weight, historyWindows);
    const before = this.#mean ?? average;
    this.#mean = before.map((value, i) => value + ((average[i] - value) * weight) / this.#count);
  }
}

/** Of seconds, of like length; undefined where there are none. */
export function meanLatents(all: readonly Float32Array[]): Float32Array | undefined {
  const [first] = all;
  if (first === undefined) return undefined;
  const sum = new Float32Array(first.length);
  for (const one of all) for (let i = 0; i < sum.length; i++) sum[i] += one[i];
  return sum.map((value) => value / all.length);
}

/** Of latents to what is usual; as they are where nothing is known of that. */
export function difference(
  latents: Float32Array | undefined,
  usual: Float32Array | undefined,
): Float32Array | undefined {
  return usual === undefined ? latents : latents?.map((value, i) => value - usual[i]);
}

/** The row of a window as differences to what is usual, and that before them as one second more. */
export function besideUsual(
  row: TaskRow,
  usual: Float32Array | undefined,
  spec: TaskSpec,
): TaskRow {
  return {
    task: row.task,
    seconds: [usual, ...row.seconds.map((latents) => difference(latents, usual))],
    times: [historyTimeS(spec), ...row.times],
  };
}

/** Where what is usual stands before a window, s: a step before the oldest of its context. */
export function historyTimeS(spec: TaskSpec): number {
  return -(spec.contextWindows + 1) * contextStepS(spec);
}
