/** Two checkpoints of the shipped size to exchange, and what became of the windows meanwhile. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '../../src/core/rng.js';
import { modelRateHz, type TaskSpec } from '../../src/core/tasks.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { baseFolder, type WindowRecord } from './live-load.js';

/** `swap@1` and `swap@2`, of other weights each: nothing one computed may serve the other. */
export async function twoCheckpoints() {
  const root = mkdtempSync(join(tmpdir(), 'eegd-swap-'));
  const folder = join(root, 'models');
  const { arch } = await loadCheckpoint(baseFolder);
  for (const release of ['1', '2'])
    await saveCheckpoint(join(folder, `swap@${release}`), {
      name: 'swap',
      release,
      trained: false,
      arch,
      weights: initialWeights(arch, new Rng(Number(release))),
    });
  const store = new CheckpointStore({ folder, shipped: [], stateFolder: root });
  return { store, tasks: arch.tasks };
}

/**
 * Each stream and task must have every end sample of its grid once, and a prediction there. What
 * waited too long because the machine is too slow is counted for itself.
 */
export function judgeWindows(windows: readonly WindowRecord[], tasks: readonly TaskSpec[]) {
  const lanes = new Map<string, { ends: number[]; hopSamples: number }>();
  let lost = 0;
  let dropped = 0;
  for (const { answer } of windows) {
    if (answer.kind === 'no_prediction') {
      if (answer.reason === 'stale' || answer.reason === 'overload') dropped++;
      else lost++;
    }
    const task = tasks.find(({ name }) => name === answer.task);
    const hopSamples = Math.round((task?.hopS ?? 1) * modelRateHz);
    const key = `${answer.stream} ${answer.task}`;
    const lane = lanes.get(key) ?? { ends: [], hopSamples };
    lane.ends.push(answer.endSample);
    lanes.set(key, lane);
  }
  let answeredTwice = 0;
  for (const { ends, hopSamples } of lanes.values()) {
    const unique = new Set(ends);
    answeredTwice += ends.length - unique.size;
    const first = Math.min(...ends);
    const expected = (Math.max(...ends) - first) / hopSamples + 1;
    lost += expected - unique.size;
  }
  return { lost, answeredTwice, dropped };
}
