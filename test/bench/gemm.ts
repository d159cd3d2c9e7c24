/** The machine's own rate: one large matrix product on one thread of ONNX Runtime. */
import { once } from 'node:events';
import { spawnWorker } from '../../src/core/spawn.js';
import { Graph } from '../../src/graph/graph.js';
import { gemm } from '../../src/graph/ops/linear.js';
import { Session } from '../../src/graph/session.js';

const size = 1024;
const data = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i));
const feed = { shape: [size, size], data };

export class GemmRate {
  private constructor(private readonly session: Session) {}

  static async open(): Promise<GemmRate> {
    const graph = new Graph();
    const a = graph.input('a', [size, size]);
    const b = graph.input('b', [size, size]);
    graph.output('c', gemm(a, b));
    return new GemmRate(await Session.open(graph.bytes()));
  }

  /** GFLOP/s of one product. */
  async run(): Promise<number> {
    const started = performance.now();
    await this.session.run({ a: feed, b: feed });
    return (2 * size ** 3) / (performance.now() - started) / 1e6;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

/** GFLOP/s, the best of some runs: what the machine can when nobody disturbs it. */
export async function gemmRate(runs = 40): Promise<number> {
  const gemm = await GemmRate.open();
  let best = 0;
  for (let run = 0; run < runs; run++) best = Math.max(best, await gemm.run());
  await gemm.close();
  return best;
}

/**
 * GFLOP/s over three seconds, while another thread is busy for `share` of the time: what the
 * machine leaves to one thread of a process that also does something else. Where two virtual
 * cores are threads of one real core, that is far less than `gemmRate`.
 */
export async function gemmRateBeside(share: number): Promise<number> {
  const worker = spawnWorker(new URL('./busy-worker.js', import.meta.url), { workerData: share });
  await once(worker, 'online');
  const gemm = await GemmRate.open();
  const startedMs = performance.now();
  let inverse = 0;
  let runs = 0;
  for (; performance.now() - startedMs < 3000; runs++) inverse += 1 / (await gemm.run());
  await gemm.close();
  await worker.terminate();
  return runs / inverse;
}
