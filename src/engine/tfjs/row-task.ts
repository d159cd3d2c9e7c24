/** What the model knows of each row's task, as src/model/row-task.ts, in TensorFlow.js. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { baseTasksOf } from '../../model/architecture.js';
import { packPrefix } from '../../model/row-task.js';
import { linear, type TfContext } from './layers.js';

export interface TfRowTask {
  /** `[rows, width]`. */
  readonly embedding: Tensor;
  /** `[rows, width]`: what the window is pooled by. */
  readonly poolQuery: Tensor;
  /** `[rows, 1]` of each pack: 1 where the row is of its task. */
  readonly packs: readonly Tensor2D[];
}

/** Rows of the base's tables; rows of a pack's task have the pack's own instead. */
export function readRowTask(at: TfContext, task: Int32Array): TfRowTask {
  const { tf, arch } = at;
  const known = baseTasksOf(arch).length;
  const base = new Float32Array(task.length * arch.taskSlots);
  for (const [row, index] of task.entries())
    if (index < known) base[row * arch.taskSlots + index] = 1;
  const hot = tf.tensor2d(base, [task.length, arch.taskSlots]);
  const packs = (arch.packs ?? []).map((_, i) => {
    const own = Float32Array.from(task, (index) => (index === known + i ? 1 : 0));
    return tf.tensor2d(own, [task.length, 1]);
  });
  const read = (table: 'embedding' | 'pool'): Tensor =>
    (arch.packs ?? []).reduce<Tensor>(
      (sum, { name }, i) =>
        tf.add(sum, linear(at, packs[i] as Tensor, `${packPrefix(name)}.${table}`)),
      linear(at, hot, `task.${table}`),
    );
  return { embedding: read('embedding'), poolQuery: read('pool'), packs };
}
