/**
 * From measured band powers to a signal: micro-structure is laid out first, then coloured noise
 * fills what is missing of each epoch's measured power, so that the sum follows the real night.
 */
import { Rng } from '../../core/rng.js';
import { type AwakePiece, type AwakeSignals, bandPowers, layPieces, layReal } from './awake.js';
import {
  drawPerson,
  epochEvents,
  type MicroEvent,
  type Person,
  type Track,
} from './micro-structure.js';
import type { SleepChannel } from './montages.js';
import { bandsHz, shapeNoise, smoothDensity, synthesisRateHz, whiteNoise } from './spectrum.js';

export const epochS = 30;
const epochSamples = epochS * synthesisRateHz;
/** Index of the band whose power a track of events takes up. */
const trackBand: Readonly<Record<Exclude<Track, 'movement'>, number>> = {
  delta: 0,
  theta: 1,
  alpha: 2,
  sigma: 3,
};
const tracks = ['delta', 'theta', 'alpha', 'sigma'] as const;
/** Events may make up this share of an epoch's power in their band. */
const eventShareMax = 0.8;
const noiseShareMin = 0.15;
/** Stages change within seconds, not at the tick of an epoch. */
const blendS = 4;

export interface NightExcerpt {
  /** One of W, N1, N2, N3, R an epoch. */
  readonly stages: readonly string[];
  /** `[epochs, 2, 5]` uV^2/Hz of Fpz-Cz and Pz-Oz. */
  readonly power: Float32Array;
}

export interface SynthesisOptions {
  readonly seed: number;
  readonly channels: readonly SleepChannel[];
  /** Whitened real recordings, of any length; none = Gaussian noise only. */
  readonly backgrounds: readonly Float32Array[];
  /** A recording of an awake person, one signal a channel: part of the wake is taken from it. */
  readonly awake?: AwakeSignals | undefined;
  /** How far spectra of electrodes and people lie apart, in units of the usual; 1 where absent. */
  readonly spread?: number | undefined;
}

/** One `Float32Array` of microvolts at 200 Hz a channel. */
export function synthesise(excerpt: NightExcerpt, options: SynthesisOptions): Float32Array[] {
  const rng = new Rng(options.seed);
  const person = drawPerson(rng);
  const events = layOut(excerpt.stages, person, rng);
  const samples = excerpt.stages.length * epochSamples;
  const shared = whiteNoise(samples, rng);
  const loudness = wander(excerpt.stages.length, rng);
  const realShare = options.backgrounds.length === 0 ? 0 : 0.2 + 0.7 * rng.uniform();
  const pieces = layAwake(excerpt.stages, options.awake, rng);
  return options.channels.map((channel, c) => {
    const common = 0.3 + 0.5 * rng.uniform();
    const own = mixSources(samples, options.backgrounds, realShare, rng);
    const white = own.map(
      (value, i) => Math.sqrt(1 - common) * value + Math.sqrt(common) * shared[i],
    );
    const real = options.awake?.[c];
    const awake = real === undefined ? undefined : { real, pieces };
    const { spread = 1 } = options;
    return synthesiseChannel(excerpt, channel, { events, white, loudness, awake, spread }, rng);
  });
}

/** Some nights' wake is all real, some's none, of the others every bout is drawn for. */
function layAwake(
  stages: readonly string[],
  awake: AwakeSignals | undefined,
  rng: Rng,
): AwakePiece[] {
  const dice = rng.uniform();
  const share = dice < 0.4 ? 1 : dice < 0.65 ? 0 : 0.5;
  const available = Math.min(...(awake ?? []).map(({ length }) => length));
  const out: AwakePiece[] = [];
  if (awake === undefined || available < epochSamples) return out;
  for (let e = 0; e < stages.length; ) {
    let end = e + 1;
    while (end < stages.length && stages[end] === stages[e]) end++;
    if (stages[e] === 'W' && rng.uniform() < share)
      out.push(...layPieces(e * epochSamples, end * epochSamples, available, rng));
    e = end;
  }
  return out;
}

