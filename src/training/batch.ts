/**
 * Drawn windows into the arrays of a training step: patches cut from disk, augmented, every second
 * a unit of the trunk. Windows of like montages go together, so that no second of two channels is
 * padded to twenty; a step sums the gradients of its parts.
 */
import type { Rng } from '../core/rng.js';
import {
  contextStepS,
  gridSamples,
  modelRateHz,
  patchSamples,
  type TaskSpec,
} from '../core/tasks.js';
import type { Architecture } from '../model/architecture.js';
import { makeTargets, type TrainingBatch } from '../model/training-batch.js';
import { difference, historyTimeS, historyWindows } from '../windows/history.js';
import { augment, type Cut } from './augment.js';
import type { PreparedRecording } from './prepared.js';
import type { Augmentation } from './recipe-schema.js';
import { secondEnds, type TaskWindow } from './windows.js';

/** Montages that share a part of the step, by their channels. */
const montages = [
  { kind: 'narrow', from: 0, to: 4 },
  { kind: 'wide', from: 5, to: 24 },
  { kind: 'dense', from: 25, to: Number.POSITIVE_INFINITY },
];
/**
 * Floats of the widest activations in one part: beyond it they leave a core's cache (2 MB), and a
 * row costs a third more (`npm run bench:train`, 8 against 32 rows).
 */
const partFloatsMax = 2 ** 19;
/** Seconds of each preceding window whose latents stand for its average while training. */
const contextSeconds = 4;
/** Seconds, drawn anywhere in the last of it, whose latents stand for a history. */
const historySeconds = 16;

/** A window cut out: its own seconds, after those of its context. */
export interface Piece {
  readonly window: TaskWindow;
  readonly cut: Cut;
  /** Windows looked back at: how many seconds of the cut they took, and their time. */
  readonly context: readonly { readonly seconds: number; readonly timeS: number }[];
}

export interface CutOptions {
  readonly arch: Architecture;
  readonly augmentation: Augmentation;
  readonly rng: Rng;
  /** `[task]` classes that name a side, by name; none where absent. */
  readonly mirrored?: readonly (Readonly<Record<string, string>> | undefined)[];
}

export function cutPiece(window: TaskWindow, options: CutOptions): Piece {
  const { arch, augmentation, rng } = options;
  const spec = arch.tasks[window.task];
  const { prepared } = window.material;
  const endSample = shifted(window, spec.windowS, augmentation.timeShiftS, rng);
  const context: { seconds: number; timeS: number }[] = [];
  const ends: number[] = [];
  const stepS = contextStepS(spec);
  if (spec.history === true) {
    ends.push(...historyEnds(endSample, spec, rng));
    context.push({ seconds: historySeconds, timeS: historyTimeS(spec) });
  }
  for (let back = spec.contextWindows; back > 0; back--) {
    const end = endSample - Math.round(back * stepS * modelRateHz);
    if (end < spec.windowS * modelRateHz) continue;
    const all = rng.shuffle(secondEnds(end, spec.windowS)).slice(0, contextSeconds);
    ends.push(...all.sort((a, b) => a - b));
    context.push({ seconds: all.length, timeS: -back * stepS });
  }
  ends.push(...secondEnds(endSample, spec.windowS));
  const cut = cutSeconds(prepared, ends, window.channelsMax, rng);
  const other = augment(cut, augmentation, rng)
    ? options.mirrored?.[window.task]?.[spec.classes[window.label]]
    : undefined;
  const label = other === undefined ? window.label : spec.classes.indexOf(other);
  return { window: { ...window, endSample, label }, cut, context };
}

/** Some seconds of those that a history is the mean of, the window's own among them. */
function historyEnds(endSample: number, spec: TaskSpec, rng: Rng): number[] {
  const last = Math.floor(endSample / modelRateHz);
  const first = Math.max(0, last - historyWindows * contextStepS(spec));
  const drawn = Array.from({ length: historySeconds }, () => first + 1 + rng.below(last - first));
  return drawn.sort((a, b) => a - b).map((second) => second * modelRateHz);
}

/** Trials and stages begin where an annotator put them; a moment earlier is as true. */
function shifted(window: TaskWindow, windowS: number, shiftS: number, rng: Rng): number {
  const ticks = Math.round((shiftS * modelRateHz) / gridSamples);
  const moved = window.endSample + gridSamples * (rng.below(2 * ticks + 1) - ticks);
  const { samples } = window.material.prepared;
  const last = Math.floor(samples / gridSamples) * gridSamples;
  return Math.min(last, Math.max(windowS * modelRateHz, moved));
}

