/**
 * Masked autoencoding (He et al. 2022) on the factorised encoder: hidden patches never enter the
 * trunk; a light decoder asks the window's tokens, by electrode position and time, for any patch.
 */
import { patchSamples } from '../core/tasks.js';
import { type Dim, times } from '../graph/dims.js';
import { GradientSession, gradientName, type TrainingModel } from '../graph/gradient-session.js';
import { gradients } from '../graph/gradients.js';
import { Graph, type Value } from '../graph/graph.js';
import { attention } from '../graph/ops/attention.js';
import { add, mul, smoothL1, sub } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { layerNorm } from '../graph/ops/norm.js';
import { mean, ratio, sum } from '../graph/ops/reduce.js';
import { concat, expand, permuteRows, reshape } from '../graph/ops/shape.js';
import type { SessionOptions } from '../graph/session.js';
import type { Tensor } from '../graph/tensor.js';
import type { Architecture } from './architecture.js';
import { ffn, ffnWeights, fromHeads, maskBias, toHeads } from './blocks.js';
import {
  fourier,
  logPower,
  positionFeatures,
  positionFourier,
  spectrumBins,
  timeFeatures,
  timeFourier,
} from './features.js';
import { weightedMean } from './losses.js';
import { type MaeBatch, maeFeeds } from './mae-batch.js';
import {
  inputParameters,
  listParameters,
  type ParameterSpec,
  type Parameters,
} from './parameters.js';
import { embedWindow, normWindow, poolWindow, runBlocks, type Window } from './task-blocks.js';
import { trunk } from './trunk.js';

/** Weight of the loss on the pooled window beside that on the hidden patches. */
const pooledShare = 0.1;
/** The decoder answers with the patch and with its log spectrum, whose phase needs no guessing. */
const answerSize = patchSamples + spectrumBins;

/** The encoder on what is visible. */
function encode(graph: Graph, arch: Architecture, parameters: Parameters): Window {
  const latents = trunk(
    {
      patches: graph.input('patches', ['units', 'channels', patchSamples]),
      positions: graph.input('positions', ['units', 'channels', 6]),
      mask: graph.input('channelMask', ['units', 'channels']),
    },
    arch,
    parameters,
  );
  const timesS = graph.input('times', ['rows', 'seconds']);
  const mask = graph.input('mask', ['rows', 'seconds']);
  const index = graph.input('index', ['rows*seconds'], 'int32');
  const inverse = graph.input('inverse', ['units'], 'int32');
  const placed = permuteRows(latents, index, inverse);
  const inputs = {
    latents: reshape(placed, ['rows', 'seconds', arch.latents, arch.width]),
    times: timesS,
    mask,
  };
  const noTask = graph.floats(new Array<number>(arch.width).fill(0), [1, arch.width]);
  const window = embedWindow(inputs, null, arch, parameters);
  return runBlocks(window, { embedding: noTask, packs: [] }, arch, parameters).window;
}

interface Questions {
  /** `[rows, queries, 6]`. */
  readonly positions: Value;
  /** `[rows, queries]`, s before the window's end. */
  readonly times: Value;
}

/** One cross-attention block from questions to the window's tokens: `[rows*queries, answer]`. */
function decode(
  window: Window,
  questions: Questions,
  arch: Architecture,
  parameters: Parameters,
): Value {
  const { width, heads } = arch;
  const [rows, queries] = questions.times.shape as [Dim, Dim];
  const asked = times(rows, queries);
  const place = positionFourier(reshape(questions.positions, [asked, 6]));
  const byPlace = gemm(place, parameters.linear('mae.position.weight', positionFeatures, width), {
    c: parameters.bias('mae.bias', width),
  });
  const weight = parameters.linear('mae.time.weight', timeFeatures, width);
  let x = gemm(timeFourier(questions.times), weight, { c: byPlace });
  const query = gemm(layerNorm(x), parameters.linear('mae.q.weight', width, width));
  const keys = parameters.linear('mae.kv.weight', width, 2 * width);
  const [q] = toHeads(query, 1, heads, { rows, tokens: queries });
  const [k, v] = toHeads(gemm(layerNorm(window.x), keys), 2, heads, window.layout);
  const mixed = fromHeads(attention({ q, k, v, bias: maskBias(window.mask) }));
  x = gemm(mixed, parameters.linear('mae.out.weight', width, width), { c: x });
  x = ffn(layerNorm(x), ffnWeights({ arch, parameters, prefix: 'mae.ffn', outGain: 0.7 }), x);
  return gemm(layerNorm(x), parameters.linear('mae.answer.weight', width, answerSize), {
    c: parameters.bias('mae.answer.bias', answerSize),
  });
}

