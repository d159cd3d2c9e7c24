/** The model's shape: everything needed to build its graphs, stored in a checkpoint's manifest. */
import type { TaskSpec } from '../core/tasks.js';

export interface MoeShape {
  /** Task blocks (0-based) whose FFN is a mixture. */
  readonly blocks: readonly number[];
  readonly experts: number;
  readonly topK: number;
  /** False: the router sees the token only (an ablation). */
  readonly taskAware: boolean;
}

export interface Architecture {
  readonly version: 1;
  readonly width: number;
  readonly heads: number;
  /** Hidden width of an FFN. */
  readonly ffn: number;
  readonly trunkBlocks: number;
  /** Latents per second that leave the trunk. */
  readonly latents: number;
  readonly taskBlocks: number;
  /** Rows of the task-embedding table: tasks the checkpoint can hold. */
  readonly taskSlots: number;
  readonly moe: MoeShape | null;
  readonly tasks: readonly TaskSpec[];
}

/** The shipped size: about 3 M parameters dense. */
export const baseArchitecture: Omit<Architecture, 'tasks'> = {
  version: 1,
  width: 160,
  heads: 5,
  ffn: 640,
  trunkBlocks: 4,
  latents: 4,
  taskBlocks: 4,
  taskSlots: 16,
  moe: null,
};
