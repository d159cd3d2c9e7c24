/**
 * Which windows go into the next run: earliest deadline first (a window should be answered before
 * the next of its task is due), joined by windows of like length, so that padding stays small.
 */
import type { TaskSpec } from '../core/tasks.js';
import type { EngineInfo } from '../engine/engine.js';
import type { ServedStream, WindowInput, WindowRequest } from './served-stream.js';

export interface PickedWindow {
  readonly request: WindowRequest;
  readonly input: WindowInput;
}

interface Lane {
  readonly stream: ServedStream;
  readonly task: number;
  readonly tokens: number;
  readonly deadlineS: number;
}

/** A window older than this is not worth an answer: two hops, at least 1 s and at most 5 s. */
export function staleAfterS(task: TaskSpec): number {
  return Math.min(5, Math.max(1, 2 * task.hopS));
}

export interface PickLimits {
  readonly nowS: number;
  readonly tokensMax: number;
  /** Age from which a window of the task is not worth an answer, s. */
  readonly staleAfterS: (task: TaskSpec) => number;
}

export function pickWindows(
  streams: Iterable<ServedStream>,
  info: EngineInfo,
  limits: PickLimits,
): { picked: PickedWindow[]; stale: WindowRequest[] } {
  const stale: WindowRequest[] = [];
  const lanes = [...streams].flatMap((stream) => readyLanes(stream, info, limits, stale));
  lanes.sort((a, b) => a.deadlineS - b.deadlineS);
  const picked: PickedWindow[] = [];
  let longest = 0;
  let rows = 0;
  for (const lane of lanes) {
    if (longest > 0 && (lane.tokens * 1.25 < longest || lane.tokens > longest * 1.25)) continue;
    const queue = lane.stream.windows[lane.task];
    for (let next = queue?.peek(); next !== undefined; next = queue?.peek()) {
      const tokens = Math.max(longest, lane.tokens) * (rows + 1);
      if (!lane.stream.isReady(next.endSample) || (rows > 0 && tokens > limits.tokensMax)) break;
      queue?.shift();
      const input = lane.stream.input(next);
      picked.push({ request: next, input });
      if (input.row === undefined) continue;
      rows++;
      longest = Math.max(longest, lane.tokens);
    }
  }
  return { picked, stale };
}

/** Queues whose next window can run, after taking out the windows that are too old. */
function readyLanes(
  stream: ServedStream,
  info: EngineInfo,
  { nowS, staleAfterS: ageMaxS }: PickLimits,
  stale: WindowRequest[],
): Lane[] {
  const lanes: Lane[] = [];
  for (const [task, queue] of stream.windows.entries()) {
    const spec = info.tasks[task] as TaskSpec;
    let next = queue.peek();
    for (; next !== undefined && nowS - next.arrivalS > ageMaxS(spec); next = queue.peek()) {
      queue.shift();
      stale.push(next);
    }
    if (next === undefined || !stream.isReady(next.endSample)) continue;
    const tokens = (spec.contextWindows + spec.windowS) * info.latents;
    lanes.push({ stream, task, tokens, deadlineS: next.arrivalS + spec.hopS });
  }
  return lanes;
}
