/**
 * Checkpoints: a folder with `model.safetensors` and `manifest.json`. Nothing of it is used before
 * sizes, hash, shapes and values were checked; the engine then compares the golden output.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import type { Readout } from '../core/readout.js';
import {
  readSafetensors,
  roundTo,
  type StorageType,
  writeSafetensors,
} from '../formats/safetensors.js';
import type { Tensor } from '../graph/tensor.js';
import type { Architecture } from './architecture.js';
import {
  type GoldenCheck,
  type GoldenOutputs,
  goldenBatch,
  goldenOutputs,
  logitColumns,
} from './golden.js';
import {
  architectureOf,
  type Manifest,
  manifestBytesMax,
  manifestSchema,
  manifestText,
  parseManifest,
  preprocessingVersion,
} from './manifest.js';
import type { Arithmetic, ParameterSpec, Weights } from './parameters.js';
import { publishFolder, readableFolder, readLimited } from './publish.js';
import { parameterSpecs } from './serving.js';

export const weightsFile = 'model.safetensors';
export const manifestFile = 'manifest.json';
export const weightsBytesMax = 1 << 29;

export interface Checkpoint {
  /** `name@release`. */
  readonly id: string;
  readonly trained: boolean;
  readonly arch: Architecture;
  readonly weights: Map<string, Tensor>;
  /** In which the CPU serves it; its golden output is that of float32 all the same. */
  readonly arithmetic: Arithmetic;
  readonly golden: GoldenOutputs & { readonly seed: number };
  /** What an engine that computes this checkpoint must find: base first, then each pack. */
  readonly checks: readonly GoldenCheck[];
  readonly manifest: Manifest;
  /** Of attached packs, by the name of their task. */
  readonly readouts?: Readonly<Record<string, Readout>>;
}

export interface CheckpointParts {
  readonly name: string;
  readonly release: string;
  readonly trained: boolean;
  readonly arch: Architecture;
  readonly weights: Weights;
  /** How weights are stored; golden outputs are those of the stored values. */
  readonly type?: StorageType;
  readonly data?: Manifest['data'];
  readonly metrics?: Manifest['metrics'];
  readonly goldenSeed?: number;
  /** Default float32. */
  readonly arithmetic?: Arithmetic;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Floats short enough to read, exact enough for the golden tolerance. */
export function roundForJson(data: Float32Array): number[] {
  return Array.from(data, (value) => Number(value.toPrecision(7)));
}

/**
 * Writes a checkpoint atomically, replacing one that is there. Runs the model once for the golden
 * output. Throws `EEG_MODEL_INVALID` for weights that do not fit the architecture or are not finite.
 */
export async function saveCheckpoint(folder: string, parts: CheckpointParts): Promise<Manifest> {
  const { arch, type = 'F16' } = parts;
  const specs = parameterSpecs(arch);
  checkWeights(parts.weights, specs);
  const stored = new Map(
    specs.map(({ name, shape }) => {
      const data = roundTo((parts.weights.get(name) as Tensor).data, type);
      return [name, { shape, data }];
    }),
  );
  checkWeights(stored, specs);
  const seed = parts.goldenSeed ?? 1;
  const golden = await goldenOutputs(arch, stored, seed);
  const bytes = writeSafetensors(stored, type, { format: 'eegd' });
  const text = manifestText({
    format: 'eegd-checkpoint',
    version: 1,
    name: parts.name,
    release: parts.release,
    trained: parts.trained,
    preprocessing: preprocessingVersion,
    architecture: arch,
    weights: { bytes: bytes.length, type, sha256: sha256(bytes) },
    ...(parts.arithmetic === 'int8' ? { arithmetic: 'int8' as const } : {}),
    golden: {
      seed,
      latents: roundForJson(golden.latents),
      logits: roundForJson(golden.logits),
    },
    data: parts.data ?? {},
    metrics: parts.metrics ?? {},
  });
  const checked = parseManifest(text, manifestSchema, manifestFile);
  await publishFolder(folder, { [weightsFile]: bytes, [manifestFile]: text });
  return checked;
}

/** Reads and validates. Throws `EEG_MODEL_NOT_FOUND`, or `EEG_MODEL_INVALID` naming the fault. */
export async function loadCheckpoint(folder: string): Promise<Checkpoint> {
  const place = await readableFolder(folder);
  const path = join(place, manifestFile);
  const text = new TextDecoder().decode(await readLimited(path, manifestBytesMax));
  const manifest = parseManifest(text, manifestSchema, path);
  const arch = architectureOf(manifest);
  const specs = parameterSpecs(arch);
  const weights = await loadWeights(join(place, weightsFile), manifest.weights, specs);
  const golden = goldenOf(manifest.golden);
  const columns = logitColumns(arch, [...arch.tasks.keys()]);
  if (golden.logits.length !== arch.tasks.length * columns.total)
    refuse(`${path}: golden.logits has ${golden.logits.length} values`);
  return {
    id: `${manifest.name}@${manifest.release}`,
    trained: manifest.trained,
    arch,
    weights,
    arithmetic: manifest.arithmetic ?? 'float32',
    golden,
    checks: [{ ...golden, batch: goldenBatch(arch, golden.seed), columns }],
    manifest,
  };
}

function goldenOf({ seed, latents, logits }: Manifest['golden']): Checkpoint['golden'] {
  return { seed, latents: Float32Array.from(latents), logits: Float32Array.from(logits) };
}

/** Reads a weight file against what the manifest says and the architecture asks for. */
export async function loadWeights(
  path: string,
  expected: { readonly bytes: number; readonly sha256: string },
  specs: readonly ParameterSpec[],
): Promise<Map<string, Tensor>> {
  const bytes = await readLimited(path, weightsBytesMax);
  if (bytes.length !== expected.bytes)
    refuse(`${path}: has ${bytes.length} bytes, the manifest says ${expected.bytes} (truncated?)`);
  const { tensors } = readSafetensors(bytes);
  checkWeights(tensors, specs);
  if (sha256(bytes) !== expected.sha256)
    refuse(`${path}: the SHA-256 of the weights is not the one of the manifest`);
  return tensors;
}

function refuse(what: string): never {
  throw new EegError('EEG_MODEL_INVALID', what);
}

function isFiniteAll(data: Float32Array): boolean {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false;
  return true;
}

/** Every parameter there, no other, each of its shape, all values finite. */
export function checkWeights(weights: Weights, specs: readonly ParameterSpec[]): void {
  const known = new Set(specs.map((spec) => spec.name));
  for (const name of weights.keys())
    if (!known.has(name)) refuse(`tensor "${name}" is not one of this architecture`);
  for (const { name, shape } of specs) {
    const tensor = weights.get(name);
    if (tensor === undefined) refuse(`tensor "${name}" is missing`);
    if (tensor.shape.join() !== shape.join())
      refuse(`tensor "${name}" is [${tensor.shape.join(', ')}], expected [${shape.join(', ')}]`);
    if (!isFiniteAll(tensor.data)) refuse(`tensor "${name}" holds a value that is not finite`);
  }
}
