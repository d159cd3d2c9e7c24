/**
 * Expert packs on disk: a folder like a checkpoint's, with only the new parameters, bound to the
 * weights of the base that it grew on by their SHA-256.
 */
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import type { Readout } from '../core/readout.js';
import type { TaskSpec } from '../core/tasks.js';
import { roundTo, type StorageType, writeSafetensors } from '../formats/safetensors.js';
import type { Tensor } from '../graph/tensor.js';
import type { PackShape } from './architecture.js';
import {
  type Checkpoint,
  checkWeights,
  loadWeights,
  manifestFile,
  roundForJson,
  sha256,
  weightsFile,
} from './checkpoint.js';
import {
  cutColumns,
  type GoldenCheck,
  goldenBatch,
  goldenOutputs,
  logitColumns,
} from './golden.js';
import { attachPack, type Pack, packSpecs } from './growing.js';
import {
  type Manifest,
  manifestBytesMax,
  manifestText,
  type PackManifest,
  packManifestSchema,
  parseManifest,
  preprocessingVersion,
} from './manifest.js';
import type { Weights } from './parameters.js';
import { publishFolder, readableFolder, readLimited } from './publish.js';

/** A pack as it is stored, but for what is said of it: plain values, to go between processes. */
export interface EncodedPack extends PackShape {
  readonly task: TaskSpec;
  readonly readout?: Readout;
  /** The checkpoint it grew on, without packs. */
  readonly base: { readonly id: string; readonly sha256: string };
  /** Content of its safetensors file. */
  readonly bytes: Uint8Array;
  readonly type: StorageType;
  /** Of its own task for the base's golden input. */
  readonly logits: readonly number[];
}

export interface PackNotes {
  readonly release: string;
  readonly trained: boolean;
  readonly data?: Manifest['data'];
  readonly metrics?: Manifest['metrics'];
}

/** Logits of the pack's own task for the base's golden input, attached alone: `[1, classes]`. */
async function packGolden(base: Checkpoint, pack: Pack): Promise<Float32Array> {
  const { arch, weights } = attachPack(base, pack);
  const task = [arch.tasks.length - 1];
  const { logits } = await goldenOutputs(arch, weights, base.golden.seed, task);
  return cutColumns(logits, logitColumns(arch, task));
}

/**
 * Runs the model once on the calling thread, for the golden output. Throws `EEG_MODEL_INVALID` for
 * weights that do not fit, or are no numbers.
 */
export async function encodePack(
  base: Checkpoint,
  pack: Pack,
  type: StorageType = 'F16',
): Promise<EncodedPack> {
  const specs = packSpecs(base.arch, pack, pack.task);
  checkWeights(pack.weights, specs);
  const stored: Weights = new Map(
    specs.map(({ name, shape }) => {
      const data = roundTo((pack.weights.get(name) as Tensor).data, type);
      return [name, { shape, data }];
    }),
  );
  checkWeights(stored, specs);
  const logits = await packGolden(base, { ...pack, weights: new Map(stored) });
  const { name, blocks, experts, task, readout } = pack;
  return {
    ...{ name, blocks, experts, task, type },
    ...(readout === undefined ? {} : { readout }),
    base: { id: base.id, sha256: base.manifest.weights.sha256 },
    bytes: writeSafetensors(stored, type, { format: 'eegd' }),
    logits: roundForJson(logits),
  };
}

/** Writes a pack atomically, without a look at the model: whoever loads it verifies it. */
export async function publishPack(
  folder: string,
  pack: EncodedPack,
  notes: PackNotes,
): Promise<PackManifest> {
  const { bytes, type, logits, name, base, task, blocks, experts, readout } = pack;
  const text = manifestText({
    ...{ format: 'eegd-expert-pack', version: readout?.covariance === undefined ? 1 : 2, name },
    ...{ release: notes.release, trained: notes.trained, preprocessing: preprocessingVersion },
    ...{ base, task, blocks, experts },
    ...(readout === undefined ? {} : { readout }),
    weights: { bytes: bytes.length, type, sha256: sha256(bytes) },
    golden: { logits },
    data: notes.data ?? {},
    metrics: notes.metrics ?? {},
  });
  const checked = parseManifest(text, packManifestSchema, manifestFile);
  await publishFolder(folder, { [weightsFile]: bytes, [manifestFile]: text });
  return checked;
}

