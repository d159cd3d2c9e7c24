/**
 * Memory of the TensorFlow.js engine over many runs (10^4, or the number given): tensors must not
 * grow at all, the process not by more than a tenth once warm. `npm run bench:tfjs-memory -- [runs]`.
 */
import { Rng } from '../../src/core/rng.js';
import { loadTf } from '../../src/engine/tfjs/backend.js';
import { TfjsSessions } from '../../src/engine/tfjs/sessions.js';
import { initialWeights } from '../../src/model/serving.js';
import { randomBatch, tinyMoe } from '../support/model-fixture.js';

const runs = Number(process.argv[2] ?? 10_000);
const tf = await loadTf('tfjs');
const rng = new Rng(1);
const sessions = new TfjsSessions(tf, tinyMoe, initialWeights(tinyMoe, rng));
const batch = randomBatch(rng, { rows: 2, channels: 3, seconds: 4, tasks: 2 });
const { patches, positions, channelMask, channels } = batch;

const rssMb: number[] = [];
const tensors: number[] = [];
for (let run = 1; run <= runs; run++) {
  const signal = { rows: 8, channels, patches, positions, mask: channelMask };
  const latents = await sessions.trunk(signal);
  await sessions.tasks({ ...batch, latents });
  if (run % Math.ceil(runs / 10) !== 0) continue;
  rssMb.push(Math.round(process.memoryUsage().rss / 1e6));
  tensors.push(tf.memory().numTensors);
}
const [warmMb = 0, lastMb = 0] = [rssMb[1], rssMb.at(-1)];
const flat = new Set(tensors).size === 1 && lastMb <= 1.1 * warmMb;
process.stdout.write(
  `${JSON.stringify({ runs, backend: tf.getBackend(), tensors, rssMb, flat })}\n`,
);
process.exit(flat ? 0 : 1);
