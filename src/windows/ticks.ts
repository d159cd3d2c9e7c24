/** The RxJS seam of windowing: conditioned blocks in, due seconds and windows out, in order. */
import { concatMap, defer, type OperatorFunction } from 'rxjs';
import { gridSamples, modelRateHz } from '../core/tasks.js';
import type { ConditionedBlock } from '../signal/block.js';
import type { Schedule, Tick } from './schedule.js';

/** What is due at a grid point. */
export type Due = Pick<Schedule, 'needs' | 'windowsAt'>;

/** A longer hole is a break: windows that lie wholly inside it are not asked for. */
export const holeSamplesMax = 10 * modelRateHz;

/**
 * Emits every grid point at which a second is needed or a window ends, once its last sample has
 * arrived. Does not depend on how the samples were split into blocks. The schedule is asked at
 * every block, so that a new checkpoint's windows begin at the next grid point.
 *
 * Blocks come in order. A short hole in their indices is walked through: windows over a gap must
 * be answered too, and the ring says what is real.
 */
export function dueTicks(schedule: () => Due): OperatorFunction<ConditionedBlock, Tick> {
  return (source) =>
    defer(() => {
      let next = gridSamples;
      return source.pipe(
        concatMap((block) => {
          const due: Tick[] = [];
          const plan = schedule();
          const end = block.index + block.samples;
          if (block.index - next > holeSamplesMax) next = gridAfter(block.index);
          for (; next <= end; next += gridSamples) {
            const needed = plan.needs(next);
            const windows = plan.windowsAt(next);
            if (!needed && windows.length === 0) continue;
            const stampS = block.stampS + (next - block.index) / modelRateHz;
            due.push({ endSample: next, stampS, arrivalS: block.arrivalS, needed, windows });
          }
          return due;
        }),
      );
    });
}

/** First grid point after `sample`. */
function gridAfter(sample: number): number {
  return (Math.floor(sample / gridSamples) + 1) * gridSamples;
}
