/** Windows with hidden patches: which to hide, and the inputs of the pretraining graph. */
import type { Rng } from '../core/rng.js';
import { patchSamples } from '../core/tasks.js';
import type { Feed } from '../graph/session.js';

/** Windows of one length; a recording with fewer channels is padded with `valid` 0. */
export interface MaeBatch {
  readonly rows: number;
  readonly seconds: number;
  readonly channels: number;
  /** `[rows, seconds, channels, 200]`, scaled as the trunk's input. */
  readonly patches: Float32Array;
  /** `[rows, channels, 6]`. */
  readonly positions: Float32Array;
  /** `[rows, seconds, channels]`, 1 = real and good. */
  readonly valid: Uint8Array;
  /** `[rows, seconds, channels]`, 1 = hidden from the encoder and asked of the decoder. */
  readonly hidden: Uint8Array;
}

export interface BlockMask {
  readonly seconds: number;
  readonly channels: number;
  /** `[channels, 6]`. */
  readonly positions: Float32Array;
  /** `[seconds, channels]`. */
  readonly valid: Uint8Array;
  /** Share of the valid patches to hide, 0.5 to 0.55. */
  readonly share: number;
}

/**
 * Hides blocks (a run of 1 to 4 s at an electrode and its nearest neighbours) until the share is
 * reached; single patches would be copied from the next electrode. One patch stays visible.
 */
export function hideBlocks(rng: Rng, mask: BlockMask): Uint8Array {
  const { seconds, channels, valid, share } = mask;
  const hidden = new Uint8Array(seconds * channels);
  const total = valid.reduce((count, one) => count + one, 0);
  const wanted = Math.min(total - 1, Math.round(share * total));
  let left = wanted;
  while (left > 0) {
    const near = nearest(mask.positions, rng.below(channels), channels);
    const group = near.slice(0, 1 + rng.below(Math.max(1, Math.ceil(channels / 2))));
    const first = rng.below(seconds);
    const end = Math.min(seconds, first + 1 + rng.below(4));
    for (let second = first; second < end; second++)
      for (const channel of group) {
        const i = second * channels + channel;
        if (left === 0 || valid[i] === 0 || hidden[i] === 1) continue;
        hidden[i] = 1;
        left--;
      }
  }
  return hidden;
}

/** Channels by distance of their active electrodes from `from`, itself first. */
function nearest(positions: Float32Array, from: number, channels: number): number[] {
  const distance = (channel: number) =>
    Math.hypot(
      positions[channel * 6] - positions[from * 6],
      positions[channel * 6 + 1] - positions[from * 6 + 1],
      positions[channel * 6 + 2] - positions[from * 6 + 2],
    );
  const order = Array.from({ length: channels }, (_, i) => i);
  // The electrode itself comes first, also where several have the same (or no known) place.
  const far = order.map((channel) => (channel === from ? -1 : distance(channel)));
  return order.sort((a, b) => far[a] - far[b] || a - b);
}

interface Picked {
  /** Flat (row, second, channel) indices. */
  readonly places: number[][];
  readonly longest: number;
}

/** Groups the flat indices for which `want` holds by `size` consecutive ones. */
function pickPlaces(count: number, size: number, want: (i: number) => boolean): Picked {
  const places: number[][] = [];
  for (let i = 0; i < count; i++) {
    if (i % size === 0) places.push([]);
    if (want(i)) places[places.length - 1].push(i);
  }
  return { places, longest: Math.max(1, ...places.map((group) => group.length)) };
}

interface Gathered {
  readonly patches: Float32Array;
  readonly positions: Float32Array;
  readonly present: Float32Array;
}

/** Patches of the picked places, each group padded to the longest. */
function gather(batch: MaeBatch, { places, longest }: Picked): Gathered {
  const { seconds, channels } = batch;
  const count = places.length * longest;
  const patches = new Float32Array(count * patchSamples);
  const positions = new Float32Array(count * 6);
  const present = new Float32Array(count);
  for (const [group, members] of places.entries())
    for (const [k, place] of members.entries()) {
      const to = group * longest + k;
      const electrode = Math.floor(place / (seconds * channels)) * channels + (place % channels);
      const patch = batch.patches.subarray(place * patchSamples, (place + 1) * patchSamples);
      patches.set(patch, to * patchSamples);
      positions.set(batch.positions.subarray(electrode * 6, electrode * 6 + 6), to * 6);
      present[to] = 1;
    }
  return { patches, positions, present };
}

/** Inputs of the pretraining graph: visible patches packed together, hidden ones asked for. */
export function maeFeeds(batch: MaeBatch): Record<string, Feed> {
  const { rows, seconds, channels, valid, hidden } = batch;
  const count = rows * seconds * channels;
  const seen = pickPlaces(count, channels, (i) => valid[i] === 1 && hidden[i] === 0);
  const asked = pickPlaces(count, seconds * channels, (i) => valid[i] === 1 && hidden[i] === 1);
  const questions = gather(batch, asked);
  const askTimes = new Float32Array(rows * asked.longest);
  for (const [row, members] of asked.places.entries())
    for (const [k, place] of members.entries())
      askTimes[row * asked.longest + k] = (Math.floor(place / channels) % seconds) - seconds + 1;
  // A second of which nothing is seen gives no unit, and is masked in the window.
  const inverse = Int32Array.from(seen.places.keys()).filter((i) => seen.places[i].length > 0);
  const index = new Int32Array(rows * seconds);
  const mask = new Float32Array(rows * seconds);
  for (const [unit, place] of inverse.entries()) {
    index[place] = unit;
    mask[place] = 1;
  }
  const visible = gather(batch, {
    places: seen.places.filter((members) => members.length > 0),
    longest: seen.longest,
  });
  const units = inverse.length;
  const shape = [rows, seconds];
  const asks = [rows, asked.longest];
  const packed = [units, seen.longest];
  return {
    patches: { shape: [...packed, patchSamples], data: visible.patches },
    positions: { shape: [...packed, 6], data: visible.positions },
    channelMask: { shape: packed, data: visible.present },
    index: { shape: [index.length], data: index },
    inverse: { shape: [units], data: inverse },
    times: {
      shape,
      data: mask.map((_, i) => (i % seconds) - seconds + 1),
    },
    mask: {
      shape,
      data: Float32Array.from(seen.places, (members) => (members.length > 0 ? 1 : 0)),
    },
    askPositions: { shape: [...asks, 6], data: questions.positions },
    askTimes: { shape: asks, data: askTimes },
    askPatches: { shape: [...asks, patchSamples], data: questions.patches },
    askWeight: { shape: asks, data: questions.present },
  };
}
