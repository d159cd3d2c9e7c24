/** What a daemon sends as LSL streams, read by our own inlet over 127.0.0.1. */
import { afterEach, describe, expect, test } from 'vitest';
import { InletConnection } from '../../drivers/lsl/inlet-connection.js';
import { resolveStreams } from '../../drivers/lsl/resolver.js';
import { parseConfig } from '../../src/config/load.js';
import type { LslOutConfig } from '../../src/config/schema.js';
import type { Prediction, SignalBlock } from '../../src/core/events.js';
import { silentLogger } from '../../src/core/log.js';
import type { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { openLslOut } from '../../src/daemon/lsl-out.js';
import { FakeEngine, taskSpec } from '../support/fake-engine.js';
import { HandDriver } from '../support/hand-driver.js';
import { loopbackSettings, until } from '../support/liblsl-process.js';
import { daemonOn, Listener } from '../support/tiny-checkpoint.js';
import { VirtualClock } from '../support/virtual-clock.js';

const { config } = loopbackSettings();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each();
});

const tasks = [
  taskSpec('a', { windowS: 2, hopS: 1, event: { label: 'yes', on: 0, off: 0, hold: 1 } }),
];

async function setUp(lsl: Partial<LslOutConfig>) {
  const clock = new VirtualClock();
  const driver = new HandDriver('amp');
  const daemon: Daemon = daemonOn(new FakeEngine(tasks), {} as CheckpointStore, {
    clock,
    pace: 'live',
    driverFor: async () => driver,
  });
  const off = openLslOut(daemon, { ...parseConfig('', 'none').lsl, ...lsl }, silentLogger, config);
  closing.push(off, () => daemon.close());
  const connecting = daemon.connect('hand:amp');
  await Promise.resolve();
  driver.begin();
  await connecting;
  const send = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      driver.send(1, clock.now());
      await daemon.idle();
      clock.advance(1);
    }
  };
  return { daemon, send, listener: new Listener(daemon) };
}

/** Everything an outlet of this name sends from now on, rows by stamp. */
async function read(name: string) {
  const [info] = await resolveStreams({ name }, { config, timeoutMs: 20_000, minimum: 1 });
  if (info === undefined) throw new Error(`no outlet ${name}`);
  const rows: unknown[][] = [];
  const stamps: number[] = [];
  const connection = new InletConnection(
    { ...info, v4Address: '127.0.0.1' },
    {
      ...{ bufferSamples: 10_000, chunkSamples: 0 },
      onSamples: (block) => {
        const values = [...(block.data as Float32Array)];
        for (let i = 0; i < block.frames; i++) {
          rows.push(values.slice(i * info.channelCount, (i + 1) * info.channelCount));
          stamps.push(block.stamps[i] as number);
        }
      },
      onClosed: () => undefined,
    },
  );
  closing.push(() => connection.close());
  await connection.opened;
  return { info, rows, stamps };
}

const names = async () =>
  (await resolveStreams({}, { config, timeoutMs: 400 })).map(({ name }) => name).sort();

describe('LSL out', { timeout: 60_000 }, () => {
  test('predictions, events and signal are what subscribers see, stamp by stamp', async () => {
    const { send, listener, daemon } = await setUp({
      predictions: true,
      events: true,
      signal: ['*'],
    });
    const blocks: SignalBlock[] = [];
    daemon.events$.subscribe((event) => {
      if (event.kind === 'signal') blocks.push(event);
    });
    await send(5);
    const predictions = await read('eegd amp a');
    const signal = await read('eegd amp signal');
    expect(await names()).toEqual(['eegd amp a', 'eegd amp events', 'eegd amp signal']);
    const before = { answers: listener.answers.length, blocks: blocks.length };
    await send(8);
    const told = listener.answers.slice(before.answers) as Prediction[];
    expect(told).toHaveLength(8);
    await until(() => predictions.rows.length === 8, 'eight predictions');
    expect(predictions.stamps).toEqual(told.map(({ windowEndS }) => windowEndS));
    expect(predictions.rows).toEqual(
      told.map(({ probabilities }) =>
        ['no', 'yes'].map((c) => Math.fround(probabilities[c] ?? -1)),
      ),
    );
    const sent = blocks.slice(before.blocks);
    const samples = sent.reduce((sum, block) => sum + block.samples, 0);
    expect(samples).toBe(1600);
    await until(() => signal.rows.length === samples, 'all samples');
    const [first] = sent as [SignalBlock];
    expect(signal.rows[0]).toEqual([first.data[0], first.data[first.samples]]);
    expect(signal.stamps[0]).toBeCloseTo(first.stampS, 9);
  });

  test('only what is configured goes out', async () => {
    const { send } = await setUp({ events: true });
    await send(5);
    await until(async () => (await names()).length > 0, 'an outlet');
    expect(await names()).toEqual(['eegd amp events']);
  });

  test('nothing goes out where nothing is configured', async () => {
    const { send } = await setUp({});
    await send(5);
    expect(await names()).toEqual([]);
  });
});
