/** Fixed features of what the model sees: spectrum of a patch, place of an electrode, time. */
import { modelRateHz, patchSamples } from '../core/tasks.js';
import { times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { abs, add, floor, log, mul, neg, sub } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { concat, reshape } from '../graph/ops/shape.js';

/** Spectral bins of a patch: 0 to 79 Hz; above that the conditioner leaves nothing. */
export const spectrumBins = 80;
const powerFloor = 1e-5;

type DftPart = 'real' | 'imaginary';
const dftMatrices = new Map<DftPart, readonly number[]>();

/** `[200, bins]` Hann-windowed DFT, scaled so that a sine of amplitude 1 has power 1 in its bin. */
function dftMatrix(part: DftPart): readonly number[] {
  const known = dftMatrices.get(part);
  if (known !== undefined) return known;
  const wave = part === 'real' ? Math.cos : Math.sin;
  const out: number[] = [];
  for (let sample = 0; sample < patchSamples; sample++) {
    const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * (sample + 0.5)) / patchSamples);
    for (let bin = 0; bin < spectrumBins; bin++)
      out.push(((hann * 4) / patchSamples) * wave((2 * Math.PI * bin * sample) / modelRateHz));
  }
  dftMatrices.set(part, out);
  return out;
}

/** `[N, 200]` patches to `[N, bins]` log power, brought near zero mean and unit size. */
export function logSpectrum(patches: Value): Value {
  const { graph } = patches;
  const shape = [patchSamples, spectrumBins];
  const real = gemm(patches, graph.floats(dftMatrix('real'), shape));
  const imaginary = gemm(patches, graph.floats(dftMatrix('imaginary'), shape));
  const power = add(mul(real, real), mul(imaginary, imaginary));
  return mul(add(log(add(power, powerFloor)), 5), 0.25);
}

/** sin(2 pi t) / t in powers of t^2, |t| <= 1/4: through the Chebyshev nodes, off by 7e-9. */
const sineSeries = [6.28318528, -41.3416806, 81.6024764, -76.5811726, 39.7598271];

/**
 * `[N, F]` angles in cycles to `[N, 2F]`, sines then cosines. By a polynomial: WGSL's own `sin` may
 * be off by 2^-11, and by anything beyond one turn (WGSL, "Accuracy of built-in functions").
 */
function sinesAndCosines(cycles: Value): Value {
  const turn = (x: Value) => sub(x, floor(add(x, 0.5)));
  const rest = turn(cycles);
  // sin(2 pi x) = cos(2 pi (x - 1/4)), and cos(2 pi x) = sin(2 pi (1/4 - |x|)) within half a turn.
  const both = concat([turn(sub(rest, 0.25)), rest], 1);
  const t = neg(sub(abs(both), 0.25));
  const squared = mul(t, t);
  const [last, ...others] = sineSeries.toReversed() as [number, ...number[]];
  const series = others.reduce(
    (sum, coefficient) => add(mul(squared, sum), coefficient),
    cycles.graph.floats(last),
  );
  return mul(t, series);
}

/** Cycles per head radius. */
const positionFrequencies = [0.25, 0.5, 1, 2];
export const positionFeatures = 6 + 2 * 6 * positionFrequencies.length;

/** `[N, 6]` coordinates to their Fourier features (Tancik et al. 2020), each axis by itself. */
export function positionFourier(positions: Value): Value {
  const { graph } = positions;
  const columns = 6 * positionFrequencies.length;
  const matrix = new Array<number>(6 * columns).fill(0);
  for (let axis = 0; axis < 6; axis++)
    for (const [i, frequency] of positionFrequencies.entries())
      matrix[axis * columns + axis * positionFrequencies.length + i] = frequency;
  const cycles = gemm(positions, graph.floats(matrix, [6, columns]));
  return concat([positions, sinesAndCosines(cycles)], 1);
}

/** From a hop to the longest context, s. */
const timePeriodsS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
export const timeFeatures = 1 + 2 * timePeriodsS.length;

/** `[rows, seconds]` times before the window's end to `[rows*seconds, features]`. */
export function timeFourier(timesS: Value): Value {
  const { graph } = timesS;
  const column = reshape(timesS, [times(...timesS.shape), 1]);
  const rates = timePeriodsS.map((period) => 1 / period);
  const cycles = mul(column, graph.floats(rates, [1, rates.length]));
  return concat([mul(column, 1 / 60), sinesAndCosines(cycles)], 1);
}
