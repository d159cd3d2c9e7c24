/** IEEE 754 binary16, for stored weights. */

const bits = new Uint32Array(1);
const asFloat = new Float32Array(bits.buffer);

/** Round to nearest, ties to even. Beyond 65504 becomes infinite, as the standard says. */
export function toFloat16(value: number): number {
  asFloat[0] = value;
  const x = bits[0];
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: the unit is 2^-24; adding 0.5 lets the float32 adder do the rounding.
    bits[0] = magnitude;
    asFloat[0] = asFloat[0] + 0.5;
    return sign | (bits[0] - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

export function fromFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
