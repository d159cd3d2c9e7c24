/**
 * A run's folder: the recipe and what it ran with (`run.json`), one line a step (`metrics.jsonl`),
 * the state to go on from (`state/`), and the best weights so far (`best/`). Everything that is
 * replaced is replaced whole, so a run killed at any moment goes on from its last saved step.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, platform } from 'node:os';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import { packageRoot } from '../core/paths.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import type { Tensor } from '../graph/tensor.js';
import { preprocessingVersion } from '../model/manifest.js';
import { publishFolder, readableFolder } from '../model/publish.js';

export interface SavedState {
  readonly step: number;
  /** Bytes of metrics.jsonl that belong to the steps done. */
  readonly metricsBytes: number;
  /** Plain values: random state, best validation, seconds spent. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Groups of tensors, e.g. `weights`, `optimiser`, `average`. */
  readonly tensors: Readonly<Record<string, ReadonlyMap<string, Tensor>>>;
}

const handedOn = 'optimiser.safetensors';

export class RunFolder {
  readonly path: string;
  #metricsBytes = 0;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path, { recursive: true });
  }

  /**
   * Begin or go on. A folder that holds another recipe's run is refused: its state would be mixed
   * with something else. @throws EEG_DATA_INVALID.
   */
  async open(facts: Readonly<Record<string, unknown>>): Promise<SavedState | undefined> {
    const run = join(this.path, 'run.json');
    if (existsSync(run)) {
      const known = JSON.parse(readFileSync(run, 'utf8')) as { facts: Record<string, unknown> };
      const other = differing(known.facts, facts);
      if (other.length > 0)
        throw new EegError(
          'EEG_DATA_INVALID',
          `${this.path} holds a run with another ${other.join(', another ')}`,
          { hint: 'go on with what that run began with, or choose another --out' },
        );
    } else writeFileSync(run, `${JSON.stringify({ facts, ...versions() }, null, 2)}\n`);
    const state = await this.load();
    const metrics = join(this.path, 'metrics.jsonl');
    this.#metricsBytes = state?.metricsBytes ?? 0;
    if (existsSync(metrics)) truncateSync(metrics, this.#metricsBytes);
    return state;
  }

  /** The optimiser's state in a run folder, whose own or one handed on to it; none: undefined. */
  static async optimiserOf(path: string): Promise<ReadonlyMap<string, Tensor> | undefined> {
    const handed = join(path, handedOn);
    if (existsSync(handed)) return readSafetensors(readFileSync(handed)).tensors;
    if (!existsSync(join(path, 'state'))) return undefined;
    return (await new RunFolder(path).load())?.tensors.optimiser;
  }

  /** For a stage that takes no steps: what the next one begins with. */
  handOn(optimiser: ReadonlyMap<string, Tensor>): void {
    writeFileSync(join(this.path, handedOn), writeSafetensors(optimiser, 'F32'));
  }

  record(line: Readonly<Record<string, unknown>>): void {
    const text = `${JSON.stringify(line)}\n`;
    appendFileSync(join(this.path, 'metrics.jsonl'), text);
    this.#metricsBytes += Buffer.byteLength(text);
  }

  async save(state: Omit<SavedState, 'metricsBytes'>): Promise<void> {
    const files: Record<string, Uint8Array | string> = {
      'state.json': JSON.stringify({
        step: state.step,
        metricsBytes: this.#metricsBytes,
        values: state.values,
        groups: Object.keys(state.tensors),
      }),
    };
    for (const [group, tensors] of Object.entries(state.tensors))
      files[`${group}.safetensors`] = writeSafetensors(tensors, 'F32');
    await publishFolder(join(this.path, 'state'), files);
  }

  async load(): Promise<SavedState | undefined> {
    const state = join(this.path, 'state');
    const folder = await readableFolder(state).catch(() => undefined);
    if (folder === undefined) return undefined;
    const plain = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as SavedState & {
      groups: string[];
    };
    const tensors = Object.fromEntries(
      plain.groups.map((group) => [
        group,
        readSafetensors(readFileSync(join(folder, `${group}.safetensors`))).tensors,
      ]),
    );
    return { step: plain.step, metricsBytes: plain.metricsBytes, values: plain.values, tensors };
  }
}

/**
 * Facts that are not the same: by name, with their values where these are short. What the version
 * that began the run did not write down is not compared.
 */
function differing(
  known: Readonly<Record<string, unknown>>,
  facts: Readonly<Record<string, unknown>>,
): string[] {
  const names = [...new Set([...Object.keys(facts), ...Object.keys(known)])];
  return names.flatMap((name) => {
    const [was, is] = [known[name], facts[name]].map((value) => JSON.stringify(value) ?? 'none');
    if (was === is || !(name in known)) return [];
    return [was.length + is.length > 40 ? name : `${name} (${was}, not ${is})`];
  });
}

/** What a figure may depend on beside the recipe. */
export function versions(): Record<string, unknown> {
  const own = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  const ort = createRequire(import.meta.url)('onnxruntime-node/package.json') as {
    version: string;
  };
  return {
    eegd: own.version,
    node: process.version,
    onnxruntime: ort.version,
    preprocessing: preprocessingVersion,
    machine: `${platform()} ${arch()}, ${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
    startedAt: new Date().toISOString(),
  };
}
