/** From recordings to a checkpoint that predicts: every stage, small, by the command line. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/core/paths.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { writeEdf, writeText } from './made-edf.js';

const root = mkdtempSync(join(tmpdir(), 'eegd-pipeline-'));
const people = ['a', 'b', 'c', 'd', 'e', 'f'];
const recipe = `
name: small
seed: 9
sets:
  made:
    layout: bids
    path: made
    split: { validation: [e], test: [f] }
model: { width: 16, heads: 2, ffn: 32, trunkBlocks: 1, latents: 2, taskBlocks: 2, taskSlots: 4 }
masked: { windowS: 3, channelsMax: 2, sets: [made] }
upcycle: { blocks: [1], experts: 4, topK: 2 }
tasks:
  - name: loudness
    classes: [left, right]
    windowS: 2
    hopS: 1
    contextWindows: 1
    event: { label: right, on: 0.7, off: 0.5, hold: 2 }
    sources:
      - { set: made, labels: { left: left, right: right }, share: 0.9 }
MORE
training:
  { steps: STEPS, rows: 12, learningRate: 0.01, warmupSteps: 3, saveEvery: 4, validateEvery: 20 }
augmentation: { timeShiftS: 0, channelDropout: 0, rereference: 0 }
folds:
  - { task: loudness, set: made, groups: [[a, b], ['[d-f]']], steps: 3 }
`;

/** The same question of shorter windows: a task to add, and to learn beside the first. */
const secondTask = `
  - name: side
    classes: [right, left]
    windowS: 1
    hopS: 1
    sources:
      - { set: made, labels: { left: left, right: right }, share: 0.9 }`;

