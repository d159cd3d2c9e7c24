/**
 * What int8 costs a checkpoint: each task of a recipe on its validation side, by the float32 graphs
 * and by the int8 ones.
 */
import type { Checkpoint } from '../model/checkpoint.js';
import { evaluate } from './evaluate.js';
import { Predictor } from './predictor.js';
import type { Recipe } from './recipe-schema.js';
import type { Material } from './windows.js';

/** More than this lost in any task, and the checkpoint is refused. */
export const pointsLostMax = 0.5;

export interface Int8Cost {
  readonly task: string;
  readonly set: string;
  /** Balanced accuracy, pooled over people, 0 to 1. */
  readonly float32: number;
  readonly int8: number;
  /** Points of balanced accuracy lost; negative where it gained. */
  readonly pointsLost: number;
}

export interface QuantizeOptions {
  readonly recipe: Recipe;
  readonly materials: readonly Material[];
  readonly threads: number;
  onSet?(name: string): void;
}

export async function int8Costs(
  checkpoint: Checkpoint,
  { recipe, materials, threads, onSet }: QuantizeOptions,
): Promise<Int8Cost[]> {
  const { arch, weights } = checkpoint;
  const scores = async (arithmetic: 'float32' | 'int8') => {
    const predictor = await Predictor.open(arch, weights, threads, arithmetic);
    const { sets } = await evaluate({
      ...{ checkpoint, predictor, recipe, materials, side: 'validation', alarms: false },
      onSet: (name) => onSet?.(`${arithmetic}: ${name}`),
    });
    await predictor.close();
    return sets;
  };
  const exact = await scores('float32');
  const coarse = await scores('int8');
  return exact.map(({ task, set, pooled }, i) => {
    const [float32, int8] = [pooled.balancedAccuracy, coarse[i].pooled.balancedAccuracy];
    return { task, set, float32, int8, pointsLost: 100 * (float32 - int8) };
  });
}
