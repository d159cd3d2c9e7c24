/**
 * Which windows go into the next run: earliest deadline first (a window should be answered before
 * the next of its task is due, and before it is stale), joined by windows of like length, so that
 * padding stays small.
 */
import type { TaskSpec } from '../core/tasks.js';
import type { EngineInfo } from '../engine/engine.js';
import type { ServedStream, WindowInput, WindowRequest } from './served-stream.js';

export interface PickedWindow {
  readonly request: WindowRequest;
  readonly input: WindowInput;
}

interface ReadyQueue {
  readonly stream: ServedStream;
  readonly task: number;
  readonly tokens: number;
  /** How long its windows may wait. */
  readonly patienceS: number;
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
  const queues = [...streams].flatMap((stream) => readyQueues(stream, info, limits, stale));
  queues.sort((a, b) => a.deadlineS - b.deadlineS);
  const picked: PickedWindow[] = [];
  const run = new Run(tokensOfRun(queues, limits.tokensMax));
  for (const ready of queues) {
    const queue = ready.stream.windows[ready.task];
    for (let next = queue?.peek(); next !== undefined; next = queue?.peek()) {
      if (!ready.stream.isReady(next.endSample) || !run.hasRoomFor(ready.tokens)) break;
      queue?.shift();
      const input = ready.stream.input(next);
      picked.push({ request: next, input });
      if (input.row !== undefined) run.add(ready.tokens);
    }
  }
  return { picked, stale };
}

/** Tokens that take as long as the start of a run: 1 ms, with the shipped model on one core. */
const tokensOfStart = 48;
/** A run of so many gains little from being longer. */
const tokensShort = 4 * tokensOfStart;
/** Windows that may wait longer give way to those that may not, s. */
const urgentS = 1;
/** What waits of them is done in so many runs, if those are not short. */
const runsOfPatient = 8;

/** Where nothing urgent waits, runs are short: whatever comes finds the engine free soon. */
function tokensOfRun(queues: readonly ReadyQueue[], tokensMax: number): number {
  if (queues[0] === undefined || queues[0].patienceS <= urgentS) return tokensMax;
  const waiting = queues.reduce(
    (sum, { stream, task, tokens }) => sum + tokens * (stream.windows[task]?.length ?? 0),
    0,
  );
  return Math.min(tokensMax, Math.max(tokensShort, waiting / runsOfPatient));
}

/** The rows of one run: all are padded to the longest. */
class Run {
  readonly #tokensMax: number;
  #rows = 0;
  #longest = 0;
  #tokens = 0;

  constructor(tokensMax: number) {
    this.#tokensMax = tokensMax;
  }

  /** Rows of like length share a run, and rows whose padding costs less than another run would. */
  hasRoomFor(tokens: number): boolean {
    if (this.#rows === 0) return true;
    const longest = Math.max(this.#longest, tokens);
    const padded = longest * (this.#rows + 1);
    if (padded > this.#tokensMax) return false;
    const isAlike = tokens * 1.25 >= longest && tokens <= this.#longest * 1.25;
    return isAlike || padded - this.#tokens - tokens <= tokensOfStart;
  }

  add(tokens: number): void {
    this.#rows++;
    this.#longest = Math.max(this.#longest, tokens);
    this.#tokens += tokens;
  }
}

/** Queues whose next window can run, after taking out the windows that are too old. */
function readyQueues(
  stream: ServedStream,
  info: EngineInfo,
  { nowS, staleAfterS: ageMaxS }: PickLimits,
  stale: WindowRequest[],
): ReadyQueue[] {
  const queues: ReadyQueue[] = [];
  for (const [task, queue] of stream.windows.entries()) {
    const spec = info.tasks[task] as TaskSpec;
    let next = queue.peek();
    for (; next !== undefined && nowS - next.arrivalS > ageMaxS(spec); next = queue.peek()) {
      queue.shift();
      stale.push(next);
    }
    if (next === undefined || !stream.isReady(next.endSample)) continue;
    const seconds = spec.contextWindows + (spec.history === true ? 1 : 0) + spec.windowS;
    const tokens = seconds * info.latents;
    const patienceS = Math.min(spec.hopS, ageMaxS(spec));
    queues.push({ stream, task, tokens, patienceS, deadlineS: next.arrivalS + patienceS });
  }
  return queues;
}
