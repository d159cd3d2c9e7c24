/**
 * Growing: a new task (or a person's version of one) gets experts, router columns, a row in each
 * task table and a head of its own: an expert pack. The base is frozen and cannot reach them, so
 * nothing it knew changes. Packs are attached, detached and combined without touching each other.
 */
import type { Readout } from '../core/readout.js';
import type { Rng } from '../core/rng.js';
import type { TaskSpec } from '../core/tasks.js';
import type { Tensor } from '../graph/tensor.js';
import { type Architecture, baseTasksOf, type PackShape } from './architecture.js';
import type { ParameterSpec, Weights } from './parameters.js';
import { routerSd } from './router.js';
import { packPrefix } from './row-task.js';
import { parameterSpecs } from './serving.js';

export interface Model {
  readonly arch: Architecture;
  readonly weights: Weights;
}

export interface Pack extends PackShape {
  readonly task: TaskSpec;
  /** Only the new parameters, `packs.NAME.*`. */
  readonly weights: Map<string, Tensor>;
  /** What its task's logits get from the spectra of the person's own channels. */
  readonly readout?: Readout;
}

export interface GrowOptions {
  /** Name of the pack; it names its parameters. */
  readonly name: string;
  readonly task: TaskSpec;
  /** New experts a block, 1 or 2. */
  readonly experts: number;
  /** MoE blocks that get them; the last one by default. */
  readonly blocks?: readonly number[];
  /** Routing shares `[moeBlocks][experts]`: the most used expert is the one that is copied. */
  readonly usage?: readonly (readonly number[])[];
  /** Task of the base whose embedding, pooling and (classes being equal) head it starts from. */
  readonly like?: string;
}

/** Makes the pack of a new task on a model without packs. Throws where the options do not fit. */
export function grow(base: Model, options: GrowOptions, rng: Rng): Pack {
  const { arch } = base;
  const mixtures = [...(arch.moe?.blocks ?? [])].sort((a, b) => a - b);
  const blocks = options.blocks ?? mixtures.slice(-1);
  const { name, task, experts } = options;
  if ((arch.packs ?? []).length > 0) throw new Error('a pack grows on the base, without packs');
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name)) throw new Error(`pack name ${name}`);
  if (arch.tasks.some((known) => known.name === task.name))
    throw new Error(`the base has a task ${task.name} already`);
  if (experts < 1 || experts > 2) throw new Error(`${experts} new experts, expected 1 or 2`);
  if (blocks.some((block) => !mixtures.includes(block)))
    throw new Error(`blocks ${blocks.join()}: the base has mixtures in ${mixtures.join()}`);
  const shape = { name, blocks, experts };
  const weights = new Map<string, Tensor>();
  for (const spec of packSpecs(arch, shape, task))
    weights.set(spec.name, startOf(spec, base, options, rng));
  return { ...shape, task, weights };
}

/** Parameters of a pack on this base. */
export function packSpecs(arch: Architecture, shape: PackShape, task: TaskSpec): ParameterSpec[] {
  const grown = { ...arch, packs: [shape], tasks: [...baseTasksOf(arch), task] };
  const prefix = `${packPrefix(shape.name)}.`;
  return parameterSpecs(grown).filter(({ name }) => name.startsWith(prefix));
}

const copyOf = ({ shape, data }: Tensor): Tensor => ({ shape, data: data.slice() });

function need(weights: Weights, name: string): Tensor {
  const tensor = weights.get(name);
  if (tensor === undefined) throw new Error(`growing: no weight ${name}`);
  return tensor;
}

