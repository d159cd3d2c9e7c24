/** The task blocks: the latents of a window's seconds, with time and task, to logits. */
import { times } from '../graph/dims.js';
import type { Graph, Value } from '../graph/graph.js';
import { attention } from '../graph/ops/attention.js';
import { add, cast, compare } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { layerNorm } from '../graph/ops/norm.js';
import { concat, expand, reshape } from '../graph/ops/shape.js';
import type { Architecture } from './architecture.js';
import {
  type BlockContext,
  ffn,
  ffnWeights,
  type Layout,
  maskBias,
  selfAttention,
} from './blocks.js';
import { dropless } from './dropless.js';
import { timeFeatures, timeFourier } from './features.js';
import type { Mixture } from './mixture.js';
import type { Parameters } from './parameters.js';
import { type Routing, routerLogits, routingOf } from './router.js';
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

/** `[rows, slots]`: 1 at the row's task. Tables are read by a product with it. */
export function taskHot(task: Value, slots: number): Value {
  const range = task.graph.ints(
    Array.from({ length: slots }, (_, i) => i),
    'int32',
  );
  return cast(compare('Equal', reshape(task, [task.shape[0], 1]), range), 'float32');
}

/** The state of a window between its embedding and its heads. */
export interface Window {
  /** `[rows*tokens, width]`. */
  readonly x: Value;
  readonly layout: Layout;
  /** `[rows, tokens]`. */
  readonly mask: Value;
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
  taskEmbedding: Value,
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
    const inputs = { h, taskEmbedding, usable, tokensPerRow: layout.tokens };
    const logits = routerLogits(inputs, moe, { ...at, prefix: `${prefix}.router` });
    // The bias shifts the choice only, not the weights (Wang et al. 2024).
    const choice = mixture.choose(add(logits, routerBias(at, moe.experts)), moe.topK);
    const routing = routingOf(logits, usable, choice);
    const experts = Array.from({ length: moe.experts }, (_, i) =>
      ffnWeights({ ...at, prefix: `${prefix}.experts.${i}` }),
    );
    x = add(x, mixture.combine(h, routing, experts));
    routings.push(routing);
  }
  return { window: { ...window, x }, routings };
}

/** Kept even by auxiliary-loss-free balancing; never by a gradient. */
function routerBias(at: BlockContext, experts: number): Value {
  return at.parameters.bias(`${at.prefix}.router.bias`, experts);
}

/** Learned-query pooling of the window; with a zero query it is the masked mean. */
export function poolWindow(window: Window, query: Value, arch: Architecture): Value {
  const { rows, tokens } = window.layout;
  const x = reshape(layerNorm(window.x), [rows, 1, tokens, arch.width]);
  const q = reshape(query, [rows, 1, 1, arch.width]);
  const pooled = attention({ q, k: x, v: x, bias: maskBias(window.mask) });
  return reshape(pooled, [rows, arch.width]);
}

/** One product a head, so that a head added later changes no bit of the others. */
export function heads(pooled: Value, arch: Architecture, parameters: Parameters): Value {
  const logits = arch.tasks.map((task) => {
    const size = task.classes.length;
    const weight = parameters.get(`heads.${task.name}.weight`, [arch.width, size], 0.02);
    return gemm(pooled, weight, { c: parameters.bias(`heads.${task.name}.bias`, size) });
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
  const hot = taskHot(inputs.task, arch.taskSlots);
  const table = (name: string, sd: number) =>
    gemm(hot, parameters.get(name, [arch.taskSlots, arch.width], sd));
  const taskEmbedding = table('task.embedding', 0.02);
  const window = embedWindow(inputs, taskEmbedding, arch, parameters);
  const mixed = runBlocks(window, taskEmbedding, arch, parameters, mixture);
  const pooled = poolWindow(mixed.window, table('task.pool', 0), arch);
  return { ...mixed, logits: heads(pooled, arch, parameters) };
}