function layOut(stages: readonly string[], person: Person, rng: Rng): MicroEvent[] {
  return stages.flatMap((stage, e) => epochEvents(stage, e * epochS, epochS, person, rng));
}

/** Gaussian noise and pieces of real recordings, unit variance. */
function mixSources(
  samples: number,
  backgrounds: readonly Float32Array[],
  share: number,
  rng: Rng,
): Float32Array {
  const out = whiteNoise(samples, rng);
  if (share === 0) return out;
  const [a, b] = [Math.sqrt(1 - share), Math.sqrt(share)];
  for (let at = 0; at < samples; ) {
    const real = backgrounds[rng.below(backgrounds.length)];
    const from = rng.below(Math.max(1, real.length - 2000));
    const length = Math.min(samples - at, real.length - from, 12_000);
    for (let i = 0; i < length; i++) out[at + i] = a * out[at + i] + b * real[from + i];
    at += length;
  }
  return out;
}

/** Slow swelling of the noise within epochs: log gain every 5 s, mean 0. */
function wander(epochs: number, rng: Rng): Float64Array {
  let value = 0;
  return Float64Array.from({ length: epochs * 6 + 2 }, () => {
    value = 0.7 * value + 0.2 * rng.normal();
    return value;
  });
}

interface Ingredients {
  readonly events: readonly MicroEvent[];
  readonly white: Float32Array;
  readonly loudness: Float64Array;
  readonly awake?: { real: Float32Array; pieces: readonly AwakePiece[] } | undefined;
  readonly spread: number;
}

function synthesiseChannel(
  excerpt: NightExcerpt,
  channel: SleepChannel,
  ingredients: Ingredients,
  rng: Rng,
): Float32Array {
  const { events, white, loudness, awake, spread } = ingredients;
  const epochs = excerpt.stages.length;
  const targets = channelPowers(excerpt, channel, spread, rng);
  const residual = targets.slice();
  const out = new Float32Array(white.length);
  for (const track of tracks) {
    const rendered = render(events, track, channel, white.length);
    const band = trackBand[track];
    const width = bandsHz[band][1] - bandsHz[band][0];
    const gains = new Float64Array(epochs);
    for (let e = 0; e < epochs; e++) {
      const power = variance(rendered, e * epochSamples, epochSamples) / width;
      const target = targets[e * 5 + band];
      gains[e] = power === 0 ? 1 : Math.min(1, Math.sqrt((eventShareMax * target) / power));
      const left = target - gains[e] ** 2 * power;
      residual[e * 5 + band] = Math.max(left, noiseShareMin * target);
    }
    addScaled(out, rendered, gains);
  }
  const densities = Array.from({ length: epochs }, (_, e) =>
    smoothDensity(residual.subarray(e * 5, e * 5 + 5)),
  );
  const noise = shapeNoise(white, (timeS) => blended(densities, timeS, loudness));
  // Gain of electrode and amplifier: another one for every recording.
  const gain = Math.exp(0.35 * rng.normal());
  const floorUv = 0.3 * Math.exp(0.7 * rng.normal());
  const moved = render(events, 'movement', channel, white.length);
  const movedGain = Math.exp(0.4 * rng.normal());
  for (let i = 0; i < out.length; i++) out[i] += noise[i];
  if (awake !== undefined) {
    const level = awakeGain(excerpt.stages, targets, awake.real) * Math.exp(0.2 * rng.normal());
    layReal(out, awake.real, awake.pieces, level);
  }
  for (let i = 0; i < out.length; i++)
    out[i] = gain * (out[i] + movedGain * moved[i]) + floorUv * rng.normal();
  return out;
}

/** Brings another person's wake to the level of this one's, by theta, alpha and beta. */
function awakeGain(stages: readonly string[], targets: Float32Array, real: Float32Array): number {
  const powers = bandPowers(real);
  let sum = 0;
  let count = 0;
  for (const [e, stage] of stages.entries()) {
    if (stage !== 'W') continue;
    for (const b of [1, 2, 3]) sum += Math.log(targets[e * 5 + b] / Math.max(powers[b], 1e-6));
    count += 3;
  }
  return count === 0 ? 1 : Math.exp(sum / count / 2);
}

