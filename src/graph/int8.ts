/**
 * Weights of a linear layer as int8, symmetric, one scale for each output. ONNX Runtime's
 * `DynamicQuantizeMatMul` takes them, with inputs quantised to uint8 by their range in that run.
 */
import type { Tensor } from './tensor.js';

export interface Int8Matrix {
  /** `[inputs, outputs]`. */
  readonly values: Int8Array;
  /** `[outputs]`: value * scale is the weight. */
  readonly scales: Float32Array;
}

export function toInt8({ shape, data }: Tensor): Int8Matrix {
  const [inputs, outputs] = shape;
  const scales = new Float32Array(outputs);
  for (let i = 0; i < data.length; i++)
    scales[i % outputs] = Math.max(scales[i % outputs], Math.abs(data[i]) / 127);
  const values = new Int8Array(inputs * outputs);
  for (let i = 0; i < data.length; i++) {
    const scale = scales[i % outputs];
    if (scale > 0) values[i] = Math.max(-127, Math.min(127, Math.round(data[i] / scale)));
  }
  return { values, scales };
}
