/** F4: what a pause held up is as old as it is, and a clock that jumps is not taken for a pause. */
import { expect, test } from 'vitest';
import { DueArrival } from '../../src/daemon/due-arrival.js';

/** Blocks of 40 ms; those of a pause come together at its end. Returns arrivals as dated. */
function dated(delayOf: (stampS: number) => number, seconds: number): [number, number][] {
  const due = new DueArrival();
  return Array.from({ length: seconds * 25 }, (_, i) => {
    const stampS = i * 0.04;
    return [stampS, due.at(stampS, stampS + delayOf(stampS))];
  });
}

test('a stream that is always late by seconds comes when it comes', () => {
  for (const [stampS, atS] of dated(() => 3, 20)) expect(atS - stampS).toBeCloseTo(3, 9);
});

test('what a pause of 15 s held up is dated as if it had not been', () => {
  const held = (stampS: number) => (stampS > 10 && stampS < 25 ? 25 - stampS : 0) + 0.1;
  for (const [stampS, atS] of dated(held, 40)) expect(atS - stampS).toBeLessThan(0.7);
});

test.each([5, -5])('a clock that jumps by %d s is believed after 2 s', (jumpS) => {
  const blocks = dated((stampS) => 0.1 + (stampS > 10 ? jumpS : 0), 20);
  for (const [stampS, atS] of blocks.filter(([stampS]) => stampS > 12.1))
    expect(atS - stampS).toBeCloseTo(0.1 + jumpS, 9);
});
