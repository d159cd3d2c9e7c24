/** Stages on small made recordings: what bad input says, and what one stage hands to the next. */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stepLine } from '../../src/cli/training-stage.js';
import { isEegError, toEegError } from '../../src/core/errors.js';
import { readSafetensors } from '../../src/formats/safetensors.js';
import { loadRecipe, withSteps } from '../../src/training/recipe.js';
import { RunFolder } from '../../src/training/run-folder.js';
import { finetune, type StageOptions, upcycleStage } from '../../src/training/stages.js';
import { scratch } from '../formats/fixture.js';
import { writeEdf, writeText } from './made-edf.js';

const recipe = `
name: small
seed: 3
sets:
  made:
    layout: bids
    path: made
    split: { validation: [c], test: [d] }
model: { width: 8, heads: 2, ffn: 16, trunkBlocks: 1, latents: 1, taskBlocks: 1, taskSlots: 2 }
upcycle: { blocks: [0], experts: 2, topK: 1, optimiser: true }
tasks:
  - name: side
    classes: [left, right]
    windowS: 2
    hopS: 1
    rows: 4
    sources: [{ set: made, labels: { left: left, right: right } }]
training: { steps: 4, warmupSteps: 1, learningRate: 0.01, saveEvery: 2, validateEvery: 4 }
`;

function person(root: string, name: string, events = '0\t8\tleft\n8\t8\tright\n'): string {
  const stem = `made/sub-${name}/eeg/sub-${name}_task-x`;
  writeText(root, `${stem}_events.tsv`, `onset\tduration\ttrial_type\n${events}`);
  return writeEdf(root, `${stem}_eeg.edf`, { seconds: 16, seed: name.charCodeAt(0) });
}

/** Options of a run of `text` on four people, one of them as the test wants. */
function setUp(text: string, change: (root: string) => void = () => {}): StageOptions {
  const root = scratch();
  for (const name of ['a', 'b', 'c', 'd']) person(root, name);
  change(root);
  writeFileSync(join(root, 'r.yaml'), text);
  return {
    loaded: loadRecipe(join(root, 'r.yaml'), root),
    out: join(root, 'run'),
    store: join(root, 'store'),
    threads: 1,
  };
}

const failure = async (run: Promise<unknown>) =>
  toEegError(await run.then(() => 'no failure').catch((error: unknown) => error));

describe('bad input', () => {
  const cases: [string, string, (root: string) => void, string, RegExp][] = [
    [
      'a label the data do not have',
      recipe.replace('left: left,', 'lft: left,'),
      () => {},
      'EEG_DATA_INVALID',
      /set made has no label lft, it has left, right/,
    ],
    [
      'a channel no recording has',
      recipe.replace('path: made', 'path: made\n    channels: [C3, Oz]'),
      () => {},
      'EEG_DATA_INVALID',
      /sub-a.*channels OZ are missing; it has C3, C4/,
    ],
    [
      'a person on both sides',
      recipe.replace('test: [d]', 'test: [c, d]'),
      () => {},
      'EEG_DATA_LEAKAGE',
      /\bc\b/,
    ],
    [
      'a recording that ends before its labels',
      recipe,
      (root) => {
        person(root, 'b', '0\t8\tleft\n8\t30\tright\n');
      },
      'EEG_DATA_INVALID',
      /sub-b.*label right lasts until 38\.0 s, but the recording ends at 16\.0 s/,
    ],
    [
      'a file cut off within a record',
      recipe,
      (root) => truncateSync(person(root, 'b'), 3001),
      'EEG_FILE_FORMAT',
      /sub-b/,
    ],
  ];
  test.each(cases)('%s: one line, nothing trained', async (_, text, change, code, says) => {
    const options = setUp(text, change);
    const error = await failure(finetune(options));
    expect([error.code, error.line.split('\n').length]).toEqual([code, 1]);
    expect(error.message).toMatch(says);
    expect(error.hint).not.toBe('');
    expect(existsSync(join(options.out, 'checkpoint'))).toBe(false);
  });

  test('a loss that is no number: the last good state stays, the windows are named', async () => {
    const options = setUp(recipe.replace('0.01', '1.0e+30'));
    const error = await failure(finetune(options));
    expect(isEegError(error, 'EEG_TRAIN_DIVERGED')).toBe(true);
    expect(error.message).toMatch(/step \d+: .*(made\/sub-[ab]\S*@\d+|is no number)/);
    expect(existsSync(join(options.out, 'checkpoint'))).toBe(false);
    const state = await new RunFolder(options.out).load();
    for (const { data } of state?.tensors.weights.values() ?? [])
      expect(data.every(Number.isFinite)).toBe(true);
  });

  test('another engine, or another number of steps, is another run', async () => {
    const options = setUp(recipe);
    await finetune({ ...options, loaded: withSteps(options.loaded, 2) });
    const error = await failure(
      finetune({ ...options, loaded: withSteps(options.loaded, 2), engine: 'tfjs' }),
    );
    expect(error.message).toMatch(/holds a run with another engine \("onnx", not "tfjs"\)/);
    expect((await failure(finetune(options))).message).toMatch(/another recipe/);
  });
});

describe('from stage to stage', () => {
  test('the optimiser goes on where it was, experts with that of their FFN', async () => {
    const dense = setUp(recipe);
    await finetune(dense);
    const text = recipe.replace('steps: 4,', 'steps: 2, keepOptimiser: true,');
    writeFileSync(join(dense.out, '../kept.yaml'), text);
    const next = (out: string, from: string): StageOptions => ({
      ...dense,
      loaded: loadRecipe(join(dense.out, '../kept.yaml'), dense.loaded.dataRoot),
      out: join(dense.out, '..', out),
      from: join(dense.out, '..', from),
    });
    await upcycleStage(next('up', 'run'));
    const handed = readSafetensors(readFileSync(join(dense.out, '../up/optimiser.safetensors')));
    const before = await RunFolder.optimiserOf(dense.out);
    for (const expert of [0, 1])
      expect(handed.tensors.get(`second.task.blocks.0.experts.${expert}.in.weight`)).toEqual(
        before?.get('second.task.blocks.0.ffn.in.weight'),
      );
    await finetune(next('fine', 'up'));
    const after = await RunFolder.optimiserOf(next('fine', 'up').out);
    const steps = (name: string) => after?.get(`steps.${name}`)?.data[0];
    expect(steps('trunk.embed.bias')).toBe(6);
    expect(steps('task.blocks.0.experts.1.in.weight')).toBe(6);
    // The router was not there before.
    expect(steps('task.blocks.0.router.token')).toBe(2);
    const none = await failure(finetune(next('other', 'run/checkpoint')));
    expect(none.message).toMatch(/holds no optimiser state/);
  });

  test('the line of progress tells step, losses, speed, experts and the time left', () => {
    const line = stepLine({
      step: 3,
      steps: 40,
      loss: 1.25,
      figures: { 'loss.sleep': 1.5, 'loss.seizure': 0.25 },
      experts: [[0.1, 0.9]],
      windowsPerS: 12.34,
      etaS: 75,
    });
    expect(line).toBe(
      '3/40  loss 1.250  sleep 1.500 seizure 0.250  12.3 windows/s  experts 10-90%  1:15 left',
    );
  });
});
