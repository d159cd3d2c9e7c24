/** Fixed features of what the model sees: spectrum of a patch, place of an electrode, time. */
import { modelRateHz, patchSamples } from '../core/tasks.js';
import { times } from '../graph/dims.js';
import type { Value } from '../graph/graph.js';
import { abs, add, floor, log, mul, sub } from '../graph/ops/elementwise.js';
import { gemm } from '../graph/ops/linear.js';
import { concat, reshape, split } from '../graph/ops/shape.js';

/** Spectral bins of a patch: 0 to 79 Hz; above that the conditioner leaves nothing. */
export const spectrumBins = 80;
const powerFloor = 1e-5;

/** Of a Fourier transform: its real part, then its imaginary one. */
export const fourierSize = 2 * spectrumBins;

let dftMatrix: readonly number[] | undefined;

/** `[200, 2*bins]` Hann-windowed DFT, scaled so that a sine of amplitude 1 has power 1 in its bin. */
function buildDftMatrix(): readonly number[] {
  const out: number[] = [];
  for (let sample = 0; sample < patchSamples; sample++) {
    const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * (sample + 0.5)) / patchSamples);
    for (const wave of [Math.cos, Math.sin])
      for (let bin = 0; bin < spectrumBins; bin++)
        out.push(((hann * 4) / patchSamples) * wave((2 * Math.PI * bin * sample) / modelRateHz));
  }
  return out;
}

/** `[N, 200]` patches to `[N, 2*bins]`. Linear: mixtures of channels may be taken after it. */
export function fourier(patches: Value): Value {
  dftMatrix ??= buildDftMatrix();
  return gemm(patches, patches.graph.floats(dftMatrix, [patchSamples, fourierSize]));
}

/** `[N, 2*bins]` of `fourier` to `[N, bins]` log power, brought near zero mean and unit size. */
export function logPower(transform: Value): Value {
  const parts = split(mul(transform, transform), 1, { sizes: [spectrumBins, spectrumBins] });
  const power = add(parts[0] as Value, parts[1] as Value);
  return mul(add(log(add(power, powerFloor)), 5), 0.25);
}

/** sin(2 pi t) / t in powers of t^2, |t| <= 1/4: through the Chebyshev nodes, off by 7e-9. */
const sineSeries = [6.28318528, -41.3416806, 81.6024764, -76.5811726, 39.7598271];

/**
 * `[N, K] x frequencies [K, F]`, angles in cycles, to `[N, 2F]`, sines then cosines. By a
 * polynomial: WGSL's own `sin` may be off by 2^-11, and by anything beyond one turn (WGSL,
 * "Accuracy of built-in functions").
 */
function sinesAndCosines(x: Value, frequencies: readonly (readonly number[])[]): Value {
  const { graph } = x;
  const columns = frequencies[0]?.length ?? 0;
  // sin(2 pi x) = cos(2 pi (x - 1/4)), and cos(2 pi x) = sin(2 pi (1/4 - |x|)) within half a turn.
  const twice = frequencies.flatMap((row) => [...row, ...row]);
  const shift = [...new Array<number>(columns).fill(-0.25), ...new Array<number>(columns).fill(0)];
  const cycles = gemm(x, graph.floats(twice, [frequencies.length, 2 * columns]), {
    c: graph.floats(shift),
  });
  const t = sub(graph.floats(0.25), abs(sub(cycles, floor(add(cycles, 0.5)))));
  const squared = mul(t, t);
  const [last, ...others] = sineSeries.toReversed() as [number, ...number[]];
  const series = others.reduce(
    (sum, coefficient) => add(mul(squared, sum), coefficient),
    graph.floats(last),
  );
  return mul(t, series);
}

/** Cycles per head radius. */
const positionFrequencies = [0.25, 0.5, 1, 2];
export const positionFeatures = 6 + 2 * 6 * positionFrequencies.length;

/** `[N, 6]` coordinates to their Fourier features (Tancik et al. 2020), each axis by itself. */
export function positionFourier(positions: Value): Value {
  const axes = [0, 1, 2, 3, 4, 5];
  const frequencies = axes.map((axis) =>
    axes.flatMap((other) => positionFrequencies.map((each) => (other === axis ? each : 0))),
  );
  return concat([positions, sinesAndCosines(positions, frequencies)], 1);
}

/** From a hop to the longest context, s. */
const timePeriodsS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
export const timeFeatures = 1 + 2 * timePeriodsS.length;

/** `[rows, seconds]` times before the window's end to `[rows*seconds, features]`. */
export function timeFourier(timesS: Value): Value {
  const column = reshape(timesS, [times(...timesS.shape), 1]);
  const frequencies = [timePeriodsS.map((period) => 1 / period)];
  return concat([mul(column, 1 / 60), sinesAndCosines(column, frequencies)], 1);
}