export interface LoadedPack {
  readonly pack: Pack;
  readonly manifest: PackManifest;
}

/**
 * Reads and validates a pack for this base. Throws `EEG_MODEL_NOT_FOUND`, or `EEG_MODEL_INVALID`
 * for a damaged pack or one that grew on other weights.
 */
export async function loadPack(folder: string, base: Checkpoint): Promise<LoadedPack> {
  const place = await readableFolder(folder);
  const path = join(place, manifestFile);
  const text = new TextDecoder().decode(await readLimited(path, manifestBytesMax));
  const manifest = parseManifest(text, packManifestSchema, path);
  const refuse = (what: string): never => {
    throw new EegError('EEG_MODEL_INVALID', `${path}: ${what}`);
  };
  if (manifest.base.sha256 !== base.manifest.weights.sha256)
    refuse(`the pack grew on ${manifest.base.id}, whose weights are not those of ${base.id}`);
  const { name, blocks, experts } = manifest;
  const mixtures = base.arch.moe?.blocks ?? [];
  if (blocks.some((block) => !mixtures.includes(block)))
    refuse(`blocks ${blocks.join()}: the base has mixtures in ${mixtures.join()}`);
  if (manifest.golden.logits.length !== manifest.task.classes.length)
    refuse(`golden.logits has ${manifest.golden.logits.length} values`);
  const task = manifest.task as Pack['task'];
  const specs = packSpecs(base.arch, { name, blocks, experts }, task);
  const weights = await loadWeights(join(place, weightsFile), manifest.weights, specs);
  const { readout } = manifest;
  if (readout !== undefined && readout.bias.length !== task.classes.length)
    refuse(`the read-out tells ${readout.bias.length} classes apart, not ${task.classes.length}`);
  const shape = { name, blocks, experts, ...(readout === undefined ? {} : { readout }) };
  return { pack: { ...shape, task, weights }, manifest };
}

/** The checkpoint with packs attached, in that order; its `checks` cover each of them. */
export function withPacks(base: Checkpoint, loaded: readonly LoadedPack[]): Checkpoint {
  let model: Pick<Checkpoint, 'arch' | 'weights'> = base;
  for (const { pack } of loaded) {
    try {
      const grown = attachPack(model, pack);
      model = { arch: grown.arch, weights: new Map(grown.weights) };
    } catch (cause) {
      throw new EegError('EEG_MODEL_INVALID', (cause as Error).message, { cause });
    }
  }
  const { arch, weights } = model;
  const own = [...base.arch.tasks.keys()];
  const baseCheck: GoldenCheck = {
    ...base.golden,
    batch: goldenBatch(arch, base.golden.seed),
    columns: logitColumns(arch, own),
  };
  const checks = loaded.map(({ manifest }, i): GoldenCheck => {
    const task = [own.length + i];
    return {
      batch: goldenBatch(arch, base.golden.seed, task),
      latents: base.golden.latents,
      logits: Float32Array.from(manifest.golden.logits),
      columns: logitColumns(arch, task),
    };
  });
  const names = loaded.map(({ manifest }) => `+${manifest.name}@${manifest.release}`);
  return {
    ...base,
    arch,
    weights,
    id: [base.id, ...names].join(''),
    trained: base.trained && loaded.every(({ manifest }) => manifest.trained),
    checks: [baseCheck, ...checks],
    readouts: Object.fromEntries(
      loaded.flatMap(({ pack: { task, readout } }) =>
        readout === undefined ? [] : [[task.name, readout]],
      ),
    ),
  };
}
