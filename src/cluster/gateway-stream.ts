/** One stream as a gateway has it: its status, and its answers in order. */
import type { SignalBlock, StreamStatus } from '../core/events.js';
import { gridSamples } from '../core/tasks.js';
import type { EngineInfo } from '../engine/engine.js';
import type { WindowAnswer } from '../windows/serving.js';
import { AnswerOrder, type AskedWindow, type Unanswered } from './answer-order.js';
import { answerOf } from './answers.js';
import type { StreamAddress } from './names.js';
import type { Result, ResultWindow } from './result-message.js';
import { endSampleOf, type Step, windowStampWallS } from './step-message.js';
import { toLslS } from './wall-time.js';

export interface GatewayStreamOptions {
  readonly timesOf: (task: string) => { hopS: number; waitS: number } | undefined;
  /** Of the checkpoint named, else of what served then. */
  readonly infoOf: (checkpoint: string | undefined, stampWallS: number) => EngineInfo | undefined;
  readonly onAnswer: (answer: WindowAnswer, info: EngineInfo) => void;
  readonly onCount: (name: string) => void;
}

const details: Readonly<Record<Unanswered, { detail: string }>> = {
  withheld: { detail: 'the edge had no link' },
  late: { detail: 'no worker answered in time' },
};

export class GatewayStream {
  readonly id: string;
  readonly address: StreamAddress;
  status: StreamStatus | undefined;
  /** Whose it is, as its edge says; empty = nobody's. */
  person = '';
  readonly #options: GatewayStreamOptions;
  #epoch = 0;
  #order: AnswerOrder | undefined;

  constructor(id: string, address: StreamAddress, options: GatewayStreamOptions) {
    this.id = id;
    const { site, edge, stream } = address;
    this.address = { site, edge, stream };
    this.#options = options;
  }

  asked(step: Step, nowWallS: number): void {
    const order = this.#orderOf(step.epoch);
    this.person = step.person;
    order?.saw(step, endSampleOf(step));
    for (const window of step.windows)
      order?.asked(
        {
          ...window,
          stampWallS: windowStampWallS(step, window),
          arrivalWallS: step.arrivalWallS,
        },
        nowWallS,
      );
  }

  answered(result: Result, nowWallS: number): void {
    const order = this.#orderOf(result.epoch);
    for (const answer of result.windows) {
      const stampWallS = result.stampWallS - (result.endSample - answer.endSample) / 200;
      const { task, seq, endSample } = answer;
      const window = { task, seq, endSample, stampWallS, arrivalWallS: result.arrivalWallS };
      if (order === undefined) this.#options.onCount('answers_late');
      else order.answered(answer, window, nowWallS);
    }
  }

  tick(nowWallS: number): void {
    this.#order?.tick(nowWallS);
  }

  /** Every window that is still waited for is answered as it stands. */
  finish(): void {
    this.#order?.finish();
  }

  /** The new status, where the edge was lost or is back. */
  lose(isSilent: boolean): StreamStatus | undefined {
    if (this.status === undefined || this.status.state !== 'streaming' || !isSilent)
      return undefined;
    this.status = { ...this.status, state: 'lost', detail: 'the edge says nothing' };
    return this.status;
  }

  signal(step: Step): SignalBlock {
    const samples = step.ticks * gridSamples;
    return {
      ...{ kind: 'signal', stream: this.id, index: step.startSample, samples },
      stampS: toLslS(step.stampWallS - samples / 200),
      channels: step.channels,
      data: step.data.map((value, i) => (step.valid[i] === 1 ? value : Number.NaN)),
    };
  }

  /** Undefined for an earlier life of the stream. */
  #orderOf(epoch: number): AnswerOrder | undefined {
    if (epoch < this.#epoch) return undefined;
    if (epoch === this.#epoch) return this.#order;
    this.#order?.finish();
    this.#epoch = epoch;
    const { timesOf, onCount } = this.#options;
    this.#order = new AnswerOrder({
      timesOf,
      onAnswer: (window, answer) => this.#release(window, answer),
      onLate: () => onCount('answers_late'),
      onTwice: () => onCount('answers_twice'),
    });
    return this.#order;
  }

  #release(window: AskedWindow, answer: ResultWindow | Unanswered): void {
    const { infoOf, onAnswer, onCount } = this.#options;
    const isAnswered = typeof answer !== 'string';
    const info = infoOf(isAnswered ? answer.checkpoint : undefined, window.stampWallS);
    if (info === undefined) return;
    const none = { validity: 0, reason: 'stale', waitMs: 0, runMs: 0, checkpoint: '' } as const;
    const stamped = { ...window, stepEnd: window.endSample };
    const result = isAnswered ? answer : { ...window, ...none };
    const given = answerOf(stamped, result, { id: this.id, info });
    onCount(isAnswered ? 'windows_answered' : `windows_${answer}`);
    if (given !== undefined) onAnswer({ ...given, ...(!isAnswered && details[answer]) }, info);
  }
}
