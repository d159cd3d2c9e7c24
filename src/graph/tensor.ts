/** A dense float32 array with its shape: how weights and gradients travel outside a graph. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function zeros(shape: readonly number[]): Tensor {
  return { shape, data: new Float32Array(elements(shape)) };
}