/** `[epochs, 5]` at this electrode: between the two measured ones, eyes as far as they reach it. */
function channelPowers(
  excerpt: NightExcerpt,
  channel: SleepChannel,
  spread: number,
  rng: Rng,
): Float32Array {
  const { site } = channel;
  const epochs = excerpt.stages.length;
  const out = new Float32Array(epochs * 5);
  const measured = site.front === 0 || site.front === 1;
  const offset = bandsHz.map(() => spread * (measured ? 0.25 : 0.4) * rng.normal());
  const tilt = spread * (measured ? 0.1 : 0.22) * rng.normal();
  const brainRatio = Math.exp(Math.log(6) + 0.3 * spread * rng.normal());
  for (let e = 0; e < epochs; e++) {
    const at = e * 10;
    for (let b = 0; b < 5; b++) {
      const front = Math.log(Math.max(excerpt.power[at + b], 1e-3));
      const back = Math.log(Math.max(excerpt.power[at + 5 + b], 1e-3));
      const octaves = Math.log2(Math.sqrt(bandsHz[b][0] * bandsHz[b][1]) / 6);
      const mixed = site.front * front + (1 - site.front) * back + (site.shift?.[b] ?? 0);
      out[e * 5 + b] = Math.exp(mixed + offset[b] + tilt * octaves);
    }
    const stage = excerpt.stages[e];
    if (stage === 'N2' || stage === 'N3') continue;
    // In light sleep, REM sleep and wake most of the frontal delta is eyes and movement.
    const brain = Math.min(out[e * 5], out[e * 5 + 1] * brainRatio);
    const reach = Math.min(1, site.ocular / Math.max(0.06, site.front)) ** 2;
    out[e * 5] = brain + reach * (out[e * 5] - brain);
  }
  return out;
}

function render(
  events: readonly MicroEvent[],
  track: Track,
  channel: SleepChannel,
  samples: number,
): Float32Array {
  const out = new Float32Array(samples);
  for (const event of events) {
    if (event.track !== track) continue;
    const weight = event.seenBy === 'everywhere' ? 1 : channel.site[event.seenBy];
    const from = Math.round(event.startS * synthesisRateHz);
    const length = Math.min(event.wave.length, samples - from);
    for (let i = 0; i < length; i++) out[from + i] += weight * event.wave[i];
  }
  return out;
}

function variance(x: Float32Array, from: number, length: number): number {
  let sum = 0;
  let square = 0;
  for (let i = from; i < from + length; i++) {
    sum += x[i];
    square += x[i] * x[i];
  }
  return square / length - (sum / length) ** 2;
}

/** Gains of the epochs' centres, straight lines between them. */
function addScaled(out: Float32Array, x: Float32Array, gains: Float64Array): void {
  for (let i = 0; i < out.length; i++) {
    if (x[i] === 0) continue;
    const at = i / epochSamples - 0.5;
    const e = Math.floor(at);
    const low = gains[Math.max(0, e)];
    const high = gains[Math.min(gains.length - 1, e + 1)];
    out[i] += x[i] * (low + (high - low) * (at - e));
  }
}

/** Density at a time: the epoch's own, blended with its neighbour's near the border. */
function blended(
  densities: readonly Float64Array[],
  timeS: number,
  loudness: Float64Array,
): Float64Array {
  const last = densities.length - 1;
  const e = Math.min(last, Math.max(0, Math.floor(timeS / epochS)));
  const inside = timeS - e * epochS;
  const beat = Math.max(0, timeS / 5);
  const i = Math.min(loudness.length - 2, Math.floor(beat));
  const swell = Math.exp(loudness[i] + (loudness[i + 1] - loudness[i]) * Math.min(1, beat - i));
  let other = e;
  let weight = 0;
  if (inside < blendS && e > 0) [other, weight] = [e - 1, 0.5 * (1 - inside / blendS)];
  if (epochS - inside < blendS && e < last)
    [other, weight] = [e + 1, 0.5 * (1 - (epochS - inside) / blendS)];
  const [a, b] = [densities[e], densities[other]];
  return a.map((value, k) => swell * (value + weight * (b[k] - value)));
}
