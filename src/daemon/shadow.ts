/** How a shadowing checkpoint agrees with the serving one on the same live windows. */
import type { EngineInfo } from '../engine/engine.js';
import type { WindowAnswer } from '../windows/serving.js';
import { quantile } from './running-figures.js';

const windowsKept = 4096;

interface Seen {
  readonly label: string;
  readonly latencyMs: number;
}

export class ShadowReport {
  readonly #serving = new Map<string, Seen>();
  readonly #shadow = new Map<string, Seen>();

  reset(): void {
    this.#serving.clear();
    this.#shadow.clear();
  }

  addServing(answer: WindowAnswer, info: EngineInfo): void {
    add(this.#serving, answer, info);
  }

  addShadow(answer: WindowAnswer, info: EngineInfo): void {
    add(this.#shadow, answer, info);
  }

  /** One line: windows compared, share with the same class, median latencies. */
  summary(): string {
    const pairs = [...this.#shadow].flatMap(([key, shadow]) => {
      const serving = this.#serving.get(key);
      return serving === undefined ? [] : [{ serving, shadow }];
    });
    const same = pairs.filter(({ serving, shadow }) => serving.label === shadow.label).length;
    const share = pairs.length === 0 ? 0 : same / pairs.length;
    const median = (seen: Map<string, Seen>) =>
      quantile(
        [...seen.values()].map(({ latencyMs }) => latencyMs),
        0.5,
      ).toFixed(1);
    return (
      `${pairs.length} windows compared, ${(100 * share).toFixed(1)} % the same class; ` +
      `median latency ${median(this.#shadow)} ms, serving ${median(this.#serving)} ms`
    );
  }
}

function add(seen: Map<string, Seen>, answer: WindowAnswer, info: EngineInfo): void {
  const { request, logits } = answer;
  const task = info.tasks[request.task];
  if (logits === undefined || task === undefined) return;
  const before = info.tasks.slice(0, request.task);
  const offset = before.reduce((sum, { classes }) => sum + classes.length, 0);
  const own = logits.subarray(offset, offset + task.classes.length);
  const label = task.classes[own.indexOf(Math.max(...own))] as string;
  const latencyMs = (answer.doneS - request.arrivalS) * 1000;
  seen.set(`${request.stream} ${task.name} ${request.endSample}`, { label, latencyMs });
  if (seen.size <= windowsKept) return;
  for (const oldest of seen.keys()) {
    seen.delete(oldest);
    return;
  }
}
