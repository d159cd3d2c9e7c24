/** What the model knows of a row's task: its embedding, its pooling query, and whose pack it is. */
import type { Value } from '../graph/graph.js';
import { cast, compare } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { reshape } from '../graph/ops/shape.js';
import { type Architecture, baseTasksOf } from './architecture.js';
import type { Parameters } from './parameters.js';

export const packPrefix = (name: string): string => `packs.${name}`;

/** `[rows, count]`: 1 where the row's task is the one of the column. Tables are read with it. */
export function taskHot(task: Value, columns: readonly number[]): Value {
  const range = task.graph.ints(columns, 'int32');
  return cast(compare('Equal', reshape(task, [task.shape[0], 1]), range), 'float32');
}

export interface RowTask {
  /** `[rows, width]`. */
  readonly embedding: Value;
  /** `[rows, 1]` of each pack: 1 where the row is of its task. */
  readonly packs: readonly Value[];
}

export interface TaskTables {
  readonly rowTask: RowTask;
  /** `[rows, width]`. */
  readonly poolQuery: () => Value;
}

/**
 * Reads the task tables: a row of the base's table, plus for rows of a pack's task the pack's own
 * row. Spare rows of the table match no task, so a pack never meets what stands there.
 */
export function taskTables(task: Value, arch: Architecture, parameters: Parameters): TaskTables {
  const known = baseTasksOf(arch).length;
  const columns = Array.from({ length: arch.taskSlots }, (_, i) => (i < known ? i : -1));
  const hot = taskHot(task, columns);
  const packs = (arch.packs ?? []).map((_, i) => taskHot(task, [known + i]));
  const read = (name: 'embedding' | 'pool', sd: number): Value => {
    const base = gemm(hot, parameters.get(`task.${name}`, [arch.taskSlots, arch.width], sd));
    return (arch.packs ?? []).reduce((sum, pack, i) => {
      const row = parameters.get(`${packPrefix(pack.name)}.${name}`, [1, arch.width], sd);
      return gemm(packs[i], row, { c: sum });
    }, base);
  };
  return {
    rowTask: { embedding: read('embedding', 0.02), packs },
    poolQuery: () => read('pool', 0),
  };
}
