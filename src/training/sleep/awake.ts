/**
 * Recordings of awake people lent to the generated nights: their wake as it is, and, whitened, the
 * texture of sleep. What is real then says nothing about the stage: the same recording is both.
 */
import type { Rng } from '../../core/rng.js';
import { openRecording, type Recording } from '../../formats/recording.js';
import { parseElectrodes } from '../../signal/electrodes.js';
import { bandMean, Fft, welch } from '../fft.js';
import type { SleepChannel } from './montages.js';
import { bandsHz, synthesisRateHz, whiten } from './spectrum.js';

/** A recording and the set it belongs to; sets are drawn from evenly, whatever their size. */
export interface Background {
  readonly set: string;
  readonly path: string;
}

/** Of one recording: a signal in microvolts at 200 Hz for each channel of a montage. */
export type AwakeSignals = readonly Float32Array[];

export interface Donors {
  /** Whitened, of unit variance. */
  readonly textures: readonly Float32Array[];
  /** One that has all electrodes of the montage, or near ones; absent where none was found. */
  readonly awake?: AwakeSignals;
}

const texturesMax = 3;
const tries = 6;
/** Delta over theta beyond which a recording is drift rather than brain: texture, but not wake. */
const driftMax = 10;
const ear = /^([AM][12]|TP(9|10))$/;

/** Donors for a montage: some at random, and one of them, if any fits, for real wake. */
export async function findDonors(
  backgrounds: readonly Background[],
  channels: readonly SleepChannel[],
  rng: Rng,
): Promise<Donors> {
  const sets = [...new Set(backgrounds.map(({ set }) => set))];
  const textures: Float32Array[] = [];
  let awake: AwakeSignals | undefined;
  for (let i = 0; i < tries && sets.length > 0; i++) {
    if (awake !== undefined && textures.length >= texturesMax) break;
    const set = sets[rng.below(sets.length)];
    const own = backgrounds.filter((one) => one.set === set);
    const recording = await openRecording(own[rng.below(own.length)].path);
    try {
      const found = awake === undefined ? montageOf(recording, channels, rng) : undefined;
      if (found !== undefined) {
        awake = found;
        textures.unshift(...found.map(whiten));
      } else if (textures.length < texturesMax) {
        textures.push(whiten(resampled(recording, [anyChannel(recording, rng)])));
      }
    } finally {
      recording.close();
    }
  }
  return awake === undefined ? { textures } : { textures, awake };
}

/** The channels of a montage from a recording of other electrodes; undefined where it has none. */
function montageOf(
  recording: Recording,
  channels: readonly SleepChannel[],
  rng: Rng,
): AwakeSignals | undefined {
  const names = recording.channels.map(({ kind, label }) =>
    kind === 'eeg' ? parseElectrodes(label).active : undefined,
  );
  const out: Float32Array[] = [];
  for (const { label } of channels) {
    const { active, reference } = parseElectrodes(label);
    const from = nearest(names, active ?? 'CZ', rng);
    if (from === undefined) return undefined;
    const against =
      reference === undefined || ear.test(reference) ? undefined : nearest(names, reference, rng);
    const bipolar = reference !== undefined && !ear.test(reference);
    if (bipolar && (against === undefined || against === from)) return undefined;
    const signal = resampled(recording, against === undefined ? [from] : [from, against]);
    const powers = bandPowers(signal);
    if (powers[0] > driftMax * powers[1]) return undefined;
    out.push(signal);
  }
  return out;
}

/** The electrode itself, or one over the same part of the head. */
function nearest(
  names: readonly (string | undefined)[],
  wanted: string,
  rng: Rng,
): number | undefined {
  const exact = names.indexOf(wanted);
  if (exact >= 0) return exact;
  const part = partOfHead(wanted);
  const near = names.flatMap((name, i) =>
    name !== undefined && partOfHead(name) === part ? [i] : [],
  );
  return near.length === 0 ? undefined : near[rng.below(near.length)];
}

/** By the letters of the 10-10 system. */
function partOfHead(name: string): string {
  if (/^(FP|AF)/.test(name)) return 'prefrontal';
  if (/^(FT|T|A\d|M\d)/.test(name)) return 'temporal';
  if (/^(FC|C)/.test(name)) return 'central';
  if (/^F/.test(name)) return 'frontal';
  return /^(PO|O|I)/.test(name) ? 'occipital' : 'parietal';
}

function anyChannel(recording: Recording, rng: Rng): number {
  const eeg = recording.channels.flatMap((channel, c) => (channel.kind === 'eeg' ? [c] : []));
  return eeg[rng.below(eeg.length)] ?? 0;
}

/** A channel, or the difference of two, at 200 Hz by straight lines; gaps in it are zero. */
function resampled(recording: Recording, picked: readonly number[]): Float32Array {
  const [c, minus] = picked;
  const width = recording.channels.length;
  const frames = recording.read(0, recording.frames);
  const value = (frame: number): number =>
    frames[frame * width + c] - (minus === undefined ? 0 : frames[frame * width + minus]);
  const step = recording.rateHz / synthesisRateHz;
  return Float32Array.from({ length: Math.floor((recording.frames - 1) / step) }, (_, i) => {
    const at = Math.floor(i * step);
    const [a, b] = [value(at), value(at + 1)];
    const x = a + (b - a) * (i * step - at);
    return Number.isFinite(x) ? x : 0;
  });
}

/** Median over 5 s of the mean density of each band, uV^2/Hz: artefacts do not move it. */
export function bandPowers(x: Float32Array): number[] {
  const piece = 5 * synthesisRateHz;
  const fft = new Fft(512);
  const rows: number[][] = [];
  for (let from = 0; from + piece <= x.length; from += piece) {
    const density = welch(x.subarray(from, from + piece), synthesisRateHz, fft);
    rows.push(bandsHz.map(([low, high]) => bandMean(density, synthesisRateHz, low, high)));
  }
  return bandsHz.map((_, b) => rows.map((row) => row[b]).sort((p, q) => p - q)[rows.length >> 1]);
}

/** Where real wake lies in a night: the same for all its channels. */
export interface AwakePiece {
  /** Sample of the night, and of the recording. */
  readonly at: number;
  readonly from: number;
  readonly samples: number;
}

/** Pieces side by side over `[start, end)`, each from a random place of a recording. */
export function layPieces(start: number, end: number, available: number, rng: Rng): AwakePiece[] {
  const out: AwakePiece[] = [];
  for (let at = start; at < end; ) {
    const from = rng.below(Math.max(1, available - 10 * synthesisRateHz));
    const samples = Math.min(end - at, available - from);
    out.push({ at, from, samples });
    at += samples;
  }
  return out;
}

/** Replaces `out` by `gain` times the pieces, fading over a second (power is kept). */
export function layReal(
  out: Float32Array,
  real: Float32Array,
  pieces: readonly AwakePiece[],
  gain: number,
): void {
  const fade = synthesisRateHz;
  for (const { at, from, samples } of pieces)
    for (let i = 0; i < samples && at + i < out.length; i++) {
      const edge = Math.min(1, (Math.min(i, samples - 1 - i) + 0.5) / fade);
      const share = Math.sin((Math.PI / 2) * edge);
      out[at + i] = Math.sqrt(1 - share * share) * out[at + i] + share * gain * real[from + i];
    }
}
