/** What an engine says of its old tasks, to be compared byte by byte over a swap. */
import { Rng } from '../../src/core/rng.js';
import type { Engine } from '../../src/engine/engine.js';

/** The same random batch to an engine's old tasks. */
export async function oldTaskLogits(
  engine: Engine,
  tasks: number,
  classesTotal: number,
): Promise<number[]> {
  const { latents, width, tasks: served } = engine.info;
  const rng = new Rng(31);
  const [rows, seconds] = [6, 4];
  const { logits } = await engine.tasks({
    rows,
    seconds,
    latents: Float32Array.from({ length: rows * seconds * latents * width }, () => rng.normal()),
    times: Float32Array.from({ length: rows * seconds }, (_, i) => (i % seconds) - seconds + 1),
    mask: new Float32Array(rows * seconds).fill(1),
    task: Int32Array.from({ length: rows }, (_, i) => i % tasks),
  });
  const total = served.reduce((sum, task) => sum + task.classes.length, 0);
  return Array.from({ length: rows * classesTotal }, (_, i) => {
    return logits[Math.floor(i / classesTotal) * total + (i % classesTotal)] as number;
  });
}
