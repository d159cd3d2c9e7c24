/**
 * The generated sleep set: stage sequences and band powers of real nights (sleepedf-bandpower)
 * turned into recordings that open like files. Excerpts begin anywhere in the night, as a headset
 * may, with electrodes, rate and gain of their own; the same seed gives the same samples.
 */
import { basename, join } from 'node:path';
import { EegError } from '../../core/errors.js';
import { Rng } from '../../core/rng.js';
import type { Recording } from '../../formats/recording.js';
import { joinSpans, type LabelledSpan, type RecordingRef } from '../datasets/dataset.js';
import { memoryRecording } from '../datasets/memory-recording.js';
import { type Background, findDonors } from './awake.js';
import { couple } from './coupling.js';
import { drawMontage, type SleepChannel } from './montages.js';
import { readNpy } from './npy.js';
import { synthesisRateHz } from './spectrum.js';
import { epochS, type NightExcerpt, synthesise } from './synthesis.js';

export const stageNames = ['W', 'N1', 'N2', 'N3', 'R'] as const;
/** Change when the samples a seed gives change: prepared copies are keyed by it. */
const generatorVersion = 2;
/** Recorders of the field: 200 Hz halved and quartered reaches the old and the small ones. */
const decimations = [1, 1, 1, 2, 2, 4];

export interface GeneratedSetOptions {
  readonly set: string;
  /** Folder with power.npy, stage.npy, subject.npy, night.npy. */
  readonly root: string;
  readonly seed: number;
  readonly excerptsPerNight: number;
  readonly minutes: readonly [number, number];
  /** See `SynthesisOptions`. */
  readonly spread?: number | undefined;
  /** True: recorders differ in what they let through below the band (coupling.ts). */
  readonly coupling?: boolean | undefined;
  /** Recordings whose texture may be laid into the nights of this person: of the same side. */
  backgroundsOf(subject: string): readonly Background[];
}

interface Night {
  readonly subject: string;
  readonly night: number;
  readonly first: number;
  readonly epochs: number;
}

export function scanGenerated(options: GeneratedSetOptions): RecordingRef[] {
  const stage = readNpy(join(options.root, 'stage.npy')).data;
  const refs: RecordingRef[] = [];
  for (const night of findNights(options.root)) {
    const sleep = sleepRange(stage, night);
    for (let i = 0; i < options.excerptsPerNight; i++) {
      const id = `${night.subject}-night${night.night}-${i}`;
      const rng = new Rng(hashSeed(`${options.seed}/${id}`));
      const [low, high] = options.minutes;
      const length = Math.min(night.epochs, Math.round((low + (high - low) * rng.uniform()) * 2));
      const earliest = Math.max(0, sleep.first - 40);
      const latest = Math.max(earliest + 1, sleep.last - Math.round(length / 2));
      const start = Math.min(earliest + rng.below(latest - earliest), night.epochs - length);
      refs.push(excerptRef(options, id, night, Math.max(0, start), length, stage));
    }
  }
  return refs;
}

function findNights(root: string): Night[] {
  const subject = readNpy(join(root, 'subject.npy')).data;
  const night = readNpy(join(root, 'night.npy')).data;
  const out: Night[] = [];
  for (let from = 0; from < subject.length; ) {
    let to = from;
    while (to < subject.length && subject[to] === subject[from] && night[to] === night[from]) to++;
    const name = `SC4${String(subject[from]).padStart(2, '0')}`;
    out.push({ subject: name, night: night[from], first: from, epochs: to - from });
    from = to;
  }
  return out;
}

/** Epochs of the night, from its start, between which there is sleep. */
function sleepRange(stage: ArrayLike<number>, night: Night): { first: number; last: number } {
  let first = -1;
  let last = -1;
  for (let e = 0; e < night.epochs; e++) {
    if (stage[night.first + e] === 0) continue;
    if (first < 0) first = e;
    last = e;
  }
  if (first < 0) throw new EegError('EEG_DATA_INVALID', `${night.subject}: a night without sleep`);
  return { first, last };
}

