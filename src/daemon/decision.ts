/**
 * From logits to decisions: calibrated probabilities of the task's own classes, smoothed
 * over windows (or filtered by how classes follow each other), and events with hysteresis. One `Decision` a stream and task.
 */
import type { TaskEvent } from '../core/events.js';
import { ForwardFilter } from '../core/forward-filter.js';
import type { TaskSpec } from '../core/tasks.js';

export interface Decided {
  /** Of `task.classes`, sums to 1: softmax of logits over temperature (Guo et al. 2017). */
  readonly probabilities: Float64Array;
  readonly smoothed: Float64Array;
  /** Most probable class after smoothing. */
  readonly label: string;
  readonly event?: Omit<TaskEvent, 'kind' | 'stream' | 'task'>;
}

/** Softmax of `logits / temperature`, in double precision. */
export function softmax(logits: Float32Array, temperature: number): Float64Array {
  const peak = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const out = Float64Array.from(logits, (logit) => Math.exp((logit - peak) / temperature));
  const total = out.reduce((a, b) => a + b, 0);
  return out.map((value) => value / total);
}

export class Decision {
  readonly task: TaskSpec;
  readonly #filter: ForwardFilter | undefined;
  #smoothed: Float64Array | undefined;
  /** End of the first window of the present row above the onset threshold. */
  #heldFromS: number | undefined;
  #held = 0;
  #open: { id: number; peak: number } | undefined;
  #nextId = 0;

  constructor(task: TaskSpec) {
    this.task = task;
    if (task.transitions !== undefined)
      this.#filter = new ForwardFilter(task.transitions, task.hopS);
  }

  /** `logits` of the task's own classes; `stampS` is the end of the window. */
  decide(logits: Float32Array, stampS: number): Decided {
    const probabilities = softmax(logits, this.task.temperature);
    const smoothed = this.#filter?.update(probabilities, stampS) ?? this.#smooth(probabilities);
    const best = smoothed.indexOf(Math.max(...smoothed));
    const event = this.#hysteresis(smoothed, stampS);
    const label = this.task.classes[best] as string;
    return { probabilities, smoothed, label, ...(event === undefined ? {} : { event }) };
  }

  #smooth(probabilities: Float64Array): Float64Array {
    const before = this.#smoothed;
    const weight = this.task.smoothing;
    this.#smoothed =
      before === undefined
        ? probabilities
        : probabilities.map((p, i) => weight * p + (1 - weight) * (before[i] as number));
    return this.#smoothed;
  }

  /** A window without prediction: windows in a row begin anew, an open event stays open. */
  miss(): void {
    this.#held = 0;
    this.#heldFromS = undefined;
  }

  /** The stream or task is gone: closes an open event. */
  finish(stampS: number): Decided['event'] {
    return this.#open === undefined ? undefined : this.#end(stampS);
  }

  #hysteresis(smoothed: Float64Array, stampS: number): Decided['event'] {
    const rule = this.task.event;
    if (rule === undefined) return undefined;
    const p = smoothed[this.task.classes.indexOf(rule.label)] ?? 0;
    if (this.#open !== undefined) {
      this.#open.peak = Math.max(this.#open.peak, p);
      return p < rule.off ? this.#end(stampS) : undefined;
    }
    if (p < rule.on) {
      this.miss();
      return undefined;
    }
    this.#heldFromS ??= stampS;
    if (++this.#held < rule.hold) return undefined;
    this.#open = { id: this.#nextId++, peak: p };
    const { id } = this.#open;
    return { id, phase: 'begin', label: rule.label, stampS: this.#heldFromS, peak: p };
  }

  #end(stampS: number): Decided['event'] {
    const { id, peak } = this.#open as { id: number; peak: number };
    this.#open = undefined;
    this.miss();
    return { id, phase: 'end', label: this.task.event?.label ?? '', stampS, peak };
  }
}
