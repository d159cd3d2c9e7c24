/**
 * The supervised training graph: rows of several tasks in, losses and gradients out, from the same
 * description as the serving graphs. Seconds of signal are units; each is embedded once and placed
 * in the window that it belongs to.
 */
import { patchSamples } from '../core/tasks.js';
import { gradientName, type TrainingModel } from '../graph/gradient-session.js';
import { gradients } from '../graph/gradients.js';
import { Graph, type Value } from '../graph/graph.js';
import { add, mul, sub } from '../graph/ops/elementwise.js';
import { sumAll } from '../graph/ops/reduce.js';
import { concat, permuteRows, reshape } from '../graph/ops/shape.js';
import type { Architecture } from './architecture.js';
import { routerLosses, rowLosses } from './losses.js';
import type { Mixture } from './mixture.js';
import { inputParameters, type Parameters } from './parameters.js';
import { routingShares } from './router.js';
import { type TaskOutputs, taskModel } from './task-blocks.js';
import { trunk } from './trunk.js';

export interface TrainingOptions {
  /** False: the trunk is frozen, and the graph's input is `latents`. */
  readonly trunk: boolean;
  /** Which parameters get gradients; all by default. */
  readonly trains?: (name: string) => boolean;
  /** False: losses and logits only. */
  readonly gradients?: boolean;
  readonly mixture?: Mixture;
  /** True: a batch is a part of a mixed step, and the load of the others is given with it. */
  readonly parts?: boolean;
}

/** Input of a MoE block's load in the other parts of the step. */
export const othersName = (block: number): string => `others.${block}`;

/** Latents `[rows, seconds, latents, width]` of the windows, from units or as they come. */
function windowLatents(
  graph: Graph,
  arch: Architecture,
  parameters: Parameters,
  options: TrainingOptions,
): Value {
  const unit = [arch.latents, arch.width];
  if (!options.trunk) return graph.input('latents', ['rows', 'seconds', ...unit]);
  const heard = trunk(
    {
      patches: graph.input('patches', ['units', 'channels', patchSamples]),
      positions: graph.input('positions', ['units', 'channels', 6]),
      mask: graph.input('channelMask', ['units', 'channels']),
    },
    arch,
    parameters,
  );
  const units = arch.tasks.some((task) => task.history === true)
    ? sub(heard, graph.input('usual', ['units', ...unit]))
    : heard;
  // Context seconds are averages that come ready, without a gradient of their own.
  const context = graph.input('context', ['contexts', ...unit]);
  const index = graph.input('index', ['rows*seconds'], 'int32');
  const inverse = graph.input('inverse', ['sources'], 'int32');
  const sources = concat([units, context], 0, 'sources');
  const placed = permuteRows(sources, index, inverse);
  return reshape(placed, ['rows', 'seconds', ...unit]);
}

function taskOutputs(graph: Graph, arch: Architecture, options: TrainingOptions) {
  const parameters = inputParameters(graph, options.trains);
  const mask = graph.input('mask', ['rows', 'seconds']);
  const timesS = graph.input('times', ['rows', 'seconds']);
  const task = graph.input('task', ['rows'], 'int32');
  const latents = windowLatents(graph, arch, parameters, options);
  const inputs = { latents, times: timesS, mask, task };
  return { parameters, task, outputs: taskModel(inputs, arch, parameters, options.mixture) };
}

/** Adds the routing outputs; returns the weighted sum of the router's losses. */
function routerPart(
  graph: Graph,
  arch: Architecture,
  outputs: TaskOutputs,
  parts: boolean,
): Value | undefined {
  const { routings, window } = outputs;
  const shares = routingShares(routings, window.layout, arch);
  if (shares === undefined) return undefined;
  graph.output('routing', shares);
  const blocks = [...(arch.moe?.blocks ?? [])].sort((a, b) => a - b);
  const others = () =>
    blocks.map((block, i) => graph.input(othersName(block), routings[i].logits.shape.slice(1)));
  const mixed = parts ? { others: others(), share: graph.input('partShare', []) } : undefined;
  const { balance, z } = routerLosses(routings, mixed);
  graph.output('balance', balance);
  graph.output('z', z);
  return add(mul(balance, graph.input('balanceWeight', [])), mul(z, graph.input('zWeight', [])));
}

export function trainingGraph(arch: Architecture, options: TrainingOptions): TrainingModel {
  const graph = new Graph();
  const { parameters, task, outputs } = taskOutputs(graph, arch, options);
  const classes = arch.tasks.reduce((count, spec) => count + spec.classes.length, 0);
  const target = graph.input('target', ['rows', classes]);
  const rowWeight = graph.input('rowWeight', ['rows']);
  const perRow = rowLosses(outputs.logits, target, task, arch);
  const supervised = sumAll(mul(perRow, rowWeight));
  graph.output('logits', outputs.logits);
  graph.output('rowLoss', perRow);
  const routed = routerPart(graph, arch, outputs, options.parts ?? false);
  const loss = routed === undefined ? supervised : add(supervised, routed);
  graph.output('loss', loss);
  const wants = options.gradients ?? true;
  const names = parameters.specs.map((spec) => spec.name);
  const trained = wants
    ? parameters.specs.filter(({ name }) => parameters.value(name).tracked)
    : [];
  const values = trained.map(({ name }) => parameters.value(name));
  for (const [i, gradient] of (wants ? gradients(loss, values) : []).entries())
    graph.output(gradientName((trained[i] as { name: string }).name), gradient);
  const router = routed === undefined ? [] : ['routing', 'balance', 'z'];
  return {
    bytes: graph.bytes(),
    parameters: names,
    trained,
    outputs: ['loss', 'rowLoss', 'logits', ...router],
  };
}