function excerptRef(
  options: GeneratedSetOptions,
  id: string,
  night: Night,
  start: number,
  length: number,
  stage: ArrayLike<number>,
): RecordingRef {
  const from = night.first + start;
  const stages = Array.from({ length }, (_, e) => stageNames[stage[from + e]]);
  const spans = stages.map(
    (label, e): LabelledSpan => ({ startS: e * epochS, endS: (e + 1) * epochS, label }),
  );
  const seed = hashSeed(`${options.seed}/${id}/signal`);
  const backgrounds = options.backgroundsOf(night.subject);
  return {
    set: options.set,
    id,
    subject: night.subject,
    run: `night${night.night}`,
    spans: joinSpans(spans),
    recipe: JSON.stringify({
      generatorVersion,
      seed,
      from,
      length,
      backgrounds: hashSeed(backgrounds.map(({ path }) => basename(path)).join()),
      spread: options.spread,
      coupling: options.coupling,
    }),
    open: () => generate(options, id, { from, stages, seed, backgrounds }),
  };
}

interface Excerpt {
  readonly from: number;
  readonly stages: readonly string[];
  readonly seed: number;
  readonly backgrounds: readonly Background[];
}

async function generate(
  { root, spread, coupling }: GeneratedSetOptions,
  id: string,
  excerpt: Excerpt,
): Promise<Recording> {
  const rng = new Rng(excerpt.seed);
  const channels: SleepChannel[] = drawMontage(rng);
  const decimation = decimations[rng.below(decimations.length)];
  const { textures, awake } = await findDonors(excerpt.backgrounds, channels, rng);
  const power = readNpy(join(root, 'power.npy')).data;
  const night: NightExcerpt = {
    stages: excerpt.stages,
    power: Float32Array.from(
      power.subarray(excerpt.from * 10, (excerpt.from + excerpt.stages.length) * 10),
    ),
  };
  const seed = rng.next();
  const signals = synthesise(night, { seed, channels, backgrounds: textures, awake, spread });
  if (coupling === true) couple(signals, new Rng(hashSeed(`${excerpt.seed}/coupling`)));
  const cutHz = bandwidthHz(rng, awake !== undefined);
  return memoryRecording(
    `${id}.generated`,
    synthesisRateHz / decimation,
    channels.map((channel) => channel.label),
    signals.map((signal) => decimate(lowPassed(signal, cutHz), decimation)),
  );
}

/**
 * Upper edge of the recorder's band, infinite where it has none. Lent recordings end at 40 Hz and
 * above: where there is one, the whole night ends below, so that its end tells nothing.
 */
function bandwidthHz(rng: Rng, lent: boolean): number {
  const cutHz = 28 + 10 * rng.uniform();
  return lent || rng.uniform() < 0.4 ? cutHz : Number.POSITIVE_INFINITY;
}

function lowPassed(x: Float32Array, cutHz: number): Float32Array {
  if (!Number.isFinite(cutHz)) return x;
  const half = 32;
  const cut = (2 * cutHz) / synthesisRateHz;
  const taps = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const t = i - half;
    const sinc = t === 0 ? cut : Math.sin(Math.PI * cut * t) / (Math.PI * t);
    return sinc * (0.5 + 0.5 * Math.cos((Math.PI * t) / (half + 1)));
  });
  return filtered(x, taps, 1);
}

/** Windowed sinc (Hann, 16 samples of the slower rate), then every n-th sample. */
function decimate(x: Float32Array, factor: number): Float32Array {
  if (factor === 1) return x;
  const half = 8 * factor;
  const taps = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const t = (i - half) / factor;
    const sinc = t === 0 ? 0.9 : Math.sin(0.9 * Math.PI * t) / (Math.PI * t);
    return (sinc / factor) * (0.5 + 0.5 * Math.cos((Math.PI * (i - half)) / (half + 1)));
  });
  return filtered(x, taps, factor);
}

/** Every `step`-th sample of `x` through symmetric taps. */
function filtered(x: Float32Array, taps: Float64Array, step: number): Float32Array {
  const half = (taps.length - 1) / 2;
  const out = new Float32Array(Math.floor(x.length / step));
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let k = -half; k <= half; k++) sum += (x[i * step + k] ?? 0) * taps[k + half];
    out[i] = sum;
  }
  return out;
}

/** FNV-1a of the text: a seed of its own for every name. */
export function hashSeed(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++)
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
