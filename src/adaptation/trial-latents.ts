/** Labelled trials through the frozen trunk, once: what the learner keeps of them. */
import { gridSamples, modelRateHz, patchSamples, type TaskSpec } from '../core/tasks.js';
import type { SessionOptions } from '../graph/session.js';
import type { Model } from '../model/growing.js';
import { type AlignmentKind, alignmentKinds } from '../signal/alignment.js';
import { patchClip } from '../signal/ring.js';
import { TrunkForward } from '../training/trunk-forward.js';
import { WindowSpectra } from '../windows/spectra.js';
import type { Spectra } from './readout-trainer.js';
import type { TrialSignal } from './trial-signal.js';

/** One window of a trial. */
export interface WindowLatents {
  /** `[seconds, latents * width]`, zeros where masked. */
  readonly latents: Float32Array;
  /** `[seconds]`, 1 = usable. */
  readonly mask: Float32Array;
  /** Absent where too little of its channels is known. */
  readonly spectra?: Spectra;
}

/** Windows of one trial are alike: so many tell of it what it holds. */
const windowsMax = 8;
/** Seconds in one run of the trunk. */
const secondsMax = 64;
/** Pairs of more would be more features than a person's trials can tell of. */
const covarianceChannelsMax = 16;

/** What read-outs look at, of the window that ends at a sample of the trial. */
export function trialSpectra(
  signal: TrialSignal,
  channels: number,
  windowS: number,
): (end: number) => Spectra | undefined {
  const source = {
    channels,
    patches: (end: number, patches: Float32Array, mask: Float32Array) =>
      cutPatches(signal, end, { patches, mask }),
    reference: (end: number) => signal.references?.findLast(({ from }) => from <= end)?.covariance,
  };
  const places = Array.from({ length: channels }, (_, c) => c);
  const byKind = alignmentKinds.map(
    (kind) => [kind, new WindowSpectra(source, kind, windowS)] as const,
  );
  return (end) => {
    const found: Partial<Record<AlignmentKind, Float64Array>> = {};
    for (const [kind, spectra] of byKind) {
      const own = spectra.features(end, windowS);
      if (own === undefined) return undefined;
      found[kind] = own;
    }
    const plainSpectra = byKind.find(([kind]) => kind === 'none')?.[1];
    const covariances =
      channels > covarianceChannelsMax
        ? undefined
        : plainSpectra?.covariances(end, windowS, places);
    return { ...(found as Record<AlignmentKind, Float64Array>), covariances };
  };
}

export class TrialLatents {
  readonly #base: Model;
  readonly #task: TaskSpec;
  readonly #positions: Float32Array;
  readonly #trunk: TrunkForward;

  private constructor(base: Model, task: TaskSpec, positions: Float32Array, trunk: TrunkForward) {
    this.#base = base;
    this.#task = task;
    this.#positions = positions;
    this.#trunk = trunk;
  }

  /** `positions` `[channels, 6]` of the stream the trials come from. */
  static async open(
    base: Model,
    task: TaskSpec,
    positions: Float32Array,
    options: SessionOptions,
  ): Promise<TrialLatents> {
    const trunk = await TrunkForward.open(base.arch, options);
    return new TrialLatents(base, task, positions, trunk);
  }

  /** The trial's windows that are real enough for the task; none where it is all gaps. */
  async windows(signal: TrialSignal): Promise<WindowLatents[]> {
    const channels = this.#positions.length / 6;
    const samples = signal.data.length / channels;
    const ends = windowEnds(samples, this.#task);
    const { windowS, minValid } = this.#task;
    const seconds = new Map<number, Float32Array | undefined>();
    for (const end of ends) for (const at of secondEnds(end, windowS)) seconds.set(at, undefined);
    await this.#fill(signal, seconds, channels);
    const floats = this.#base.arch.latents * this.#base.arch.width;
    const out: WindowLatents[] = [];
    const spectra = trialSpectra(signal, channels, windowS);
    for (const end of ends) {
      const latents = new Float32Array(windowS * floats);
      const mask = new Float32Array(windowS);
      for (const [s, at] of secondEnds(end, windowS).entries()) {
        const second = seconds.get(at);
        if (second === undefined) continue;
        mask[s] = 1;
        latents.set(second, s * floats);
      }
      const usable = mask.reduce((sum, value) => sum + value, 0) / windowS;
      if (usable === 0 || usable < minValid) continue;
      const own = spectra(end);
      out.push({ latents, mask, ...(own === undefined ? {} : { spectra: own }) });
    }
    return out;
  }

  async #fill(
    signal: TrialSignal,
    seconds: Map<number, Float32Array | undefined>,
    channels: number,
  ): Promise<void> {
    const floats = this.#base.arch.latents * this.#base.arch.width;
    const ends = [...seconds.keys()];
    for (let from = 0; from < ends.length; from += secondsMax) {
      const some = ends.slice(from, from + secondsMax);
      const patches = new Float32Array(some.length * channels * patchSamples);
      const mask = new Float32Array(some.length * channels);
      const positions = new Float32Array(some.length * channels * 6);
      for (const [u, end] of some.entries()) {
        const into = u * channels;
        cutPatches(signal, end, {
          patches: patches.subarray(into * patchSamples, (into + channels) * patchSamples),
          mask: mask.subarray(into, into + channels),
        });
        positions.set(this.#positions, into * 6);
      }
      const units = { units: some.length, channels, patches, positions, mask };
      const latents = await this.#trunk.run(this.#base.weights, units);
      for (const [u, end] of some.entries()) {
        const real = mask.subarray(u * channels, (u + 1) * channels).some((value) => value > 0);
        if (real) seconds.set(end, latents.slice(u * floats, (u + 1) * floats));
      }
    }
  }

  async close(): Promise<void> {
    await this.#trunk.close();
  }
}

/** Ends of the windows in a trial of so many samples, evenly spread over it. */
export function windowEnds(samples: number, task: TaskSpec): number[] {
  const first = task.windowS * modelRateHz;
  const hop = Math.max(gridSamples, Math.round(task.hopS * modelRateHz));
  const count = Math.floor((samples - first) / hop) + 1;
  if (count <= windowsMax)
    return Array.from({ length: Math.max(0, count) }, (_, i) => first + i * hop);
  return Array.from({ length: windowsMax }, (_, i) => {
    return first + hop * Math.round((i * (count - 1)) / (windowsMax - 1));
  });
}

function secondEnds(end: number, windowS: number): number[] {
  return Array.from({ length: windowS }, (_, s) => end - (windowS - 1 - s) * modelRateHz);
}

/** The second that ends at `end`, as `SignalRing.patches` cuts it from the live stream. */
export function cutPatches(
  signal: TrialSignal,
  end: number,
  into: { readonly patches: Float32Array; readonly mask: Float32Array },
): void {
  const channels = into.mask.length;
  const samples = signal.data.length / channels;
  const tick = end / gridSamples - 1;
  for (let c = 0; c < channels; c++) {
    const scale = signal.scale[tick * channels + c] as number;
    const from = c * samples + end - patchSamples;
    const second = signal.data.subarray(from, from + patchSamples);
    const whole =
      signal.valid.subarray(from, from + patchSamples).every((value) => value === 1) &&
      second.every(Number.isFinite);
    into.mask[c] = scale > 0 && whole ? 1 : 0;
    if (into.mask[c] === 0) continue;
    for (let i = 0; i < patchSamples; i++) {
      const x = (signal.data[from + i] as number) / scale;
      into.patches[c * patchSamples + i] = Math.min(patchClip, Math.max(-patchClip, x));
    }
  }
}
