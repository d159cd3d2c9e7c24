/** A learner process that is none: messages to and from it are a test's. */
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { FromLearner, Learned, ToLearner } from '../../src/adaptation/learner-protocol.js';

export class FakeLearner extends EventEmitter {
  readonly received: ToLearner[] = [];
  /** Answer `start` at once. */
  readonly prompt: boolean;
  readonly pid = 1;

  constructor(prompt = true) {
    super();
    this.prompt = prompt;
  }

  get child(): ChildProcess {
    return this as unknown as ChildProcess;
  }

  send(message: ToLearner, sent: (error: Error | null) => void = () => undefined): boolean {
    this.received.push(message);
    queueMicrotask(() => sent(null));
    if (message.kind === 'start' && this.prompt) queueMicrotask(() => this.say({ kind: 'ready' }));
    return true;
  }

  say(message: FromLearner): void {
    this.emit('message', message);
  }

  kill(): boolean {
    queueMicrotask(() => this.emit('exit', null, 'SIGKILL'));
    return true;
  }

  kinds(): string[] {
    return this.received.map(({ kind }) => kind);
  }

  /** Says that it learned, with so many right of so many. */
  learned(correct: number, total: number, changes: Partial<Learned> = {}): void {
    const task = {
      ...{ name: 'fists', classes: ['left', 'right'], windowS: 1, hopS: 0.5, contextWindows: 0 },
      ...{ minValid: 0.5, temperature: 1, smoothing: 1 },
    };
    this.say({
      kind: 'learned',
      pack: {
        ...{ name: 'fists', blocks: [1], experts: 1, task, type: 'F16' },
        base: { id: 'base@1', sha256: '' },
        bytes: Uint8Array.of(1, 2, 3),
        logits: [0, 0],
      },
      trials: Array.from({ length: total }, (_, i) => i),
      correct,
      total,
      labels: Array.from({ length: total }, (_, i) => i % 2),
      changedTasks: [],
      epochs: 3,
      expertShare: 1,
      seconds: 1,
      ...changes,
    });
  }
}
