/**
 * Which seconds and which windows are due, as arithmetic on the 200 Hz grid. Window k of a task
 * ends `k * hop + window` samples after the stream's first conditioned sample; a second (a
 * *tick*) is named by the sample it ends before, a multiple of 50.
 */
import { gridSamples, modelRateHz, patchSamples, type TaskSpec } from '../core/tasks.js';

export interface TaskWindow {
  /** Index into the tasks of the schedule. */
  readonly task: number;
  /** Window number k on the stream's grid. */
  readonly k: number;
}

export interface Tick {
  /** 200 Hz sample index, exclusive; multiple of `gridSamples`. */
  readonly endSample: number;
  /** LSL seconds of `endSample`. */
  readonly stampS: number;
  /** `localClock()` when the last raw frame behind this tick arrived. */
  readonly arrivalS: number;
  /** Some task has a window that holds the second ending here. */
  readonly needed: boolean;
  /** Windows that end here. */
  readonly windows: readonly TaskWindow[];
}

interface TaskGrid {
  readonly task: number;
  readonly windowSamples: number;
  readonly hopSamples: number;
}

export class Schedule {
  readonly tasks: readonly TaskSpec[];
  /** Longest window, samples. */
  readonly windowSamplesMax: number;
  readonly #grids: readonly TaskGrid[];

  /** `only`: names of the tasks to serve; all where absent. */
  constructor(tasks: readonly TaskSpec[], only?: ReadonlySet<string>) {
    this.tasks = tasks;
    const grids = tasks.map(({ windowS, hopS }, task) => ({
      task,
      windowSamples: Math.round(windowS * modelRateHz),
      hopSamples: Math.max(gridSamples, Math.round(hopS * modelRateHz)),
    }));
    this.#grids = grids.filter(({ task }) => only?.has(tasks[task]?.name ?? '') ?? true);
    this.windowSamplesMax = Math.max(0, ...this.#grids.map((grid) => grid.windowSamples));
  }

  /** True where a window of some task holds the second that ends at `endSample`. */
  needs(endSample: number): boolean {
    if (endSample < patchSamples) return false;
    return this.#grids.some(({ windowSamples, hopSamples }) => {
      for (let later = 0; later < windowSamples; later += patchSamples) {
        const k = endSample + later - windowSamples;
        if (k >= 0 && k % hopSamples === 0) return true;
      }
      return false;
    });
  }

  /**
   * LSL seconds by when a stream that has sent samples since `sinceS`, and had its last window at
   * `lastS`, has another one; Infinity where no task is served.
   */
  nextWindowS(sinceS: number, lastS: number): number {
    return Math.min(
      ...this.#grids.map(({ windowSamples, hopSamples }) => {
        const first = sinceS + windowSamples / modelRateHz;
        return Math.max(first, lastS) + hopSamples / modelRateHz;
      }),
    );
  }

  windowsAt(endSample: number): TaskWindow[] {
    const due: TaskWindow[] = [];
    for (const { task, windowSamples, hopSamples } of this.#grids) {
      const start = endSample - windowSamples;
      if (start >= 0 && start % hopSamples === 0) due.push({ task, k: start / hopSamples });
    }
    return due;
  }
}