/** What a new parameter starts from: a part of the base where there is one to copy. */
function startOf(spec: ParameterSpec, base: Model, options: GrowOptions, rng: Rng): Tensor {
  const own = spec.name.slice(packPrefix(options.name).length + 1);
  const inBlock = /^blocks\.(\d+)\.(?:experts\.\d+\.(.*)|router\.(token|task))$/.exec(own);
  if (inBlock !== null) {
    const block = Number(inBlock[1]);
    const expert = mostUsed(base.arch, block, options.usage);
    if (inBlock[2] !== undefined)
      return copyOf(need(base.weights, `task.blocks.${block}.experts.${expert}.${inBlock[2]}`));
    return inBlock[3] === 'token'
      ? columnCopies(need(base.weights, `task.blocks.${block}.router.token`), expert, spec, rng)
      : { shape: spec.shape, data: new Float32Array(spec.shape[0]) };
  }
  const { like } = options;
  if (own === 'embedding' || own === 'pool')
    return tableRow(need(base.weights, `task.${own}`), base.arch, like);
  const model = like === undefined ? undefined : base.weights.get(`heads.${like}.${own.slice(5)}`);
  if (model !== undefined && sameClasses(base.arch, options)) return copyOf(model);
  const data = Float32Array.from({ length: spec.shape.reduce((a, b) => a * b, 1) }, () =>
    spec.sd > 0 ? spec.sd * rng.normal() : 0,
  );
  return { shape: spec.shape, data };
}

function sameClasses(arch: Architecture, { like, task }: GrowOptions): boolean {
  const known = arch.tasks.find((one) => one.name === like);
  return known?.classes.join('\n') === task.classes.join('\n') && known.apart === task.apart;
}

function mostUsed(arch: Architecture, block: number, usage: GrowOptions['usage']): number {
  const blocks = [...(arch.moe?.blocks ?? [])].sort((a, b) => a - b);
  const shares = usage?.[blocks.indexOf(block)];
  return shares === undefined ? 0 : shares.indexOf(Math.max(...shares));
}

/** The column of the copied expert for each new one, a little apart from each other. */
function columnCopies(table: Tensor, expert: number, spec: ParameterSpec, rng: Rng): Tensor {
  const [width, experts] = spec.shape;
  const columns = table.shape[1];
  const data = new Float32Array(width * experts);
  for (let row = 0; row < width; row++)
    for (let i = 0; i < experts; i++)
      data[row * experts + i] = table.data[row * columns + expert] + 0.1 * routerSd * rng.normal();
  return { shape: spec.shape, data };
}

/** The row of the task it is like, else the mean of the base's tasks. */
function tableRow(table: Tensor, arch: Architecture, like: string | undefined): Tensor {
  const tasks = baseTasksOf(arch);
  const one = tasks.findIndex((task) => task.name === like);
  const rows = one >= 0 ? [one] : [...tasks.keys()];
  const width = table.shape[1];
  const data = new Float32Array(width);
  for (const row of rows)
    for (let i = 0; i < width; i++) data[i] += table.data[row * width + i] / rows.length;
  return { shape: [1, width], data };
}

/** The model with the pack. Its task comes last; throws if pack or task are there already. */
export function attachPack(model: Model, pack: Pack): Model {
  const { arch } = model;
  const packs = arch.packs ?? [];
  if (packs.some((known) => known.name === pack.name))
    throw new Error(`pack ${pack.name} is attached already`);
  if (arch.tasks.some((task) => task.name === pack.task.name))
    throw new Error(`there is a task ${pack.task.name} already`);
  const { name, blocks, experts } = pack;
  return {
    arch: {
      ...arch,
      tasks: [...arch.tasks, pack.task],
      packs: [...packs, { name, blocks, experts }],
    },
    weights: new Map([...model.weights, ...pack.weights]),
  };
}

/** The model without the pack; what is left is as it was. */
export function detachPack(model: Model, name: string): Model {
  const { arch } = model;
  const packs = arch.packs ?? [];
  const at = packs.findIndex((pack) => pack.name === name);
  if (at < 0) throw new Error(`no pack ${name} is attached`);
  const gone = baseTasksOf(arch).length + at;
  const { packs: _, ...rest } = arch;
  const left = packs.filter((_, i) => i !== at);
  const prefix = `${packPrefix(name)}.`;
  return {
    arch: {
      ...rest,
      tasks: arch.tasks.filter((_, i) => i !== gone),
      ...(left.length > 0 ? { packs: left } : {}),
    },
    weights: new Map([...model.weights].filter(([key]) => !key.startsWith(prefix))),
  };
}

/** For `TrainingOptions.trains`: only the pack's own parameters get gradients. */
export function packTrains(name: string): (parameter: string) => boolean {
  const prefix = `${packPrefix(name)}.`;
  return (parameter) => parameter.startsWith(prefix);
}
