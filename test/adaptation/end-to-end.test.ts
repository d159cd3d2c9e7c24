/**
 * A task taught to a running daemon: a stream with markers in, labels on the disk, an expert
 * learned in the learner process, swapped in by itself, and predictions on what comes after.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import { afterAll, expect, test } from 'vitest';
import type { Driver } from '../../drivers/driver.js';
import { Adaptation } from '../../src/adaptation/adaptation.js';
import { verifyAudit } from '../../src/adaptation/audit-log.js';
import { wilson } from '../../src/adaptation/prequential.js';
import type { Prediction } from '../../src/core/events.js';
import { Rng } from '../../src/core/rng.js';
import type { DriverEvent } from '../../src/core/stream.js';
import { localClock } from '../../src/core/time.js';
import { adaptationHost } from '../../src/daemon/adaptation-parts.js';
import { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { OpenEngine } from '../../src/daemon/swapper.js';
import { createEngine } from '../../src/engine/create-engine.js';
import { saveCheckpoint } from '../../src/model/checkpoint.js';
import { initialWeights } from '../../src/model/serving.js';
import { madeTrial, trialChannels } from '../support/labelled-trials.js';
import { tinyMoe } from '../support/model-fixture.js';
import { oldTaskLogits } from '../support/old-task-logits.js';
import { daemonOn } from '../support/tiny-checkpoint.js';

const root = mkdtempSync(join(tmpdir(), 'eegd-teach-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const rateHz = 200;
const classes = ['left', 'right'];

/** Trials of 2 s with a second of noise between, each announced by a marker. */
class TaughtStream implements Driver {
  readonly events = new Subject<DriverEvent>();
  readonly originS = localClock() - 600;
  /** Label and begin of each trial so far. */
  readonly trials: { label: number; startS: number }[] = [];
  readonly #rng = new Rng(21);
  #index = 0;

  open(): Subject<DriverEvent> {
    return this.events;
  }

  begin(): void {
    const channels = trialChannels.map((label) => ({ label, kind: 'eeg' as const, unit: 'uV' }));
    const info = { id: 'taught', name: 'taught', driver: 'test', rateHz, channels };
    this.events.next({ kind: 'info', info });
    this.#play(-1, 4);
  }

  trial(label: number): void {
    const startS = this.originS + this.#index / rateHz;
    const text = classes[label] as string;
    this.events.next({ kind: 'marker', marker: { stampS: startS, text } });
    this.trials.push({ label, startS });
    this.#play(label, 2);
    this.#play(-1, 1);
  }

  #play(label: number, seconds: number): void {
    const { data } = madeTrial(label, this.#rng, { seconds, strength: 8 });
    const channels = trialChannels.length;
    const frames = seconds * rateHz;
    for (let at = 0; at < frames; at += 50) {
      const chunk = new Float32Array(50 * channels);
      const stamps = new Float64Array(50);
      for (let i = 0; i < 50; i++) {
        stamps[i] = this.originS + (this.#index + i) / rateHz;
        for (let c = 0; c < channels; c++) {
          chunk[i * channels + c] = data[c * frames + at + i] as number;
        }
      }
      const arrivalS = localClock();
      const index = this.#index;
      this.events.next({
        kind: 'chunk',
        chunk: { index, frames: 50, data: chunk, stamps, arrivalS },
      });
      this.#index += 50;
    }
  }
}

test('a task is learned from markers, served by itself, and old tasks are untouched', async () => {
  const folder = join(root, 'models');
  const arch = { ...tinyMoe, width: 32, heads: 4, ffn: 64 };
  await saveCheckpoint(join(folder, 'tiny@1'), {
    ...{ name: 'tiny', release: '1', trained: true, arch },
    weights: initialWeights(arch, new Rng(1)),
  });
  const store = new CheckpointStore({ folder, shipped: [], stateFolder: join(root, 'state') });
  const openEngine: OpenEngine = (place, packs = []) =>
    createEngine(place, { kind: 'onnx', device: 'cpu', threads: 1, packs });
  const stream = new TaughtStream();
  const first = await openEngine(join(folder, 'tiny@1'));
  const before = await oldTaskLogits(first, 2, 5);
  const driverFor = async () => stream;
  const daemon = daemonOn(first, store, { openEngine, driverFor });
  const host = adaptationHost(daemon, store);
  const adaptation = new Adaptation({ folder: join(root, 'adaptation'), host });
  const predictions: Prediction[] = [];
  daemon.events$.subscribe((event) => {
    if (event.kind === 'prediction' && event.task === 'fists') predictions.push(event);
  });
  const connected = daemon.connect('test:taught');
  await new Promise((resolve) => setImmediate(resolve));
  stream.begin();
  await connected;
  const begin = { task: 'fists', classes, windowS: 2, hopS: 0.5 };
  expect(await adaptation.command('start', begin)).toMatchObject({ stream: 'taught' });

  const status = () => adaptation.status() as { state: string; labels: Record<string, number> };
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const rng = new Rng(5);
  const labels = rng.shuffle(Array.from({ length: 48 }, (_, i) => i % 2));
  for (const [i, label] of labels.entries()) {
    stream.trial(label);
    await until(() => Object.values(status().labels).reduce((a, b) => a + b, 0) === i + 1);
  }
  await until(() => status().state === 'active');
  expect(daemon.snapshot().checkpoint).toMatch(/^tiny@1\+fists@\d+$/);
  expect(daemon.snapshot().tasks.map((task) => task.name)).toEqual(['a', 'b', 'fists']);

  // What the person does next: predictions of windows that end within a trial.
  const from = stream.trials.length;
  for (const label of rng.shuffle(Array.from({ length: 30 }, (_, i) => i % 2))) {
    stream.trial(label);
    await daemon.idle();
  }
  const judged = stream.trials.slice(from).flatMap(({ label, startS }) => {
    const own = predictions.filter(({ windowEndS }) => Math.abs(windowEndS - startS - 2) < 0.2);
    return own
      .slice(-1)
      .map(({ probabilities }) => (probabilities[classes[label] as string] ?? 0) > 0.5);
  });
  const correct = judged.filter(Boolean).length;
  const { low, high } = wilson(correct, judged.length);
  console.info(
    `after the swap: ${correct}/${judged.length}, 95 %: ${low.toFixed(2)}-${high.toFixed(2)}`,
  );
  expect(judged.length).toBeGreaterThanOrEqual(25);
  expect(low).toBeGreaterThan(0.5);

  const stored = await store.find(daemon.snapshot().checkpoint);
  const grown = await openEngine(stored.folder, stored.packs);
  expect(await oldTaskLogits(grown, 2, 5)).toEqual(before);
  await grown.close();

  const serving = daemon.snapshot().checkpoint;
  await adaptation.command('rollback', {});
  expect(daemon.snapshot().checkpoint).not.toBe(serving);
  expect((await verifyAudit(join(root, 'adaptation/audit.jsonl'))).ok).toBe(true);
  await adaptation.close();
  await daemon.close();
}, 240_000);
