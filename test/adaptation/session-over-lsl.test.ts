/**
 * What README promises: a recorded session of a real person comes as a live LSL stream with a
 * stream of its markers; the daemon learns the task from them, swaps the expert in by itself, and
 * tells the rest of the session apart, while the old tasks' outputs stay the same bytes. The session
 * is models/demo/session.edf (PhysioNet EEGMMIDB S001, ODC-BY 1.0), the base the shipped one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LslDriver } from '../../drivers/lsl/driver.js';
import { Adaptation } from '../../src/adaptation/adaptation.js';
import { verifyAudit } from '../../src/adaptation/audit-log.js';
import { replayToLsl } from '../../src/cli/replay-lsl.js';
import { packageRoot } from '../../src/core/paths.js';
import { adaptationHost } from '../../src/daemon/adaptation-parts.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { OpenEngine } from '../../src/daemon/swapper.js';
import { createEngine } from '../../src/engine/create-engine.js';
import { loopbackSettings } from '../support/liblsl-process.js';
import { oldTaskLogits } from '../support/old-task-logits.js';
import { daemonOn } from '../support/tiny-checkpoint.js';

const root = mkdtempSync(join(tmpdir(), 'eegd-session-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const { config } = loopbackSettings();
const models = join(packageRoot(), 'models');
interface Status {
  readonly state: string;
  readonly pending: number;
  readonly live?: string;
  readonly liveLow?: number;
  readonly liveHigh?: number;
  readonly chance: number;
  readonly detail?: string;
}

test('a session over LSL is learned from its markers and served', async () => {
  const folder = join(root, 'models');
  const store = new CheckpointStore({
    folder,
    shipped: [models],
    stateFolder: join(root, 'state'),
  });
  const openEngine: OpenEngine = (place, packs = []) =>
    createEngine(place, { kind: 'onnx', device: 'cpu', threads: 1, packs });
  const first = await openEngine(join(models, 'base'));
  const { tasks } = first.info;
  const columns = tasks.reduce((sum, task) => sum + task.classes.length, 0);
  const before = await oldTaskLogits(first, tasks.length, columns);
  const driverFor = async (address: string) => new LslDriver(address, { config });
  const daemon = daemonOn(first, store, { openEngine, driverFor, pace: 'offline' });
  const host = adaptationHost(daemon, store);
  const adaptation = new Adaptation({ folder: join(root, 'adaptation'), host });
  const status = () => adaptation.status() as unknown as Status;
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  let started = false;
  const replayed = replayToLsl([join(models, 'demo', 'session.edf')], {
    ...{ config, speed: 40, waitS: 60, delayS: 0 },
    async ready() {
      await until(() => started && daemon.pending < 64);
      // Played so fast, the session would be over before it was first learned from.
      if (daemon.snapshot().checkpoint !== 'base@4') return;
      await until(() => !['learning', 'ready'].includes(status().state));
    },
  });
  await daemon.connect('lsl:?name=session', { tasks: ['fists_feet'] });
  await daemon.connect('lsl:?name=session markers');
  const begun = await adaptation.command('start', {
    ...{ task: 'fists_feet', classes: ['fists', 'feet'], stream: 'replay-session' },
    ...{ windowS: 3, trialS: 4, markers: { T1: 'fists', T2: 'feet' } },
  });
  expect(begun).toMatchObject({ state: 'collecting', stream: 'replay-session' });
  started = true;
  expect((await replayed).markers).toBe(124);
  await daemon.idle();
  // The recording ends within its last trial, whose signal never comes whole.
  await until(() => status().pending <= 1);
  const { state, live = '0/0', liveLow = 0, liveHigh = 1, chance } = status();
  const [correct = 0, total = 0] = live.split('/').map(Number);
  console.info(
    `served on the rest of the session: ${correct} of ${total} trials right ` +
      `(95 %: ${liveLow.toFixed(2)} to ${liveHigh.toFixed(2)}; chance ${chance.toFixed(2)})`,
  );
  expect(state).toMatch(/^(active|learning|ready)$/);
  expect(total).toBeGreaterThanOrEqual(25);
  expect(liveLow).toBeGreaterThan(chance);

  const { checkpoint } = daemon.snapshot();
  expect(checkpoint).toMatch(/^base@4\+fists_feet@\d+$/);
  const stored = await store.find(checkpoint);
  const grown = await openEngine(stored.folder, stored.packs);
  expect(grown.info.readouts?.fists_feet?.channels).toHaveLength(9);
  expect(await oldTaskLogits(grown, tasks.length, columns)).toEqual(before);
  await grown.close();
  await adaptation.close();
  await daemon.close();
  expect(await verifyAudit(join(root, 'adaptation', 'audit.jsonl'))).toMatchObject({ ok: true });
}, 300_000);
