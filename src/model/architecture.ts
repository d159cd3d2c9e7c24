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
  /** The trunk also sees each patch minus its neighbours' (src/model/local.ts); absent = no. */
  readonly local?: boolean;
  readonly taskBlocks: number;
  /** Rows of the task-embedding table: tasks the checkpoint can hold. */
  readonly taskSlots: number;
  readonly moe: MoeShape | null;
  /** Those of the base first, then one for each pack, in the order of `packs`. */
  readonly tasks: readonly TaskSpec[];
  /** What was grown onto the base; never part of a checkpoint's own manifest. */
  readonly packs?: readonly PackShape[];
}

/** One new task with its own experts, router columns and head (src/model/growing.ts). */
export interface PackShape {
  readonly name: string;
  /** Task blocks (MoE blocks of the base) that get new experts; empty on a dense base. */
  readonly blocks: readonly number[];
  /** New experts in each of those blocks. */
  readonly experts: number;
}

/** Tasks of the base: `tasks` without those of the packs. */
export function baseTasksOf(arch: Architecture): readonly TaskSpec[] {
  return arch.tasks.slice(0, arch.tasks.length - (arch.packs?.length ?? 0));
}

/** What the head of a task sees of a window. */
export function pooledSize({ latents, width }: Architecture, { apart }: TaskSpec): number {
  return apart === true ? latents * width : width;
}

/** Experts of a MoE block's routing: the base's, then those of each pack; 0 if dense. */
export function expertCount(arch: Architecture): number {
  const grown = (arch.packs ?? []).reduce((count, pack) => count + pack.experts, 0);
  return arch.moe === null ? 0 : arch.moe.experts + grown;
}

/** The size the benchmarks use: about 3 M parameters dense. models/base is smaller. */
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
