/** From the engine's answers to what subscribers read: predictions, refusals, events, figures. */
import type { DaemonEvent, NoPrediction, Prediction, TaskEvent } from '../core/events.js';
import type { TaskSpec } from '../core/tasks.js';
import type { EngineInfo } from '../engine/engine.js';
import type { WindowAnswer } from '../windows/serving.js';
import { type Decided, Decision } from './decision.js';
import { Latencies, RoutingShares } from './running-figures.js';

export class Predictor {
  readonly #emit: (event: DaemonEvent) => void;
  readonly #decisions = new Map<string, Decision>();
  #latencies = new Latencies();
  #routing: { readonly info: EngineInfo; readonly shares: RoutingShares } | undefined;

  constructor(emit: (event: DaemonEvent) => void) {
    this.#emit = emit;
  }

  take(answer: WindowAnswer, info: EngineInfo): void {
    const task = info.tasks[answer.request.task] as TaskSpec;
    const decision = this.#decisionOf(answer.request.stream, task, answer.request.stampS);
    if (answer.logits === undefined) {
      decision.miss();
      this.#emit(refusal(answer, task));
      return;
    }
    const offset = classOffset(info, answer.request.task);
    const own = answer.logits.subarray(offset, offset + task.classes.length);
    const decided = decision.decide(own, answer.request.stampS);
    const event = prediction(answer, { info, task, decided });
    this.#latencies.add(task.name, event.latency.totalMs);
    this.#route(answer, info);
    this.#emit(event);
    this.#emitEvent(answer.request.stream, task.name, decided.event);
  }

  /** The stream is gone: its open events end. */
  forget(stream: string, stampS: number): void {
    for (const [key, decision] of [...this.#decisions]) {
      if (!key.startsWith(`${stream} `)) continue;
      this.#decisions.delete(key);
      this.#emitEvent(stream, decision.task.name, decision.finish(stampS));
    }
  }

  latencyMsP50(): Record<string, number> {
    return this.#latencies.medians();
  }

  routing(info: EngineInfo): readonly (readonly (readonly number[])[])[] {
    return this.#sharesOf(info).shares;
  }

  #sharesOf(info: EngineInfo): RoutingShares {
    if (this.#routing?.info !== info) this.#routing = { info, shares: new RoutingShares(info) };
    return this.#routing.shares;
  }

  #route({ request, routing }: WindowAnswer, info: EngineInfo): void {
    if (routing !== undefined && routing.length > 0)
      this.#sharesOf(info).add(request.task, routing);
  }

  /** Smoothing and events go on over a swap, unless the task itself has changed. */
  #decisionOf(stream: string, task: TaskSpec, stampS: number): Decision {
    const key = `${stream} ${task.name}`;
    const known = this.#decisions.get(key);
    if (known !== undefined && (known.task === task || sameDecision(known.task, task)))
      return known;
    if (known !== undefined) this.#emitEvent(stream, task.name, known.finish(stampS));
    const fresh = new Decision(task);
    this.#decisions.set(key, fresh);
    return fresh;
  }

  #emitEvent(stream: string, task: string, event: Decided['event']): void {
    if (event !== undefined)
      this.#emit({ kind: 'event', stream, task, ...event } satisfies TaskEvent);
  }
}

function sameDecision(a: TaskSpec, b: TaskSpec): boolean {
  const decides = ({ classes, hopS, temperature, smoothing, transitions, event }: TaskSpec) =>
    JSON.stringify({ classes, hopS, temperature, smoothing, transitions, event });
  return decides(a) === decides(b);
}

function classOffset(info: EngineInfo, task: number): number {
  return info.tasks.slice(0, task).reduce((sum, { classes }) => sum + classes.length, 0);
}

function windowOf({ request, validity }: WindowAnswer, task: TaskSpec) {
  const { stream, seq, stampS, endSample } = request;
  return {
    stream,
    task: task.name,
    seq,
    windowStartS: stampS - task.windowS,
    windowEndS: stampS,
    startSample: endSample - Math.round(task.windowS * 200),
    endSample,
    validity,
  };
}

function refusal(answer: WindowAnswer, task: TaskSpec): NoPrediction {
  const { reason = 'engine_failed', detail } = answer;
  const window = windowOf(answer, task);
  return { kind: 'no_prediction', ...window, reason, ...(detail === undefined ? {} : { detail }) };
}

function prediction(
  answer: WindowAnswer,
  { info, task, decided }: { info: EngineInfo; task: TaskSpec; decided: Decided },
): Prediction {
  const { request, startedS, doneS } = answer;
  const named = (values: Float64Array) =>
    Object.fromEntries(task.classes.map((name, i) => [name, values[i] as number]));
  return {
    kind: 'prediction',
    ...windowOf(answer, task),
    probabilities: named(decided.probabilities),
    smoothed: named(decided.smoothed),
    label: decided.label,
    checkpoint: info.checkpoint,
    trained: info.trained,
    latency: {
      queueMs: (startedS - request.arrivalS) * 1000,
      runMs: (doneS - startedS) * 1000,
      totalMs: (doneS - request.arrivalS) * 1000,
    },
  };
}
