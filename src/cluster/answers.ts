/** From a window as it travels to the answer that the daemon's `Predictor` takes, in our own time. */
import { localClock } from '../core/time.js';
import type { EngineInfo } from '../engine/engine.js';
import type { WindowAnswer } from '../windows/serving.js';
import type { ResultWindow } from './result-message.js';
import { classOffset } from './step-server.js';
import { toLslS } from './wall-time.js';

interface Stamped {
  /** The step's end, its stamp and its arrival at the edge, wall clock seconds. */
  readonly stepEnd: number;
  readonly stampWallS: number;
  readonly arrivalWallS: number;
}

/** Undefined where the checkpoint has no such task. */
export function answerOf(
  { stepEnd, stampWallS, arrivalWallS }: Stamped,
  window: ResultWindow,
  { id, info }: { id: string; info: EngineInfo },
): WindowAnswer | undefined {
  const task = info.tasks.findIndex(({ name }) => name === window.task);
  if (task < 0) return undefined;
  const { seq, endSample, validity, logits, routing, reason, runMs } = window;
  const doneS = localClock();
  const request = {
    ...{ stream: id, task, seq, endSample },
    stampS: toLslS(stampWallS - (stepEnd - endSample) / 200),
    arrivalS: toLslS(arrivalWallS),
  };
  return {
    ...{ request, validity, doneS, startedS: doneS - runMs / 1000 },
    ...(logits === undefined ? {} : { logits: allLogits(logits, task, info) }),
    ...(routing === undefined ? {} : { routing }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function allLogits(own: Float32Array, task: number, { tasks }: EngineInfo): Float32Array {
  const all = new Float32Array(classOffset(tasks, tasks.length));
  all.set(own.subarray(0, tasks[task]?.classes.length ?? 0), classOffset(tasks, task));
  return all;
}
