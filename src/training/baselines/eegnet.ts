/**
 * EEGNet (Lawhern et al. 2018) as an ONNX training graph: temporal filters, spatial filters per
 * temporal filter, a separable convolution, a dense layer. Convolutions are products: the first one
 * over frames cut outside the graph, the second by a constant shift matrix. Batch normalisation is
 * left out: inputs are in running scales already, and a batch here is as small as eight windows.
 */
import { patchSamples } from '../../core/tasks.js';
import { gradientName, type TrainingModel } from '../../graph/gradient-session.js';
import { gradients } from '../../graph/gradients.js';
import { Graph, type Value } from '../../graph/graph.js';
import { add, exp, mul, neg, relu, sub } from '../../graph/ops/elementwise.js';
import { gemm, matmul } from '../../graph/ops/linear.js';
import { mean, sum, sumAll } from '../../graph/ops/reduce.js';
import { reshape, transpose } from '../../graph/ops/shape.js';
import { logSoftmax } from '../../graph/ops/softmax.js';
import { inputParameters, type Parameters } from '../../model/parameters.js';

/** EEGNet-8,2 at 100 Hz: F1 = 8 temporal filters of half a second, D = 2, F2 = 16. */
export const inputRateHz = 100;
export const kernelSamples = 50;
export const strideSamples = 2;
const temporal = 8;
const depth = 2;
const filters = temporal * depth;
const separableSamples = 16;
const pooled = 5;
/** Means over this many equal parts of the window enter the dense layer. */
const parts = 5;
const dropout = 0.5;

export interface EegNetShape {
  readonly channels: number;
  readonly windowS: number;
  readonly classes: number;
}

export function framesOf(shape: EegNetShape): number {
  return (shape.windowS * inputRateHz) / strideSamples;
}

/**
 * Input `frames` of windows (`patches` `[seconds, channels, 200]` each): half seconds at 100 Hz,
 * centred on every second sample; zeros beyond the window.
 */
export function eegNetFrames(
  shape: EegNetShape,
  windows: readonly { readonly patches: Float32Array }[],
): Float32Array {
  const { channels } = shape;
  const count = framesOf(shape);
  const frames = new Float32Array(windows.length * channels * count * kernelSamples);
  const samples = count * strideSamples;
  const slow = new Float32Array(samples);
  for (const [r, { patches }] of windows.entries())
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < samples; i++) {
        const s = Math.floor(i / inputRateHz);
        const at = (s * channels + c) * patchSamples + 2 * (i - s * inputRateHz);
        slow[i] = (patches[at] + patches[at + 1]) / 2;
      }
      for (let f = 0; f < count; f++) {
        const to = ((r * channels + c) * count + f) * kernelSamples;
        const from = f * strideSamples - kernelSamples / 2;
        for (let k = Math.max(0, -from); k < kernelSamples && from + k < samples; k++)
          frames[to + k] = slow[from + k];
      }
    }
  return frames;
}

/** Size of the dropout mask of one row. */
export const denseSize = parts * filters;

/** Features scaled so that their mean is kept (inverted dropout). */
export function dropoutMask(rows: number, uniform: () => number): Float32Array {
  const keep = 1 - dropout;
  return Float32Array.from({ length: rows * denseSize }, () => (uniform() < keep ? 1 / keep : 0));
}

export function eegNetGraph(shape: EegNetShape, training: boolean): TrainingModel {
  const graph = new Graph();
  const parameters = inputParameters(graph, () => training);
  const frames = framesOf(shape);
  const x = graph.input('frames', ['rows', shape.channels, frames, kernelSamples]);
  const features = separable(spatial(x, shape, frames, parameters), frames / pooled, parameters);
  const kept = mul(features, graph.input('dropout', ['rows', denseSize]));
  const logits = gemm(kept, parameters.linear('dense.weight', denseSize, shape.classes), {
    c: parameters.bias('dense.bias', shape.classes),
  });
  const target = graph.input('target', ['rows', shape.classes]);
  const loss = neg(sumAll(mul(logSoftmax(logits), target)));
  graph.output('logits', logits);
  graph.output('loss', loss);
  const { specs } = parameters;
  if (training) {
    const values = specs.map(({ name }) => parameters.value(name));
    for (const [i, gradient] of gradients(loss, values).entries())
      graph.output(gradientName(specs[i].name), gradient);
  }
  return {
    bytes: graph.bytes(),
    parameters: specs.map(({ name }) => name),
    trained: training ? specs : [],
    outputs: ['loss', 'logits'],
  };
}

/** `[rows, channels, frames, kernel]` to `[rows, filters, frames / pooled]`. */
function spatial(x: Value, shape: EegNetShape, frames: number, parameters: Parameters): Value {
  const { channels } = shape;
  const flat = reshape(x, [`${channels * frames}*rows`, kernelSamples]);
  const bands = gemm(flat, parameters.linear('temporal', kernelSamples, temporal));
  const byBand = transpose(reshape(bands, ['rows', channels, frames, temporal]), [3, 0, 2, 1]);
  const wide = reshape(byBand, [temporal, `${frames}*rows`, channels]);
  const weight = parameters.get('spatial', [temporal, channels, depth], 1 / Math.sqrt(channels));
  const mixed = reshape(matmul(wide, weight), [temporal, 'rows', frames, depth]);
  const ordered = reshape(transpose(mixed, [1, 0, 3, 2]), ['rows', filters, frames]);
  const bias = reshape(parameters.bias('spatial.bias', filters), [1, filters, 1]);
  const active = elu(add(ordered, bias));
  return mean(reshape(active, ['rows', filters, frames / pooled, pooled]), [3]);
}

/** Depthwise over time, then across filters; means over equal parts of the window. */
function separable(x: Value, length: number, parameters: Parameters): Value {
  const { graph } = x;
  const shift: number[] = new Array<number>(length * separableSamples * length).fill(0);
  for (let k = 0; k < separableSamples; k++)
    for (let t = 0; t < length; t++) {
      const from = t + k - separableSamples / 2;
      if (from >= 0 && from < length) shift[from * separableSamples * length + k * length + t] = 1;
    }
  const table = graph.floats(shift, [length, separableSamples * length]);
  const shifted = gemm(reshape(x, [`${filters}*rows`, length]), table);
  const cut = reshape(shifted, ['rows', filters, separableSamples, length]);
  const kernel = parameters.get('depthwise', [1, filters, separableSamples, 1], 0.25);
  const deep = sum(mul(cut, kernel), [2]);
  const rows = reshape(transpose(deep, [0, 2, 1]), [`${length}*rows`, filters]);
  const across = gemm(rows, parameters.linear('pointwise', filters, filters), {
    c: parameters.bias('pointwise.bias', filters),
  });
  const active = reshape(elu(across), ['rows', parts, length / parts, filters]);
  return reshape(mean(active, [2]), ['rows', denseSize]);
}

/** Exponential linear unit: x above 0, exp(x) - 1 below. */
function elu(x: Value): Value {
  return sub(add(relu(x), exp(neg(relu(neg(x))))), 1);
}
