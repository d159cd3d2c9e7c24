import { afterEach, describe, expect, test, vi } from 'vitest';
import { EegError } from '../../src/core/errors.js';
import { usualWorkers } from '../../src/engine/create-engine.js';
import type { TaskBatch } from '../../src/engine/engine.js';
import { WorkerEngine } from '../../src/engine/worker-engine.js';
import { WorkerPool } from '../../src/engine/worker-pool.js';
import { dieRows, hangRows } from '../support/fake-engine-rows.js';

const worker = new URL('../support/fake-engine-worker.js', import.meta.url);
const pools: WorkerPool[] = [];

async function start(first: number, most: number, refuseFrom = Number.POSITIVE_INFINITY) {
  const failures: string[] = [];
  const engines: WorkerEngine[] = [];
  let opened = 0;
  const pool = await WorkerPool.open({
    workers: { first, most },
    openWorker: async () => {
      if (opened++ >= refuseFrom) throw new EegError('EEG_ENGINE_UNAVAILABLE', 'no memory');
      const start = { folder: 'good', kind: 'onnx', device: 'cpu', threads: 1 } as const;
      const engine = await WorkerEngine.open({ worker, start });
      engines.push(engine);
      return engine;
    },
    onFailure: ({ code }) => failures.push(code),
    periodS: 0.05,
  });
  pools.push(pool);
  return { pool, failures, opened: () => opened, engines };
}

function batch(rows: number): TaskBatch {
  const ones = () => new Float32Array(rows).fill(1);
  const latents = new Float32Array(rows * 6).fill(1);
  return { rows, seconds: 1, latents, times: ones(), mask: ones(), task: new Int32Array(rows) };
}

afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

describe('a pool of workers', () => {
  test('grows when it serves and is busy, and a run that hangs holds only its own', async () => {
    const { pool, opened } = await start(1, 2);
    await pressed(pool);
    expect(opened()).toBe(1);
    pool.serve();
    await pressed(pool);
    await vi.waitUntil(() => pool.parallel === 2, { timeout: 20_000 });
    let hangs = true;
    const stuck = pool.tasks(batch(hangRows)).catch((error: EegError) => {
      hangs = false;
      return error.code;
    });
    for (let i = 0; i < 20; i++) expect((await pool.tasks(batch(2))).logits).toHaveLength(16);
    expect(hangs).toBe(true);
    expect(await stuck).toBe('EEG_ENGINE_FAILED');
  });

  test('does not grow for runs now and then, nor beyond its most', async () => {
    const idle = await start(1, 2);
    idle.pool.serve();
    for (let i = 0; i < 8; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      await idle.pool.tasks(batch(1));
    }
    expect(idle.opened()).toBe(1);
    const full = await start(2, 2);
    expect(full.pool.parallel).toBe(2);
    full.pool.serve();
    await pressed(full.pool);
    expect(full.opened()).toBe(2);
  });

  test('goes on with the others while one is begun anew', async () => {
    const { pool } = await start(2, 2);
    await expect(pool.tasks(batch(dieRows))).rejects.toMatchObject({ code: 'EEG_ENGINE_FAILED' });
    for (let i = 0; i < 20; i++) expect((await pool.tasks(batch(1))).logits).toHaveLength(8);
  });

  test('says when another cannot be had, and serves with what it has', async () => {
    const { pool, failures } = await start(3, 3, 2);
    expect(failures).toEqual(['EEG_ENGINE_UNAVAILABLE']);
    expect(pool.parallel).toBe(2);
    expect((await pool.tasks(batch(3))).logits).toHaveLength(24);
  });

  test('closed while it grows, closes that worker too', async () => {
    const { pool, opened, engines } = await start(1, 2);
    pool.serve();
    await pressed(pool);
    await pool.close();
    expect(opened()).toBe(2);
    for (const engine of engines)
      await expect(engine.tasks(batch(1))).rejects.toMatchObject({ code: 'EEG_ENGINE_FAILED' });
  });
});

/** As many runs as keep two workers busy, for some periods. */
async function pressed(pool: WorkerPool): Promise<void> {
  const endMs = performance.now() + 300;
  while (performance.now() < endMs)
    await Promise.all(Array.from({ length: 6 }, () => pool.tasks(batch(3))));
}

test('as many workers as cores, four at most', () => {
  expect([0, 1, 2, 3, 4, 16].map(usualWorkers)).toEqual([1, 1, 2, 3, 4, 4]);
});
