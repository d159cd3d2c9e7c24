/**
 * Makes `models/base`: the shipped size with seeded random weights, so that the daemon starts
 * before a trained checkpoint exists. Run: node --import tsx models/make-base.ts
 */
import { join } from 'node:path';
import { packageRoot } from '../src/core/paths.js';
import { Rng } from '../src/core/rng.js';
import { baseArchitecture } from '../src/model/architecture.js';
import { saveCheckpoint } from '../src/model/checkpoint.js';
import { initialWeights, parameterCount } from '../src/model/serving.js';
import { baseTasks } from '../src/model/tasks.js';

const seed = 20261123;
const moe = { blocks: [1, 3], experts: 8, topK: 2, taskAware: true };
const arch = { ...baseArchitecture, moe, tasks: baseTasks };
const manifest = await saveCheckpoint(join(packageRoot(), 'models', 'base'), {
  name: 'base',
  release: '0-untrained',
  trained: false,
  arch,
  weights: initialWeights(arch, new Rng(seed)),
  data: { note: `seeded random weights, seed ${seed}; not trained on anything` },
});
process.stdout.write(`${parameterCount(arch)} parameters, ${manifest.weights.bytes} bytes\n`);
