/** Covariances as vectors, against SciPy's matrix functions (test/fixtures/windows). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pairsOf, TangentSpace } from '../../src/windows/tangent-space.js';
import { largestDifference } from '../support/model-fixture.js';

interface Fixture {
  readonly channels: number;
  readonly reference: number[];
  readonly covariances: number[][];
  readonly features: number[][];
}

const fixture = new URL('../fixtures/windows/tangent-space.json', import.meta.url);
const { channels, reference, covariances, features } = JSON.parse(
  readFileSync(fixture, 'utf8'),
) as Fixture;
const space = new TangentSpace(reference, channels);

test('vectors are those that SciPy computes', () => {
  for (const [i, covariance] of covariances.entries()) {
    const expected = features[i] as number[];
    expect(largestDifference([...space.features(covariance)], expected)).toBeLessThan(1e-9);
    expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0.1);
  }
});

test('the mean itself, and one of which nothing is known, are the origin', () => {
  const unknown = reference.map(() => Number.NaN);
  for (const own of [reference, unknown])
    expect(Math.max(...space.features(own).map(Math.abs))).toBeLessThan(1e-9);
});

test('a covariance that is not one, by a channel that went missing, gives finite numbers', () => {
  const [first = []] = covariances;
  const partly = first.map((value, i) => (i % pairsOf(channels) === 4 ? Number.NaN : 50 * value));
  expect(space.features(partly).every(Number.isFinite)).toBe(true);
  const flat = new TangentSpace(
    reference.map(() => 0),
    channels,
  );
  expect(flat.features(first).every(Number.isFinite)).toBe(true);
});
