/** The task blocks: the latents of a window's seconds, with time and task, to logits. */
import { type Dim, times } from '../graph/dims.js';
import type { Graph, Value } from '../graph/graph.js';
import { attention } from '../graph/ops/attention.js';
import { add } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { layerNorm } from '../graph/ops/norm.js';
import { concat, expand, reshape, transpose } from '../graph/ops/shape.js';
import { type Architecture, baseTasksOf, pooledSize } from './architecture.js';
import { ffn, ffnWeights, type Layout, maskBias, selfAttention } from './blocks.js';
import { dropless } from './dropless.js';
import { timeFeatures, timeFourier } from './features.js';
import type { Mixture } from './mixture.js';
import { mixtureLayer } from './mixture-layer.js';
import type { Parameters } from './parameters.js';
import type { Routing } from './router.js';
import { packPrefix, type RowTask, taskTables } from './row-task.js';
import { clean } from './trunk.js';

export interface TaskInputs {
  /** `[rows, seconds, latents, width]`. */
  readonly latents: Value;
  /** `[rows, seconds]`, s before the window's end. */
  readonly times: Value;
  /** `[rows, seconds]`, 1 = usable. */
  readonly mask: Value;
  /** `[rows]` int32, index into the tasks. */
  readonly task: Value;
}

export function taskInputs(graph: Graph, arch: Architecture): TaskInputs {
  return {
    latents: graph.input('latents', ['rows', 'seconds', arch.latents, arch.width]),
    times: graph.input('times', ['rows', 'seconds']),
    mask: graph.input('mask', ['rows', 'seconds']),
    task: graph.input('task', ['rows'], 'int32'),
  };
}

/** The state of a window between its embedding and its heads. */
export interface Window {
  /** `[rows*tokens, width]`. */
  readonly x: Value;
  readonly layout: Layout;
  /** `[rows, tokens]`. */
  readonly mask: Value;
  /** `[rows, seconds]`, the same of all latents of a second. */
  readonly secondMask: Value;
}

/** Tokens of the window: latents with their time and index, and the task where one is given. */
export function embedWindow(
  inputs: Omit<TaskInputs, 'task'>,
  taskEmbedding: Value | null,
  arch: Architecture,
  parameters: Parameters,
): Window {
  const { latents, width } = arch;
  const [rows, seconds] = inputs.mask.shape;
  const tokens = times(seconds, latents);
  const weight = parameters.linear('task.time.weight', timeFeatures, width);
  const byTime = reshape(gemm(timeFourier(inputs.times), weight), [rows, seconds, 1, width]);
  const perSecond =
    taskEmbedding === null ? byTime : add(byTime, reshape(taskEmbedding, [rows, 1, 1, width]));
  const perLatent = parameters.get('task.latent', [latents, width], 0.02);
  const x = add(add(clean(inputs.latents, inputs.mask), perSecond), perLatent);
  const mask = expand(reshape(inputs.mask, [rows, seconds, 1]), [rows, seconds, latents]);
  return {
    x: reshape(x, [times(rows, tokens), width]),
    layout: { rows, tokens },
    mask: reshape(mask, [rows, tokens]),
    secondMask: inputs.mask,
  };
}

export interface Mixed {
  readonly window: Window;
  /** One for each MoE block. */
  readonly routings: readonly Routing[];
}

/** All task blocks. */
export function runBlocks(
  window: Window,
  rowTask: RowTask,
  arch: Architecture,
  parameters: Parameters,
  mixture: Mixture = dropless,
): Mixed {
  const { layout } = window;
  const bias = maskBias(window.mask);
  const usable = reshape(window.mask, [times(layout.rows, layout.tokens)]);
  const outGain = 1 / Math.sqrt(2 * arch.taskBlocks);
  const routings: Routing[] = [];
  let x = window.x;
  for (let block = 0; block < arch.taskBlocks; block++) {
    const prefix = `task.blocks.${block}`;
    const at = { arch, parameters, outGain, prefix };
    x = selfAttention(x, layout, bias, { ...at, prefix: `${prefix}.attention` });
    const h = layerNorm(x);
    const { moe } = arch;
    if (moe === null || !moe.blocks.includes(block)) {
      x = ffn(h, ffnWeights({ ...at, prefix: `${prefix}.ffn` }), x);
      continue;
    }
    const layer = mixtureLayer({ x, h, usable, layout }, rowTask, block, at, mixture);
    x = layer.x;
    routings.push(layer.routing);
  }
  return { window: { ...window, x }, routings };
}

/** What pools and heads are given. */
export function normWindow(window: Window): Window {
  return { ...window, x: layerNorm(window.x) };
}

/**
 * Learned-query pooling of a normalised window, `[rows, width]`; with a zero query it is the masked mean.
 * `apart`: of each latent by itself, `[rows, latents*width]`. Latents differ in what they have of
 * the head, and a mean of them all blurs it.
 */
export function poolWindow(window: Window, query: Value, arch: Architecture, apart = false): Value {
  const { rows, tokens } = window.layout;
  const { latents, width } = arch;
  const q = reshape(query, [rows, 1, 1, width]);
  const x = apart ? byLatent(window, arch) : reshape(window.x, [rows, 1, tokens, width]);
  const bias = maskBias(apart ? window.secondMask : window.mask);
  return reshape(attention({ q, k: x, v: x, bias }), [rows, apart ? latents * width : width]);
}

/** `[rows, latents, seconds, width]`: each latent is pooled as a head of attention is. */
function byLatent({ x, secondMask }: Window, { latents, width }: Architecture): Value {
  const [rows, seconds] = secondMask.shape as [Dim, Dim];
  return transpose(reshape(x, [rows, seconds, latents, width]), [0, 2, 1, 3]);
}

/** One product a head, so that a head added later changes no bit of the others. */
function heads(window: Window, query: Value, arch: Architecture, parameters: Parameters): Value {
  const ways = new Set(arch.tasks.map((task) => task.apart === true));
  const normed = normWindow(window);
  const pooled = new Map([...ways].map((way) => [way, poolWindow(normed, query, arch, way)]));
  const base = baseTasksOf(arch).map((task) => ({ task, prefix: `heads.${task.name}` }));
  const grown = (arch.packs ?? []).map((pack, i) => ({
    task: arch.tasks[base.length + i],
    prefix: `${packPrefix(pack.name)}.head`,
  }));
  const logits = [...base, ...grown].map(({ task, prefix }) => {
    const size = task.classes.length;
    const weight = parameters.get(`${prefix}.weight`, [pooledSize(arch, task), size], 0.02);
    const x = pooled.get(task.apart === true) as Value;
    return gemm(x, weight, { c: parameters.bias(`${prefix}.bias`, size) });
  });
  return concat(logits, 1);
}

export interface TaskOutputs {
  /** `[rows, classesTotal]`. */
  readonly logits: Value;
  readonly routings: readonly Routing[];
  readonly window: Window;
}

/** The whole upper half of the model. */
export function taskModel(
  inputs: TaskInputs,
  arch: Architecture,
  parameters: Parameters,
  mixture: Mixture = dropless,
): TaskOutputs {
  const tables = taskTables(inputs.task, arch, parameters);
  const { rowTask } = tables;
  const window = embedWindow(inputs, rowTask.embedding, arch, parameters);
  const mixed = runBlocks(window, rowTask, arch, parameters, mixture);
  return { ...mixed, logits: heads(mixed.window, tables.poolQuery(), arch, parameters) };
}
