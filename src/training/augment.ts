/**
 * Small changes that leave the label true (or tell what becomes of it): the head mirrored, a
 * channel lost, another gain, frequency response or reference, a little noise. They work on
 * patches in running scales, `[seconds, channels, 200]`.
 */
import type { Rng } from '../core/rng.js';
import { patchSamples } from '../core/tasks.js';
import { patchClip } from '../signal/ring.js';
import { equalise } from './equalise.js';
import type { Augmentation } from './recipe-schema.js';

export interface Cut {
  readonly seconds: number;
  readonly channels: number;
  /** `[seconds, channels, 200]`, changed in place. */
  readonly patches: Float32Array;
  /** `[channels, 6]`, changed in place. */
  readonly positions: Float32Array;
  /** `[seconds, channels]`, changed in place. */
  readonly mask: Float32Array;
}

/** True where left and right were exchanged, and a label that names a side is to follow. */
export function augment(cut: Cut, plan: Augmentation, rng: Rng): boolean {
  const mirrored = plan.mirror > 0 && rng.uniform() < plan.mirror;
  if (mirrored) mirror(cut.positions);
  if (cut.channels > 1 && rng.uniform() < plan.rereference) rereference(cut, rng);
  if (plan.equaliserDb > 0) {
    const before = loudness(cut);
    equalise(cut, plan.equaliserDb, rng);
    restoreLoudness(cut, [...before.keys()], before);
  }
  dropChannels(cut, plan.channelDropout, rng);
  for (let c = 0; c < cut.channels; c++) {
    const gain = Math.exp(plan.amplitudeSd * rng.normal());
    const noise = plan.noiseSd * rng.uniform();
    for (let s = 0; s < cut.seconds; s++) {
      const row = s * cut.channels + c;
      if (cut.mask[row] === 0) continue;
      const patch = cut.patches.subarray(row * patchSamples, (row + 1) * patchSamples);
      for (let i = 0; i < patchSamples; i++) patch[i] = gain * patch[i] + noise * rng.normal();
    }
  }
  return mirrored;
}

/** Left for right: the x of electrodes and of their references. */
function mirror(positions: Float32Array): void {
  for (let i = 0; i < positions.length; i += 3) positions[i] = 0 - positions[i];
}

function dropChannels(cut: Cut, probability: number, rng: Rng): void {
  const keep = rng.below(cut.channels);
  for (let c = 0; c < cut.channels; c++) {
    if (rng.uniform() >= probability || c === keep) continue;
    for (let s = 0; s < cut.seconds; s++) clear(cut, s * cut.channels + c);
  }
}

function clear(cut: Cut, row: number): void {
  cut.mask[row] = 0;
  cut.patches.fill(0, row * patchSamples, (row + 1) * patchSamples);
}

/**
 * All channels against one of them (which then has nothing to say), or against their mean.
 * Channels with a reference of their own (bipolar) are left as they are.
 */
function rereference(cut: Cut, rng: Rng): void {
  const { channels, seconds, patches, positions, mask } = cut;
  const free = Array.from({ length: channels }, (_, c) => c).filter((c) =>
    positions.subarray(c * 6 + 3, c * 6 + 6).every((value) => value === 0),
  );
  if (free.length < 2) return;
  const before = loudness(cut);
  const toMean = free.length > 3 && rng.uniform() < 0.5;
  const against = toMean ? free : [free[rng.below(free.length)]];
  const sum = new Float64Array(patchSamples);
  for (let s = 0; s < seconds; s++) {
    const real = against.filter((c) => mask[s * channels + c] > 0);
    if (real.length === 0) continue;
    sum.fill(0);
    for (const c of real) {
      const at = (s * channels + c) * patchSamples;
      for (let i = 0; i < patchSamples; i++) sum[i] += patches[at + i] / real.length;
    }
    for (const c of free) {
      const row = s * channels + c;
      if (mask[row] === 0) continue;
      const at = row * patchSamples;
      for (let i = 0; i < patchSamples; i++) patches[at + i] -= sum[i];
    }
  }
  restoreLoudness(cut, free, before);
  if (toMean) return;
  const [reference] = against;
  for (const c of free)
    if (c !== reference) positions.copyWithin(c * 6 + 3, reference * 6, reference * 6 + 3);
  for (let s = 0; s < seconds; s++) clear(cut, s * channels + reference);
}

/** Mean absolute value of each channel. */
function loudness(cut: Cut): Float64Array {
  const out = new Float64Array(cut.channels);
  for (let c = 0; c < cut.channels; c++) {
    let sum = 0;
    let count = 0;
    for (let s = 0; s < cut.seconds; s++) {
      const row = s * cut.channels + c;
      if (cut.mask[row] === 0) continue;
      for (let i = row * patchSamples; i < (row + 1) * patchSamples; i++)
        sum += Math.abs(cut.patches[i]);
      count += patchSamples;
    }
    out[c] = count === 0 ? 0 : sum / count;
  }
  return out;
}

/** The running scale would have followed the smaller differences of two like channels. */
function restoreLoudness(cut: Cut, channels: readonly number[], before: Float64Array): void {
  const after = loudness(cut);
  for (const c of channels) {
    const factor = after[c] > 1e-6 ? before[c] / after[c] : 1;
    for (let s = 0; s < cut.seconds; s++) {
      const at = (s * cut.channels + c) * patchSamples;
      for (let i = at; i < at + patchSamples; i++) {
        const x = cut.patches[i] * factor;
        cut.patches[i] = Math.min(patchClip, Math.max(-patchClip, x));
      }
    }
  }
}
