/**
 * Small dense linear algebra: symmetric eigenvalues by Jacobi rotations (Golub and Van Loan, 8.5),
 * Cholesky, shrunk covariance (Ledoit and Wolf 2004). Matrices are row-major Float64Arrays of size
 * n x n.
 */

export interface Eigen {
  /** Ascending. */
  readonly values: Float64Array;
  /** Column k, `vectors[i * n + k]`, belongs to `values[k]`. */
  readonly vectors: Float64Array;
}

export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  const a = matrix.slice();
  const v = identity(n);
  const scale = a.reduce((sum, x) => sum + x * x, 0);
  for (let sweep = 0; sweep < 100; sweep++) {
    let off = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) off += a[i * n + j] ** 2;
    if (off <= 1e-24 * scale) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i * n + i] - a[j * n + j]);
  const vectors = new Float64Array(n * n);
  for (let k = 0; k < n; k++) for (let i = 0; i < n; i++) vectors[i * n + k] = v[i * n + order[k]];
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors };
}

function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q];
  if (apq === 0) return;
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < n; k++) {
    const kp = a[k * n + p];
    const kq = a[k * n + q];
    a[k * n + p] = c * kp - s * kq;
    a[k * n + q] = s * kp + c * kq;
  }
  for (let k = 0; k < n; k++) {
    const pk = a[p * n + k];
    const qk = a[q * n + k];
    a[p * n + k] = c * pk - s * qk;
    a[q * n + k] = s * pk + c * qk;
    const vp = v[k * n + p];
    const vq = v[k * n + q];
    v[k * n + p] = c * vp - s * vq;
    v[k * n + q] = s * vp + c * vq;
  }
}

export function identity(n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  return out;
}

/** `a b`. */
export function product(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++)
      for (let j = 0; j < n; j++) out[i * n + j] += a[i * n + k] * b[k * n + j];
  return out;
}

/** Solve `A x = b` for symmetric positive definite A, by Cholesky. `b` holds `columns` columns. */
export function solveSpd(
  matrix: Float64Array,
  b: Float64Array,
  n: number,
  columns: number,
): Float64Array {
  const l = cholesky(matrix, n);
  const x = b.slice();
  for (let col = 0; col < columns; col++) {
    for (let i = 0; i < n; i++) {
      let sum = x[i * columns + col];
      for (let k = 0; k < i; k++) sum -= l[i * n + k] * x[k * columns + col];
      x[i * columns + col] = sum / l[i * n + i];
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = x[i * columns + col];
      for (let k = i + 1; k < n; k++) sum -= l[k * n + i] * x[k * columns + col];
      x[i * columns + col] = sum / l[i * n + i];
    }
  }
  return x;
}

function cholesky(matrix: Float64Array, n: number): Float64Array {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j];
      for (let k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
      l[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / l[j * n + j];
    }
  return l;
}

/**
 * Covariance of centred rows, shrunk to the scaled identity by Ledoit and Wolf's own intensity.
 * `rows` are centred already.
 */
export function ledoitWolf(rows: readonly Float64Array[], n: number): Float64Array {
  const count = rows.length;
  const cov = new Float64Array(n * n);
  const fourth = new Float64Array(n * n);
  for (const row of rows)
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++) {
        const product = row[i] * row[j];
        cov[i * n + j] += product;
        fourth[i * n + j] += product * product;
      }
  let trace = 0;
  let square = 0;
  let spread = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      const value = cov[i * n + j] / count;
      const weight = i === j ? 1 : 2;
      cov[i * n + j] = value;
      cov[j * n + i] = value;
      square += weight * value * value;
      spread += weight * (fourth[i * n + j] / count - value * value);
      if (i === j) trace += value;
    }
  const mu = trace / n;
  const distance = square - n * mu * mu;
  const shrinkage = distance <= 0 ? 1 : Math.min(1, Math.max(0, spread / count / distance));
  for (let i = 0; i < n * n; i++) cov[i] *= 1 - shrinkage;
  for (let i = 0; i < n; i++) cov[i * n + i] += shrinkage * mu;
  return cov;
}
