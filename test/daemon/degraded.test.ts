/** A device that is lost while a stream runs: a warning, `degraded` in the status, and it goes on. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { packageRoot } from '../../src/core/paths.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { deviceHangMs } from '../../src/engine/create-engine.js';
import { FallbackEngine } from '../../src/engine/fallback-engine.js';
import { WorkerEngine } from '../../src/engine/worker-engine.js';
import { startServer } from '../../src/server/server.js';
import { threeTasks } from '../support/fake-engine.js';
import { deviceHangs, deviceLost } from '../support/fake-engine-rows.js';
import { TestClient } from '../support/test-client.js';
import { daemonOn, Listener, tinyStore, windowEnds } from '../support/tiny-checkpoint.js';

const recording = join(packageRoot(), 'models', 'demo', 'arithmetic.edf');

test.each([
  ['lost', deviceLost],
  ['hanging', deviceHangs],
])('a %s device costs no window', async (_, folder) => {
  // Time enough is left of the second within which the stream goes on.
  expect(deviceHangMs).toBeLessThan(900);
  const warnings: string[] = [];
  const open = (device: 'cpu' | 'webgpu') =>
    WorkerEngine.open({
      worker: new URL('../support/fake-engine-worker.js', import.meta.url),
      start: { folder, kind: 'onnx', device, threads: 1 },
      ...(device === 'cpu' ? {} : { hangMs: deviceHangMs }),
    });
  const warn = (reason: string) => warnings.push(reason);
  const engine = new FallbackEngine(await open('webgpu'), open('cpu'), warn);
  const held = { daemon: undefined as Daemon | undefined };
  const ready = async () => {
    if ((held.daemon?.pending ?? 0) > 64) await held.daemon?.idle();
  };
  const { store } = await tinyStore([]);
  const daemon = daemonOn(engine, store, { context: { ready } });
  held.daemon = daemon;
  const listener = new Listener(daemon);
  const server = await startServer(daemon, { port: 0 }, silentLogger);
  expect(daemon.snapshot()).not.toHaveProperty('degraded');
  const ended = new Promise<void>((resolve) => {
    daemon.events$.subscribe((event) => {
      if (event.kind === 'status' && event.state === 'ended') resolve();
    });
  });
  await daemon.connect(`replay:${recording}?speed=max&id=r`);
  await ended;
  await daemon.idle();

  expect(warnings).toEqual([expect.stringContaining('webgpu was lost')]);
  expect(daemon.snapshot()).toMatchObject({ engine: 'fake/cpu', degraded: warnings[0] });
  const client = new TestClient(server.address);
  await client.opened;
  client.socket.send(JSON.stringify({ id: 1, type: 'snapshot' }));
  const { result } = await client.next(({ type }) => type === 'result');
  expect(result).toMatchObject({ degraded: warnings[0] });

  for (const task of threeTasks) {
    const own = listener.answers.filter((answer) => answer.task === task.name);
    const ends = windowEnds(task, listener.samples.get('r') as number);
    expect(own.map(({ endSample }) => endSample)).toEqual(ends);
  }
  const reasons = listener.answers.flatMap((a) => (a.kind === 'no_prediction' ? [a.reason] : []));
  expect(reasons).not.toContain('engine_failed');
  client.socket.close();
  await server.close();
  await daemon.close();
});
