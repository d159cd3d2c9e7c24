/**
 * The edge's answer to "who takes the windows": cuts a step from the ring at each due grid point,
 * numbers its windows and hands it to the publisher. The counterpart of the daemon's `ModelHost`.
 */
import { gridSamples, patchSamples } from '../core/tasks.js';
import type { HostedSource } from '../daemon/model-host.js';
import type { WindowTarget } from '../daemon/streams.js';
import type { EngineInfo } from '../engine/engine.js';
import type { SignalRing } from '../signal/ring.js';
import { Schedule, type Tick } from '../windows/schedule.js';
import type { Due } from '../windows/ticks.js';
import { type PersonSignal, type Step, type StepWindow, stepTicksMax } from './step-message.js';
import { toWallS } from './wall-time.js';

export interface TargetOptions {
  readonly site: string;
  readonly edge: string;
  /** What is served to windows that end then. */
  readonly modelAt: (stampWallS: number, person: string) => { info: EngineInfo } | undefined;
  readonly personOf: (stream: string) => string;
  readonly onAttach: (stream: string) => void;
  readonly onStep: (step: Step) => void;
}

interface Lane {
  readonly source: HostedSource;
  readonly only: ReadonlySet<string> | undefined;
  readonly epoch: number;
  nextSample: number;
  /** Windows numbered so far, by task. */
  readonly given: Map<string, number>;
  schedule: { readonly info: EngineInfo; readonly plan: Schedule } | undefined;
}

export class StepTarget implements WindowTarget {
  readonly #options: TargetOptions;
  readonly #lanes = new Map<string, Lane>();
  #lastEpoch = 0;

  constructor(options: TargetOptions) {
    this.#options = options;
  }

  attach(source: HostedSource, only?: ReadonlySet<string>): void {
    this.#lastEpoch = Math.max(this.#lastEpoch + 1, Date.now());
    const lane: Lane = {
      ...{ source, only, epoch: this.#lastEpoch },
      nextSample: 0,
      given: new Map(),
      schedule: undefined,
    };
    this.#lanes.set(source.id, lane);
    this.#options.onAttach(source.id);
  }

  detach(source: HostedSource): void {
    if (this.#lanes.get(source.id)?.source === source) this.#lanes.delete(source.id);
  }

  /** Nothing here waits for answers. */
  async idle(): Promise<void> {}

  due(id: string): Due {
    const plan = this.#plan(id);
    return {
      needs: (end) => plan?.needs(end) ?? false,
      windowsAt: (end) => plan?.windowsAt(end) ?? [],
    };
  }

  take(id: string, tick: Tick): void {
    const lane = this.#lanes.get(id);
    if (lane === undefined || lane.schedule === undefined) return;
    const { endSample, stampS, arrivalS } = tick;
    // Seconds that no window looks at are not sent.
    const start = Math.max(lane.nextSample, endSample - patchSamples, 0);
    const ticks = (endSample - start) / gridSamples;
    lane.nextSample = endSample;
    if (ticks < 1 || ticks > stepTicksMax) return;
    const { site, edge, personOf, onStep } = this.#options;
    const { channels, positions, ring } = lane.source;
    const person = personOf(id);
    const { data, valid } = ring.copy(start, endSample);
    onStep({
      ...{ site, edge, stream: id, person, epoch: lane.epoch, channels, positions },
      ...(person === '' ? {} : { own: ownOf(lane.source, start, endSample) }),
      only: lane.only === undefined ? [] : [...lane.only],
      ...{ startSample: start, previousEnd: start, ticks, data, valid },
      stampWallS: toWallS(stampS),
      arrivalWallS: toWallS(arrivalS),
      scales: scalesOf(ring, start, ticks),
      windows: windowsOf(lane, lane.schedule.info, tick),
    });
  }

  /** Another revision's tasks begin with the first block that comes after it began. */
  #plan(id: string): Schedule | undefined {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return undefined;
    const { modelAt, personOf } = this.#options;
    const model = modelAt(Date.now() / 1000, personOf(id));
    if (model === undefined) return undefined;
    if (lane.schedule?.info !== model.info)
      lane.schedule = { info: model.info, plan: new Schedule(model.info.tasks, lane.only) };
    return lane.schedule.plan;
  }
}

function windowsOf({ given }: Lane, { tasks }: EngineInfo, tick: Tick): StepWindow[] {
  return tick.windows.map(({ task: index }) => {
    const task = tasks[index]?.name ?? '';
    const seq = given.get(task) ?? 0;
    given.set(task, seq + 1);
    return { task, seq, endSample: tick.endSample };
  });
}

function ownOf(source: HostedSource, start: number, end: number): PersonSignal {
  const { labels = [], reference } = source;
  const covariance = reference?.(end);
  if (covariance === undefined) return { labels, reference: undefined };
  let from = end;
  while (from - gridSamples > start && reference?.(from - gridSamples) === covariance)
    from -= gridSamples;
  return { labels, reference: { from, covariance } };
}

/** `[ticks, channels]`. */
function scalesOf(ring: SignalRing, start: number, ticks: number): Float32Array {
  const { channels } = ring;
  const scales = new Float32Array(ticks * channels);
  for (let tick = 0; tick < ticks; tick++)
    for (let c = 0; c < channels; c++)
      scales[tick * channels + c] = ring.scaleAt(c, start + (tick + 1) * gridSamples);
  return scales;
}
