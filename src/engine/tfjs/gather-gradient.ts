/**
 * TensorFlow.js on WebAssembly lacks one kernel that our model's gradients need: the sum of rows by
 * segment, which is the gradient of gather. Here it is as a plain loop, so that training need not
 * run in plain JavaScript: a step of a learner took 0.4 s so, and there more than 9 s.
 */
import type { TensorInfo } from '@tensorflow/tfjs';
import type { Tf } from './backend.js';

const kernelName = 'UnsortedSegmentSum';

/** Backends that have the kernel keep their own. */
export function completeKernels(tf: Tf): void {
  const backendName = tf.getBackend();
  if (tf.getKernel(kernelName, backendName) !== undefined) return;
  tf.registerKernel({
    kernelName,
    backendName,
    kernelFunc({ inputs, attrs }) {
      const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
      const { numSegments } = attrs as unknown as { numSegments: number };
      const engine = tf.engine();
      const read = (tensor: TensorInfo) => engine.readSync(tensor.dataId) as ArrayLike<number>;
      const shape = [numSegments, ...x.shape.slice(1)];
      const sums = sumBySegment(read(x), read(segmentIds), numSegments);
      return engine.makeTensor(sums, shape, 'float32');
    },
  });
}

function sumBySegment(
  values: ArrayLike<number>,
  segments: ArrayLike<number>,
  count: number,
): Float32Array {
  const width = values.length / Math.max(1, segments.length);
  const sums = new Float32Array(count * width);
  for (let row = 0; row < segments.length; row++) {
    const segment = segments[row] as number;
    // As TensorFlow has it: what belongs to no segment is left out.
    if (segment < 0 || segment >= count) continue;
    for (let i = 0; i < width; i++) sums[segment * width + i] += values[row * width + i] as number;
  }
  return sums;
}
