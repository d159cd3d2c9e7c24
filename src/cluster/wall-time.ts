/**
 * LSL seconds are each machine's own; between machines times travel as wall clock seconds. The
 * two differ by a constant, read once, so that a step of the wall clock moves no stamp. Machines
 * of a cluster keep time by NTP; docs/scale.md says what an error costs.
 */
import { performance } from 'node:perf_hooks';
import { localClock } from '../core/time.js';

/** Wall clock seconds at LSL second 0 of this machine. */
export const wallBaseS = (performance.timeOrigin + performance.now()) / 1000 - localClock();

export function toWallS(lslS: number): number {
  return lslS + wallBaseS;
}

export function toLslS(wallS: number): number {
  return wallS - wallBaseS;
}

export function wallNowS(): number {
  return toWallS(localClock());
}
