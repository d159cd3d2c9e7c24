import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { EegError } from '../../src/core/errors.js';
import { packageRoot } from '../../src/core/paths.js';
import type { TaskBatch } from '../../src/engine/engine.js';
import { FallbackEngine } from '../../src/engine/fallback-engine.js';
import { WorkerEngine, type WorkerEngineOptions } from '../../src/engine/worker-engine.js';
import {
  deviceLost,
  dieRows,
  errorRows,
  hangRows,
  runsBeforeLoss,
} from '../support/fake-engine-rows.js';

const worker = new URL('../support/fake-engine-worker.js', import.meta.url);
const open: WorkerEngine[] = [];

async function start(folder = 'good', options: Partial<WorkerEngineOptions> = {}) {
  const engine = await WorkerEngine.open({
    worker,
    start: { folder, kind: 'onnx', device: 'cpu', threads: 1 },
    ...options,
  });
  open.push(engine);
  return engine;
}

function batch(rows: number): TaskBatch {
  return {
    rows,
    seconds: 1,
    latents: new Float32Array(rows * 6).fill(1),
    times: new Float32Array(rows),
    mask: new Float32Array(rows).fill(1),
    task: new Int32Array(rows),
  };
}

afterEach(async () => {
  for (const engine of open.splice(0)) await engine.close();
});

describe('an engine in a worker', () => {
  test('answers requests, several in flight', async () => {
    const engine = await start();
    expect(engine.info.checkpoint).toBe('fake@1');
    const results = await Promise.all([1, 2, 3].map((rows) => engine.tasks(batch(rows))));
    expect(results.map((result) => result.logits.length)).toEqual([8, 16, 24]);
    const latents = await engine.trunk({
      rows: 1,
      channels: 1,
      patches: new Float32Array(200).fill(6),
      positions: new Float32Array(6),
      mask: new Float32Array(1).fill(1),
    });
    expect(latents).toHaveLength(6);
  });

  test('computes again on the CPU what a lost device left unanswered', async () => {
    const device = await start(deviceLost, {
      start: { folder: deviceLost, kind: 'onnx', device: 'webgpu', threads: 1 },
    });
    const warnings: string[] = [];
    const cpu = start();
    const engine = new FallbackEngine(device, cpu, (reason) => warnings.push(reason));
    expect(engine.info.engine).toBe('fake/webgpu');
    expect(engine.info).not.toHaveProperty('degraded');
    const runs = Array.from({ length: runsBeforeLoss + 3 }, () => engine.tasks(batch(2)));
    for (const { logits } of await Promise.all(runs)) expect(logits).toHaveLength(16);
    expect(warnings).toEqual([expect.stringContaining('fake/webgpu was lost')]);
    expect(engine.info).toMatchObject({ engine: 'fake/cpu', degraded: warnings[0] });
    expect((await engine.tasks(batch(3))).logits).toHaveLength(24);
    await engine.close();
  });

  test('leaves the batch to its owner', async () => {
    const engine = await start();
    const mine = batch(2);
    await engine.tasks(mine);
    expect(mine.latents).toHaveLength(12);
    await engine.tasks(mine);
  });

  test('fails what was in flight when the worker dies, then serves again', async () => {
    const failures: string[] = [];
    const onFailure = (error: EegError) => failures.push(error.code);
    const engine = await start('good', { onFailure });
    const inFlight = [engine.tasks(batch(dieRows)), engine.tasks(batch(1))];
    const settled = await Promise.allSettled(inFlight);
    expect(settled.map((s) => s.status === 'rejected' && s.reason.code)).toEqual([
      'EEG_ENGINE_FAILED',
      'EEG_ENGINE_FAILED',
    ]);
    expect((await engine.tasks(batch(1))).logits).toHaveLength(8);
    expect(failures).toEqual(['EEG_ENGINE_FAILED']);
  });

  test('kills a worker that hangs, then serves again', async () => {
    const engine = await start('good', { hangMs: 300 });
    await expect(engine.tasks(batch(hangRows))).rejects.toMatchObject({
      code: 'EEG_ENGINE_FAILED',
      message: expect.stringContaining('300 ms'),
    });
    expect((await engine.tasks(batch(1))).logits).toHaveLength(8);
  });

  test('takes no run for hung because this process stood still (F4)', async () => {
    const engine = await start('good', { hangMs: 300 });
    const run = engine.tasks(batch(1));
    // The request is posted in a microtask; then nothing of this thread runs, as under SIGSTOP.
    await Promise.resolve();
    await Promise.resolve();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1800);
    expect((await run).logits).toHaveLength(8);
  });

  /** Ending the thread in its run aborted the process: Napi::Error, seen on a starved machine. */
  test('outlives a run of ONNX Runtime that is too slow', async () => {
    const engine = await WorkerEngine.open({
      worker: new URL('../../src/engine/engine-worker.js', import.meta.url),
      start: {
        folder: join(packageRoot(), 'models', 'base'),
        kind: 'onnx',
        device: 'cpu',
        threads: 1,
      },
      hangMs: 50,
    });
    const { latents, width } = engine.info;
    const seconds = 400 * 10;
    const run = engine.tasks({
      rows: 400,
      seconds: 10,
      latents: new Float32Array(seconds * latents * width).fill(0.1),
      times: new Float32Array(seconds),
      mask: new Float32Array(seconds).fill(1),
      task: new Int32Array(400),
    });
    await expect(run).rejects.toMatchObject({ code: 'EEG_ENGINE_FAILED' });
    await vi.waitUntil(() => engine.leaving === 0, { timeout: 60_000 });
    await engine.close();
  });

  test('passes a typed error on without dying', async () => {
    const engine = await start();
    await expect(engine.tasks(batch(errorRows))).rejects.toMatchObject({ code: 'EEG_INTERNAL' });
    expect((await engine.tasks(batch(1))).logits).toHaveLength(8);
  });

  test('pauses when it dies too often, failing at once meanwhile', async () => {
    const again: boolean[] = [];
    const engine = await start('good', { onFailure: (_, soon) => again.push(soon) });
    for (let i = 0; i < 4; i++)
      await expect(engine.tasks(batch(dieRows))).rejects.toThrow('ended with code 3');
    expect(again).toEqual([true, true, true, false]);
    await expect(engine.tasks(batch(1))).rejects.toThrow('failed too often');
  });

  test('says why a model was refused', async () => {
    await expect(start('refused')).rejects.toMatchObject({
      code: 'EEG_MODEL_INVALID',
      message: 'a bad hash',
    });
  });

  test('gives up on a worker that never gets ready', async () => {
    await expect(start('silent', { loadMs: 200 })).rejects.toThrow('longer than 200 ms');
  });

  test('refuses requests once it is closed', async () => {
    const engine = await start();
    const waiting = engine.tasks(batch(1)).catch((error: EegError) => error.code);
    await engine.close();
    expect(['EEG_ENGINE_FAILED']).toContain(await waiting);
    await expect(engine.tasks(batch(1))).rejects.toMatchObject({ code: 'EEG_ENGINE_FAILED' });
  });
});