/** Patches of the seconds at `ends` for up to `channelsMax` channels, drawn at random. */
export function cutSeconds(
  prepared: PreparedRecording,
  ends: readonly number[],
  channelsMax: number,
  rng: Rng,
): Cut {
  const order = Array.from({ length: prepared.channels }, (_, c) => c);
  const picked =
    prepared.channels <= channelsMax
      ? order
      : rng
          .shuffle(order)
          .slice(0, channelsMax)
          .sort((a, b) => a - b);
  const channels = picked.length;
  const patches = new Float32Array(ends.length * channels * patchSamples);
  const mask = new Float32Array(ends.length * channels);
  prepared.patches(ends, patches, mask, picked);
  const positions = new Float32Array(channels * 6);
  for (const [place, c] of picked.entries())
    positions.set(prepared.positions.subarray(c * 6, c * 6 + 6), place * 6);
  return { seconds: ends.length, channels, patches, positions, mask };
}

/** Pieces of like montages, not too many: one part of a step. */
export interface Part {
  /** `narrow.0`, `narrow.1`, ..., `wide.0`, ..., `dense.0`, ... */
  readonly kind: string;
  readonly pieces: readonly Piece[];
}

/** Parts of like montages. Pieces without a single usable second are left out. */
export function groupPieces(pieces: readonly Piece[], arch: Architecture): Part[] {
  const usable = pieces.filter((piece) => {
    const context = piece.context.reduce((sum, one) => sum + one.seconds, 0);
    return piece.cut.mask.subarray(context * piece.cut.channels).some((value) => value > 0);
  });
  return montages.flatMap(({ kind, from, to }) => {
    const own = usable.filter(({ cut }) => cut.channels >= from && cut.channels <= to);
    return inParts(own, arch).map((pieces, i) => ({ kind: `${kind}.${i}`, pieces }));
  });
}

/** As few parts as fit, of about as many pieces each, longest windows first: less is padded. */
function inParts(pieces: readonly Piece[], arch: Architecture): Piece[][] {
  const seconds = (piece: Piece): number =>
    piece.context.length + arch.tasks[piece.window.task].windowS;
  const sorted = [...pieces].sort((a, b) => seconds(b) - seconds(a));
  const tokens = (piece: Piece): number =>
    seconds(piece) * Math.max(piece.cut.channels, arch.latents);
  const total = sorted.reduce((sum, piece) => sum + tokens(piece), 0);
  const count = Math.max(1, Math.ceil((total * arch.ffn) / partFloatsMax));
  const each = Math.ceil(sorted.length / count);
  return Array.from({ length: count }, (_, i) => sorted.slice(i * each, (i + 1) * each)).filter(
    (part) => part.length > 0,
  );
}

/** Seconds of some cuts, packed for the trunk: `[units, channels, ...]`, the unusable left out. */
export interface Units {
  readonly units: number;
  readonly channels: number;
  readonly patches: Float32Array;
  readonly positions: Float32Array;
  readonly mask: Float32Array;
}

export function packUnits(seconds: readonly { cut: Cut; second: number }[]): Units {
  const channels = Math.max(1, ...seconds.map(({ cut }) => cut.channels));
  const units = seconds.length;
  const patches = new Float32Array(units * channels * patchSamples);
  const positions = new Float32Array(units * channels * 6);
  const mask = new Float32Array(units * channels);
  for (const [u, { cut, second }] of seconds.entries()) {
    const row = second * cut.channels;
    const floats = cut.channels * patchSamples;
    patches.set(
      cut.patches.subarray(row * patchSamples, row * patchSamples + floats),
      u * channels * patchSamples,
    );
    positions.set(cut.positions, u * channels * 6);
    mask.set(cut.mask.subarray(row, row + cut.channels), u * channels);
  }
  return { units, channels, patches, positions, mask };
}

export interface BatchOptions {
  readonly arch: Architecture;
  readonly labelSmoothing: number;
  /** Weight of each piece's row; they sum to 1 over the whole step. */
  readonly rowWeight: (piece: Piece) => number;
  /** Latents `[units, latents, width]` of seconds, without a gradient. */
  latents(units: Units): Promise<Float32Array>;
}