/** Either the left or the right electrode is loud, in spans of 8 s. */
function makeData(): void {
  for (const [i, person] of people.entries()) {
    writeEdf(root, `made/sub-${person}/eeg/sub-${person}_task-x_eeg.edf`, {
      seconds: 64,
      seed: i + 1,
      gain: (channel, second) => (Math.floor(second / 8) % 2 === channel ? 2 : 0.3),
    });
    const rows = Array.from(
      { length: 8 },
      (_, k) => `${k * 8}\t8\t${k % 2 === 0 ? 'left' : 'right'}`,
    );
    writeText(
      root,
      `made/sub-${person}/eeg/sub-${person}_task-x_events.tsv`,
      `onset\tduration\ttrial_type\n${rows.join('\n')}\n`,
    );
  }
  const text = (steps: number, more = '') =>
    recipe.replace('STEPS', String(steps)).replace('MORE', more);
  writeText(root, 'pretrain.yaml', text(6));
  writeText(root, 'finetune.yaml', text(60));
  writeText(root, 'ablation.yaml', text(6, secondTask));
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function eegd(args: readonly string[], onLine?: (line: string, kill: () => void) => void) {
  const main = join(packageRoot(), 'src/cli/main.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], { cwd: packageRoot() });
  let [out, err] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    out += data;
    for (const line of String(data).split('\n')) onLine?.(line, () => child.kill('SIGKILL'));
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data;
  });
  return new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const stage = (name: string, file: string, more: readonly string[]) => [
  ...[name, join(root, file), '--data', root, '--store', join(root, 'store')],
  ...more,
];

beforeAll(makeData);
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('pretrain, upcycle, finetune, evaluate', () => {
  test('the whole way, killed once on it, ends where an unbroken run ends', {
    timeout: 300_000,
  }, async () => {
    const at = (name: string) => join(root, name);
    const pre = await eegd(stage('pretrain', 'pretrain.yaml', ['--out', at('pre')]));
    expect(pre.err).toBe('');
    expect(pre.out).toMatch(/"kind":"step","step":6/);
    const up = await eegd(
      stage('upcycle', 'finetune.yaml', ['--from', at('pre'), '--out', at('up')]),
    );
    expect(up.err).toBe('');
    const fine = (out: string) =>
      stage('finetune', 'finetune.yaml', ['--from', at('up'), '--out', out]);
    const whole = await eegd(fine(at('whole')));
    expect(whole.err).toBe('');
    const killed = await eegd(fine(at('cut')), (line, kill) => {
      if (line.includes('"step":10,')) kill();
    });
    expect(killed.code).toBeNull();
    expect(existsSync(join(at('cut'), 'checkpoint'))).toBe(false);
    const resumed = await eegd(fine(at('cut')));
    expect(resumed.err).toBe('');
    expect(resumed.out).not.toMatch(/"step":8,/);
    const curve = (out: string) => readFileSync(join(out, 'metrics.jsonl'), 'utf8');
    expect(curve(at('cut'))).toBe(curve(at('whole')));

    const [a, b] = [
      await loadCheckpoint(join(at('whole'), 'checkpoint')),
      await loadCheckpoint(join(at('cut'), 'checkpoint')),
    ];
    expect(b.manifest.weights.sha256).toBe(a.manifest.weights.sha256);
    expect([a.trained, a.arch.moe?.experts, a.arch.tasks[0].name]).toEqual([true, 4, 'loudness']);

    const plots = readFileSync(join(at('whole'), 'curves.html'), 'utf8');
    expect(plots).toMatch(/<svg[\s\S]*training loss[\s\S]*validation: balancedAccuracy/);

    const judged = await eegd(
      stage('evaluate', 'finetune.yaml', [
        '--checkpoint',
        join(at('whole'), 'checkpoint'),
        '--json',
        '--controls',
      ]),
    );
    expect(judged.err).toBe('');
    const found = JSON.parse(judged.out) as {
      sets: { people: number; pooled: { balancedAccuracy: number } }[];
      alarms: { figures: { reference: number } }[];
      controls: Record<string, { pooled: { balancedAccuracy: number } }[]>;
    };
    expect(found.sets[0].people).toBe(1);
    expect(found.sets[0].pooled.balancedAccuracy).toBeGreaterThan(0.8);
    expect(found.alarms[0].figures.reference).toBe(1);
    expect(found.controls.majority[0].pooled.balancedAccuracy).toBe(0.5);
    expect(found.controls['band-power-lda'][0].pooled.balancedAccuracy).toBeGreaterThan(0.8);
    const table = await eegd(
      stage('evaluate', 'finetune.yaml', [
        '--checkpoint',
        join(at('whole'), 'checkpoint'),
        '--no-alarms',
      ]),
    );
    expect(table.out).toMatch(/\| loudness \| made \| test \| 1 \|/);
  });

  test('folds: every group is judged once, by what learned from the others', {
    timeout: 300_000,
  }, async () => {
    const folds = await eegd(
      stage('evaluate', 'finetune.yaml', [
        ...['--checkpoint', join(root, 'up/checkpoint'), '--folds', '--json'],
      ]),
    );
    expect(folds.err).toBe('');
    const reports = JSON.parse(folds.out) as {
      by: string;
      pooled: { windows: number; balancedAccuracy: number };
      folds: { windows: number }[];
    }[];
    const names = reports.map(({ by }) => by);
    expect(names).toEqual(['model', 'eegnet', 'majority', 'band-power-lda']);
    for (const { folds: each, pooled } of reports) {
      expect(each.length).toBe(2);
      expect(each[0].windows + each[1].windows).toBe(pooled.windows);
    }
    expect(reports[2].pooled.balancedAccuracy).toBe(0.5);
    expect(reports[3].pooled.balancedAccuracy).toBeGreaterThan(0.8);
  });

  test('the ablation runs every variant and reports it', { timeout: 300_000 }, async () => {
    const out = join(root, 'ablation');
    const done = await eegd(
      stage('ablate', 'ablation.yaml', [
        ...['--from', join(root, 'pre/checkpoint'), '--out', out],
        ...['--seeds', '1', '--steps', '4', '--forgetting', '2'],
      ]),
    );
    expect(done.err).toBe('');
    const report = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as {
      runs: { variant: string; parameters: number; activeParameters: number; scores: object }[];
      forgetting: { found: { way: string; old: Record<string, Record<string, number>> }[] }[];
    };
    expect(report.runs.map((run) => run.variant).join('')).toBe('abcdef');
    for (const run of report.runs) expect(Object.keys(run.scores)).toEqual(['loudness', 'side']);
    const size = (variant: string) => report.runs.find((run) => run.variant === variant);
    expect(size('f')?.parameters).toBeGreaterThan(size('d')?.parameters ?? 0);
    expect(size('f')?.activeParameters).toBeLessThan(size('f')?.parameters ?? 0);
    const [{ found }] = report.forgetting;
    expect(found.map(({ way }) => way)).toEqual(['dense', 'moe', 'pack']);
    // The pack's way leaves what was learned as it was.
    expect(found[2].old.loudness.after).toBe(found[2].old.loudness.before);
    const text = readFileSync(join(out, 'report.md'), 'utf8');
    expect(text).toMatch(/\| d - c \|/);
    expect(text).toMatch(/Routing of f, block 1/);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toMatch(
      /<svg[\s\S]*routing of f, block 1/,
    );
  });

  test('faults come as one line with their exit code', async () => {
    const lost = await eegd(
      stage('finetune', 'finetune.yaml', [
        '--from',
        join(root, 'nowhere'),
        '--out',
        join(root, 'x'),
      ]),
    );
    expect([lost.code, lost.err.trim().split('\n').length]).toEqual([66, 1]);
    expect(lost.err).toMatch(/EEG_MODEL_NOT_FOUND/);
  });
});
