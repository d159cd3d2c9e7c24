/** The classical controls: LDA against scikit-learn, CSP on sources planted in noise. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { solveSpd, symmetricEigen } from '../../../src/core/linear-algebra.js';
import { Rng } from '../../../src/core/rng.js';
import { cspFeatures, fitCsp, type Trial } from '../../../src/training/baselines/csp.js';
import { fitLda, ldaScores } from '../../../src/training/baselines/lda.js';
import { argmax, softmax } from '../../../src/training/metrics.js';

const seed = 11;

interface LdaFixture {
  rows: number[][];
  labels: number[];
  probe: number[][];
  probabilities: number[][];
}

describe(`linear algebra, seed ${seed}`, () => {
  test('eigenvectors rebuild the matrix, and a solve undoes the product', () => {
    const rng = new Rng(seed);
    const n = 12;
    const root = Float64Array.from({ length: n * n }, () => rng.normal());
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        for (let k = 0; k < n; k++) matrix[i * n + j] += root[i * n + k] * root[j * n + k];
    const { values, vectors } = symmetricEigen(matrix, n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += vectors[i * n + k] * values[k] * vectors[j * n + k];
        expect(sum).toBeCloseTo(matrix[i * n + j], 9);
      }
    const x = Float64Array.from({ length: n }, () => rng.normal());
    const b = new Float64Array(n);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) b[i] += matrix[i * n + j] * x[j];
    const solved = solveSpd(matrix, b, n, 1);
    for (let i = 0; i < n; i++) expect(solved[i]).toBeCloseTo(x[i], 6);
  });
});

describe('LDA', () => {
  test('posteriors equal scikit-learn with automatic shrinkage', () => {
    const url = new URL('../fixtures/metrics.json', import.meta.url);
    const { lda } = JSON.parse(readFileSync(url, 'utf8')) as { lda: LdaFixture };
    const rows = lda.rows.map((row) => Float64Array.from(row));
    const model = fitLda(rows, lda.labels, 3);
    for (const [i, row] of lda.probe.entries()) {
      const posterior = softmax(ldaScores(model, row));
      for (let k = 0; k < 3; k++) expect(posterior[k]).toBeCloseTo(lda.probabilities[i][k], 8);
    }
  });
});

/** Two sources mixed into five channels; class 0 has the first strong, class 1 the second. */
function planted(rng: Rng, label: number): Trial {
  const samples = 300;
  const data = new Float32Array(5 * samples);
  const mix = [1, 0.5, -0.3, 0.8, 0.1, 0.2, -0.7, 1, 0.4, -0.9];
  for (let t = 0; t < samples; t++) {
    const a = rng.normal() * (label === 0 ? 2 : 0.7);
    const b = rng.normal() * (label === 1 ? 2 : 0.7);
    for (let c = 0; c < 5; c++)
      data[c * samples + t] = mix[c] * a + mix[5 + c] * b + 2 * rng.normal();
  }
  return { channels: 5, data };
}

describe(`CSP, seed ${seed}`, () => {
  test('finds sources that no single channel shows, also with a dead channel', () => {
    const rng = new Rng(seed);
    const labels = Array.from({ length: 60 }, (_, i) => i % 2);
    const trials = labels.map((label) => planted(rng, label));
    for (const trial of trials) trial.data.fill(0, 4 * 300);
    const csp = fitCsp(trials.slice(0, 40), labels.slice(0, 40), 2, 2);
    const rows = trials.map((trial) => cspFeatures(csp, trial));
    const lda = fitLda(rows.slice(0, 40), labels.slice(0, 40), 2);
    const right = rows.slice(40).filter((row, i) => argmax(ldaScores(lda, row)) === labels[40 + i]);
    expect(right.length).toBeGreaterThanOrEqual(18);
    expect(rows.flatMap((row) => [...row]).every(Number.isFinite)).toBe(true);
  });
});
