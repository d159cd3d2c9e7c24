/**
 * What a pack did to the tasks that were there before: nothing, to the last bit. Checked on the
 * golden batch with the graphs that serve, before anything is activated.
 */
import { Session } from '../graph/session.js';
import { goldenBatch, goldenLatents } from '../model/golden.js';
import type { Model } from '../model/growing.js';
import { servingGraphs } from '../model/serving.js';

const seed = 20260701;

/** Names of the base's tasks whose logits on the golden batch are not the same bytes. */
export async function changedTasks(base: Model, grown: Model): Promise<string[]> {
  const before = await goldenLogits(base, base);
  const after = await goldenLogits(base, grown);
  const sizes = base.arch.tasks.map((task) => task.classes.length);
  const rows = base.arch.tasks.length;
  const [widthBefore, widthAfter] = [before.length / rows, after.length / rows];
  return base.arch.tasks.flatMap((task, row) => {
    const first = sizes.slice(0, row).reduce((a, b) => a + b, 0);
    const size = sizes[row] as number;
    const same = Array.from({ length: size }, (_, k) =>
      Object.is(before[row * widthBefore + first + k], after[row * widthAfter + first + k]),
    );
    return same.every(Boolean) ? [] : [task.name];
  });
}

/** One row a base task, whichever model computes it. */
async function goldenLogits(base: Model, model: Model): Promise<Float32Array> {
  const batch = goldenBatch(base.arch, seed);
  const graphs = servingGraphs(model.arch, model.weights);
  const { trunk, tasks } = batch;
  const lower = await Session.open(graphs.trunk);
  const upper = await Session.open(graphs.tasks);
  try {
    const lead = [trunk.rows, trunk.channels];
    const below = await lower.run({
      patches: { shape: [...lead, trunk.patches.length / trunk.mask.length], data: trunk.patches },
      positions: { shape: [...lead, 6], data: trunk.positions },
      mask: { shape: lead, data: trunk.mask },
    });
    const latents = below.get('latents')?.data ?? new Float32Array(0);
    const shape = [tasks.rows, tasks.seconds];
    const unit = [base.arch.latents, base.arch.width];
    const above = await upper.run({
      latents: { shape: [...shape, ...unit], data: goldenLatents(batch, latents) },
      times: { shape, data: tasks.times },
      mask: { shape, data: tasks.mask },
      task: { shape: [tasks.rows], data: tasks.task },
    });
    return (above.get('logits')?.data ?? new Float32Array(0)).slice();
  } finally {
    await lower.close();
    await upper.close();
  }
}