/** One part of a step. Context comes from the trunk as it stands, as constants. */
export async function makeBatch(
  pieces: readonly Piece[],
  options: BatchOptions,
): Promise<TrainingBatch> {
  const { arch } = options;
  const floats = arch.latents * arch.width;
  const rows = pieces.length;
  const own = (piece: Piece): number => arch.tasks[piece.window.task].windowS;
  const seconds = Math.max(...pieces.map((piece) => piece.context.length + own(piece)));
  const times = new Float32Array(rows * seconds);
  const mask = new Float32Array(rows * seconds);
  const index = new Int32Array(rows * seconds).fill(-1);
  const units: { cut: Cut; second: number }[] = [];
  const averages = await contextAverages(pieces, floats, options);
  const usuals = pieces.map((piece, r) => setApart(arch.tasks[piece.window.task], averages[r]));
  const rowOf: number[] = [];
  const contextPlaces: number[] = [];
  for (const [r, piece] of pieces.entries()) {
    const before = piece.context.reduce((sum, one) => sum + one.seconds, 0);
    for (const [i, { timeS }] of piece.context.entries()) {
      times[r * seconds + i] = timeS;
      if (averages[r][i] !== undefined) contextPlaces.push(r * seconds + i);
    }
    for (let s = 0; s < own(piece); s++) {
      const place = r * seconds + piece.context.length + s;
      times[place] = s + 1 - own(piece);
      if (!usable(piece.cut, before + s)) continue;
      mask[place] = 1;
      index[place] = units.length;
      rowOf.push(r);
      units.push({ cut: piece.cut, second: before + s });
    }
  }
  const context = new Float32Array(contextPlaces.length * floats);
  for (const [i, place] of contextPlaces.entries()) {
    const row = Math.floor(place / seconds);
    context.set(averages[row][place - row * seconds] as Float32Array, i * floats);
    mask[place] = 1;
    index[place] = units.length + i;
  }
  const packed = packUnits(units);
  const besides = usuals.some((one) => one !== undefined);
  const usual = new Float32Array(besides ? units.length * floats : 0);
  if (besides) for (const [u, r] of rowOf.entries()) usual.set(usuals[r] ?? [], u * floats);
  const task = Int32Array.from(pieces, (piece) => piece.window.task);
  const labels = pieces.map((piece) => piece.window.label);
  return {
    rows,
    seconds,
    times,
    mask,
    task,
    target: makeTargets(arch, task, labels, options.labelSmoothing),
    rowWeight: Float32Array.from(pieces, options.rowWeight),
    signal: {
      units: packed.units,
      channels: packed.channels,
      patches: packed.patches,
      positions: packed.positions,
      channelMask: packed.mask,
      context,
      index,
      ...(besides ? { usual } : {}),
    },
  };
}

/** The history of a row, its context turned into differences to it; undefined without one. */
function setApart(
  { history }: TaskSpec,
  averages: (Float32Array | undefined)[],
): Float32Array | undefined {
  if (history !== true) return undefined;
  const [usual] = averages;
  for (let i = 1; i < averages.length; i++) averages[i] = difference(averages[i], usual);
  return usual;
}

function usable(cut: Cut, second: number): boolean {
  const from = second * cut.channels;
  return cut.mask.subarray(from, from + cut.channels).some((value) => value > 0);
}

/** `[piece][context window]` averages of the seconds that were cut for it. */
async function contextAverages(
  pieces: readonly Piece[],
  floats: number,
  options: BatchOptions,
): Promise<(Float32Array | undefined)[][]> {
  const units: { cut: Cut; second: number; sum: Float32Array; tally: { count: number } }[] = [];
  const out = pieces.map((piece) => {
    let second = 0;
    return piece.context.map((one) => {
      const sum = new Float32Array(floats);
      const tally = { count: 0 };
      for (let i = 0; i < one.seconds; i++, second++)
        if (usable(piece.cut, second)) {
          tally.count++;
          units.push({ cut: piece.cut, second, sum, tally });
        }
      return tally.count === 0 ? undefined : sum;
    });
  });
  if (units.length === 0) return out;
  const latents = await options.latents(packUnits(units));
  for (const [u, { sum, tally }] of units.entries())
    for (let i = 0; i < floats; i++) sum[i] += latents[u * floats + i] / tally.count;
  return out;
}
