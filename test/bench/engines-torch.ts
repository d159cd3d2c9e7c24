/**
 * PyTorch beside our engines, where a Python has it (EEGD_PYTHON, or one of the usual places): the
 * same weights and windows through `engines_torch.py`.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { EngineFigures } from './engines.js';

const run = promisify(execFile);

interface Variant {
  readonly device: 'cpu' | 'cuda';
  readonly mode: 'eager' | 'compiled' | 'training';
  readonly threads: number;
  readonly label: string;
}

const variants: readonly Variant[] = [
  { device: 'cpu', mode: 'eager', threads: 1, label: 'cpu, eager, 1 thread' },
  { device: 'cuda', mode: 'eager', threads: 1, label: 'cuda, eager' },
  { device: 'cuda', mode: 'compiled', threads: 1, label: 'cuda, compiled, CUDA graphs' },
  { device: 'cpu', mode: 'training', threads: 1, label: 'cpu, training step' },
  { device: 'cuda', mode: 'training', threads: 1, label: 'cuda, training step' },
];

/** The first window, and how long to measure; read by `engines_torch.py`. */
export interface TorchInputs {
  readonly seconds: number;
  readonly channels: number;
  readonly patches: readonly number[];
  readonly positions: readonly number[];
  readonly times: readonly number[];
  readonly task: number;
  /** In float64. */
  readonly logits: readonly number[];
  /** Cross-entropy of the first window for the first class of its task, in float64. */
  readonly firstLoss: number;
  readonly trainingRows: number;
  readonly sites: readonly number[];
  readonly rowCounts: readonly number[];
  readonly spendMs: number;
  readonly runsMax: number;
}

async function findPython(): Promise<{ python: string; cuda: boolean } | undefined> {
  for (const python of [process.env.EEGD_PYTHON, 'python3', '/usr/bin/python3']) {
    if (python === undefined) continue;
    const ask = 'import torch; print(torch.cuda.is_available())';
    const answer = await run(python, ['-c', ask]).catch(() => undefined);
    if (answer !== undefined) return { python, cuda: answer.stdout.trim() === 'True' };
  }
  return undefined;
}

export async function benchTorch(folder: string, inputs: TorchInputs): Promise<EngineFigures[]> {
  const found = await findPython();
  const say = (text: string) => process.stderr.write(`pytorch: not measured: ${text}\n`);
  if (found === undefined) {
    say('no python3 with torch; EEGD_PYTHON names one');
    return [];
  }
  const place = mkdtempSync(join(tmpdir(), 'eegd-torch-'));
  const file = join(place, 'inputs.json');
  writeFileSync(file, JSON.stringify(inputs));
  const script = join(import.meta.dirname, 'engines_torch.py');
  const out: EngineFigures[] = [];
  for (const { device, mode, threads, label } of variants) {
    if (device === 'cuda' && !found.cuda) {
      say(`${label}: torch finds no CUDA`);
      continue;
    }
    try {
      const args = [script, folder, file, device, mode, String(threads)];
      const { stdout } = await run(found.python, args);
      const { version, figures } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
      for (const one of figures)
        out.push({
          ...{ engine: `pytorch ${version}`, device: label, rows: one.rows },
          ...{ msP50: one.msP50, msP99: one.msP99, rowsPerS: (1000 * one.rows) / one.msP50 },
          ...{ maxError: one.maxError, memoryMb: one.memoryMb },
        });
    } catch (error) {
      say(`${label}: ${String((error as { stderr?: string }).stderr ?? error).slice(-300)}`);
    }
  }
  rmSync(place, { recursive: true });
  return out;
}
