/** The machine's own rate: one large matrix product on one thread of ONNX Runtime. */
import { Graph } from '../../src/graph/graph.js';
import { gemm } from '../../src/graph/ops/linear.js';
import { Session } from '../../src/graph/session.js';

const size = 1024;

/** GFLOP/s, the best of some runs: what the machine can when nobody disturbs it. */
export async function gemmRate(runs = 12): Promise<number> {
  const graph = new Graph();
  const a = graph.input('a', [size, size]);
  const b = graph.input('b', [size, size]);
  graph.output('c', gemm(a, b));
  const session = await Session.open(graph.bytes());
  const data = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i));
  const feed = { shape: [size, size], data };
  let bestMs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    await session.run({ a: feed, b: feed });
    bestMs = Math.min(bestMs, performance.now() - started);
  }
  await session.close();
  return (2 * size ** 3) / bestMs / 1e6;
}
