/**
 * F12 and F13 at the daemon: the engine's worker ends, hangs or runs out of memory while streams
 * run. Every window is still answered once, another worker takes over, and nothing else stops.
 */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { localClock } from '../../src/core/time.js';
import type { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { WorkerEngine, type WorkerEngineOptions } from '../../src/engine/worker-engine.js';
import { startServer } from '../../src/server/server.js';
import { FakeEngine, taskSpec, threeTasks } from '../support/fake-engine.js';
import { diesAlways } from '../support/fake-engine-rows.js';
import { HandDriver } from '../support/hand-driver.js';
import { TestClient } from '../support/test-client.js';
import { daemonOn, Listener, windowEnds } from '../support/tiny-checkpoint.js';
import { VirtualClock } from '../support/virtual-clock.js';

const close: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of close.splice(0).reverse()) await each();
});

function openFaulty(folder: string, options: Partial<WorkerEngineOptions>): Promise<WorkerEngine> {
  return WorkerEngine.open({
    worker: new URL('../support/fake-engine-worker.js', import.meta.url),
    start: { folder, kind: 'onnx', device: 'cpu', threads: 1 },
    ...options,
  });
}

describe('a worker that', () => {
  test.each(['exit', 'hang', 'oom'])(
    '%s: others take over, each window is answered',
    async (how) => {
      const flag = join(mkdtempSync(join(tmpdir(), 'eegd-fault-')), 'failed');
      const failures: string[] = [];
      let failedS = 0;
      const engine = await openFaulty(`once:${how}:${flag}`, {
        hangMs: how === 'hang' ? 3000 : 60_000,
        heapMb: 96,
        onFailure: ({ message }) => {
          failures.push(message);
          failedS = localClock();
        },
      });
      const held = { daemon: undefined as Daemon | undefined };
      const ready = async () => {
        if ((held.daemon?.pending ?? 0) > 30) await held.daemon?.idle();
      };
      const daemon = daemonOn(engine, {} as CheckpointStore, { context: { ready } });
      held.daemon = daemon;
      close.push(() => daemon.close());
      const listener = new Listener(daemon);
      let againS = 0;
      daemon.events$.subscribe(({ kind }) => {
        if (kind === 'prediction' && failedS > 0 && againS === 0) againS = localClock();
      });
      const over = new Promise<void>((resolve) => {
        daemon.events$.subscribe(() => {
          if (againS > 0 && listener.answers.length > 400) resolve();
        });
      });
      for (const id of ['a', 'b'])
        await daemon.connect(`synthetic:${id}?speed=max&channels=2&seed=1`);
      await over;
      for (const id of ['a', 'b']) await daemon.disconnect(id);
      await daemon.idle();
      expect(existsSync(flag)).toBe(true);
      // Of a starved machine the watch may think that it hangs once more.
      expect(failures.length).toBeLessThanOrEqual(how === 'hang' ? 2 : 1);
      for (const id of ['a', 'b'])
        for (const task of threeTasks) {
          const own = listener.answers.filter((a) => a.stream === id && a.task === task.name);
          expect(own.map((a) => a.endSample)).toEqual(
            windowEnds(task, listener.samples.get(id) as number),
          );
        }
      const failed = listener.answers.filter(
        (a) => a.kind === 'no_prediction' && a.reason === 'engine_failed',
      ).length;
      // Only what was in flight: a run of windows, or none where a second could be tried again.
      expect(failed).toBeLessThan(40);
      console.info(
        `${how}: ${failures[0]}; ${failed} windows without an answer, ` +
          `the next prediction ${((againS - failedS) * 1000).toFixed(0)} ms after`,
      );
    },
  );

  test('dies at every run: not ready, the WebSocket stays, and it recovers', async () => {
    const clock = new VirtualClock();
    const driver = new HandDriver('a');
    const bad = await openFaulty(diesAlways, {});
    let failures = 0;
    const good = new FakeEngine([taskSpec('fast', { windowS: 4, hopS: 0.25 })]);
    let cured = false;
    const engine = new FakeEngine(good.info.tasks);
    engine.before = async () => {
      if (cured) return;
      try {
        await bad.tasks({ ...noRows });
      } catch (error) {
        failures++;
        throw error;
      }
    };
    const daemon = daemonOn(engine, {} as CheckpointStore, {
      clock,
      pace: 'live',
      driverFor: async () => driver,
    });
    close.push(
      () => daemon.close(),
      () => bad.close(),
    );
    const server = await startServer(daemon, { port: 0, clock }, silentLogger);
    close.push(() => server.close());
    const connecting = daemon.connect('hand:a');
    await Promise.resolve();
    driver.begin();
    await connecting;
    const client = new TestClient(server.address);
    await client.opened;
    const isReady = async () => (await fetch(`${server.address}/readyz`)).status === 200;
    const pass = async (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        clock.advance(1);
        driver.send(1, clock.now());
        await daemon.idle();
      }
    };
    await pass(3);
    expect(await isReady()).toBe(true);
    await pass(12);
    expect(failures).toBeGreaterThan(3);
    expect(await isReady()).toBe(false);
    expect(await client.call('ping')).toMatchObject({ success: true });
    cured = true;
    await pass(8);
    expect(await isReady()).toBe(true);
    client.socket.terminate();
  });
});

const noRows = {
  rows: 1,
  seconds: 1,
  latents: new Float32Array(6),
  times: new Float32Array(1),
  mask: new Float32Array(1),
  task: new Int32Array(1),
};