describe('threads of engines', () => {
  test('the next engine opens in the thread that one has left', async () => {
    const first = await start('good', { heapMb: 64 });
    const spawned = threadsOf();
    await first.close();
    const second = await start('good', { heapMb: 64 });
    expect(threadsOf()).toEqual(spawned);
    expect((await second.tasks(batch(1))).logits).toHaveLength(8);
    expect(() => second.serve()).not.toThrow();
  });

  test('one that hangs is not handed on', async () => {
    const stuck = await start('good', { heapMb: 65, hangMs: 10_000 });
    const run = stuck.tasks(batch(hangRows)).catch((error: EegError) => error.code);
    // It has come to the thread.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await stuck.close();
    expect(stuck.leaving).toBe(1);
    expect(await run).toBe('EEG_ENGINE_FAILED');
    const next = await start('good', { heapMb: 65 });
    expect((await next.tasks(batch(2))).logits).toHaveLength(16);
    await vi.waitUntil(() => stuck.leaving === 0, { timeout: 20_000 });
  });

  test('a refused checkpoint leaves a thread that serves the next', async () => {
    await expect(start('refused', { heapMb: 66 })).rejects.toThrow('a bad hash');
    const spawned = threadsOf();
    const next = await start('good', { heapMb: 66 });
    expect(threadsOf()).toEqual(spawned);
    expect((await next.tasks(batch(1))).logits).toHaveLength(8);
  });
});

/** Of the operating system, where it tells. */
function threadsOf(): string[] {
  return existsSync('/proc/self/task') ? readdirSync('/proc/self/task') : [];
}