/** Mean smooth-L1 over the asked patches, and of the pooled window's mean spectrum. */
function reconstruction(window: Window, graph: Graph, arch: Architecture, parameters: Parameters) {
  const questions = {
    positions: graph.input('askPositions', ['rows', 'queries', 6]),
    times: graph.input('askTimes', ['rows', 'queries']),
  };
  const target = graph.input('askPatches', ['rows', 'queries', patchSamples]);
  const weight = graph.input('askWeight', ['rows', 'queries']);
  const asked = 'queries*rows';
  const flat = reshape(target, [asked, patchSamples]);
  const spectra = logPower(fourier(flat));
  const answer = decode(window, questions, arch, parameters);
  const miss = smoothL1(sub(answer, concat([flat, spectra], 1)));
  const patchLoss = weightedMean(mean(miss, [1]), reshape(weight, [asked]));
  const query = parameters.get('mae.pool', [1, arch.width], 0);
  const pooled = poolWindow(normWindow(window), expand(query, ['rows', arch.width]), arch);
  const guess = gemm(pooled, parameters.linear('mae.pooled.weight', arch.width, spectrumBins), {
    c: parameters.bias('mae.pooled.bias', spectrumBins),
  });
  const weighted = mul(
    reshape(spectra, ['rows', 'queries', spectrumBins]),
    reshape(weight, ['rows', 'queries', 1]),
  );
  const count = expand(sum(weight, [1], true), ['rows', spectrumBins]);
  const average = ratio(sum(weighted, [1]), count, 1e-9);
  const pooledMiss = mean(smoothL1(sub(guess, average)), [1]);
  const anyAsked = ratio(sum(weight, [1]), sum(weight, [1]), 1e-9);
  return { patchLoss, pooledLoss: weightedMean(pooledMiss, anyAsked) };
}

/** Encoder and decoder; the architecture must be dense. */
export function maeGraph(arch: Architecture): TrainingModel {
  if (arch.moe !== null) throw new Error('masked autoencoding pretrains the dense model');
  const graph = new Graph();
  const parameters = inputParameters(graph);
  const window = encode(graph, arch, parameters);
  const { patchLoss, pooledLoss } = reconstruction(window, graph, arch, parameters);
  const loss = add(patchLoss, mul(pooledLoss, pooledShare));
  graph.output('loss', loss);
  graph.output('patchLoss', patchLoss);
  graph.output('pooledLoss', pooledLoss);
  const trained = parameters.specs;
  const values = trained.map(({ name }) => parameters.value(name));
  for (const [i, gradient] of gradients(loss, values).entries())
    graph.output(gradientName((trained[i] as ParameterSpec).name), gradient);
  return {
    bytes: graph.bytes(),
    parameters: trained.map(({ name }) => name),
    trained,
    outputs: ['loss', 'patchLoss', 'pooledLoss'],
  };
}

/** All parameters of pretraining: those of the encoder that it trains, and `mae.*`. */
export function maeParameterSpecs(arch: Architecture): ParameterSpec[] {
  return listParameters((graph, parameters) => {
    reconstruction(encode(graph, arch, parameters), graph, arch, parameters);
  });
}

export interface MaskedLosses {
  readonly loss: number;
  /** Smooth-L1 on hidden patches and their spectra. */
  readonly patchLoss: number;
  readonly pooledLoss: number;
}

export interface MaeResult extends MaskedLosses {
  /** Valid until the next step. */
  readonly gradients: ReadonlyMap<string, Tensor>;
}

/** Of a run of the pretraining graph, wherever it ran. */
export function maskedLosses(
  outputs: ReadonlyMap<string, { readonly data: Float32Array }>,
): MaskedLosses {
  const scalar = (name: string) => outputs.get(name)?.data[0] as number;
  return {
    loss: scalar('loss'),
    patchLoss: scalar('patchLoss'),
    pooledLoss: scalar('pooledLoss'),
  };
}

/** Pretraining on ONNX Runtime, on the calling thread. */
export class MaeSession {
  readonly #inner: GradientSession;

  private constructor(inner: GradientSession) {
    this.#inner = inner;
  }

  static async open(arch: Architecture, options: SessionOptions = {}): Promise<MaeSession> {
    return new MaeSession(await GradientSession.open(maeGraph(arch), options));
  }

  get trained(): readonly { readonly name: string; readonly shape: readonly number[] }[] {
    return this.#inner.trained;
  }

  async step(weights: ReadonlyMap<string, Tensor>, batch: MaeBatch): Promise<MaeResult> {
    const { outputs, gradients } = await this.#inner.run(weights, maeFeeds(batch));
    return { ...maskedLosses(outputs), gradients };
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }
}
