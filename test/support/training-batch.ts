/** A random supervised batch with everything in it: padding, context, masks, mixed tasks. */
import type { Rng } from '../../src/core/rng.js';
import type { Architecture } from '../../src/model/architecture.js';
import { makeTargets, type TrainingBatch } from '../../src/model/training-batch.js';
import { randomBatch } from './model-fixture.js';

/** Rows of different lengths, padded; two rows end in a context second. */
export function trainingBatch(rng: Rng, arch: Architecture): TrainingBatch {
  const [rows, seconds, channels] = [4, 4, 3];
  const plain = randomBatch(rng, { rows, channels, seconds, tasks: arch.tasks.length });
  const mask = plain.mask.slice();
  // A row with nothing usable has no defined output: the witness and the graph differ there.
  for (let row = 0; row < rows; row++) mask[row * seconds + seconds - 1] = 1;
  const index = new Int32Array(rows * seconds);
  let units = 0;
  for (let row = 0; row < rows; row++)
    for (let second = 0; second < seconds; second++) {
      const i = row * seconds + second;
      if (row === 1 && second < 2) {
        index[i] = -1;
        mask[i] = 0;
      } else if (second === 0 && row > 1) index[i] = -2;
      else index[i] = units++;
    }
  let contexts = 0;
  for (const [i, source] of index.entries()) if (source === -2) index[i] = units + contexts++;
  const cut = (array: Float32Array, size: number) => array.slice(0, units * channels * size);
  const floats = arch.latents * arch.width;
  const context = Float32Array.from({ length: contexts * floats }, () => rng.normal());
  const labels = [...plain.task].map((task) =>
    rng.below((arch.tasks[task] as { classes: readonly string[] }).classes.length),
  );
  return {
    rows,
    seconds,
    times: plain.times,
    mask,
    task: plain.task,
    target: makeTargets(arch, plain.task, labels, 0.1),
    rowWeight: Float32Array.from({ length: rows }, () => 0.1 + rng.uniform()),
    signal: {
      units,
      channels,
      patches: cut(plain.patches, 200),
      positions: cut(plain.positions, 6),
      channelMask: cut(plain.channelMask, 1),
      context,
      index,
      ...(arch.tasks.some(({ history }) => history === true)
        ? { usual: Float32Array.from({ length: units * floats }, () => rng.normal()) }
        : {}),
    },
  };
}
