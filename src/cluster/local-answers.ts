/**
 * What an edge does with windows that the cluster cannot have: it answers them itself where it has
 * a checkpoint, by the same code as a worker, and else counts them. These predictions go to the
 * edge's recordings; to the gateway they are never sent late.
 */
import type { DaemonEvent } from '../core/events.js';
import { systemClock } from '../core/time.js';
import { Predictor } from '../daemon/predictor.js';
import type { Engine } from '../engine/engine.js';
import { staleAfterS } from '../windows/urgency.js';
import { answerOf } from './answers.js';
import type { Counters } from './counters.js';
import { endSampleOf, type Step } from './step-message.js';
import { StepServer } from './step-server.js';

export interface LocalOptions {
  readonly engine: Engine;
  readonly counters: Counters;
  readonly onEvent: (event: DaemonEvent) => void;
  /** How long windows may have waited for the cluster, s. */
  readonly staleS: number;
}

export class LocalAnswers {
  readonly #engine: Engine;
  readonly #counters: Counters;
  readonly #server: StepServer;
  readonly #predictor: Predictor;
  /** Changes of whether it predicts, one after the other. */
  #change: Promise<void> = Promise.resolve();

  constructor({ engine, counters, onEvent, staleS }: LocalOptions) {
    this.#engine = engine;
    this.#counters = counters;
    const { checkpoint } = engine.info;
    this.#server = new StepServer({
      ...{ modelAt: () => checkpoint, clock: systemClock },
      // Windows that waited for the cluster in vain are answered too.
      staleAfterS: (task) => staleAfterS(task) + staleS,
    });
    this.#predictor = new Predictor(onEvent);
  }

  /** While the link is up only the signal is kept, so that windows are whole once it is down. */
  linked(isUp: boolean): void {
    this.#change = this.#change.then(async () => {
      if (isUp) await this.#server.release(this.info.checkpoint);
      else await this.#server.add(this.#engine);
    });
  }

  get info(): Engine['info'] {
    return this.#engine.info;
  }

  /** To be given every step. */
  follow(step: Step): void {
    this.#server.apply(step);
  }

  /** The step's windows are answered here. */
  answer(step: Step): void {
    const stepEnd = endSampleOf(step);
    void this.#change.then(() =>
      this.#server.take(step, (windows) => {
        for (const window of windows) {
          const answer = answerOf({ ...step, stepEnd }, window, {
            id: step.stream,
            info: this.info,
          });
          if (answer === undefined) continue;
          this.#counters.add(window.logits === undefined ? 'local_refused' : 'local_predictions');
          this.#predictor.take(answer, this.info);
        }
      }),
    );
  }

  async close(): Promise<void> {
    await this.#change;
    await this.#server.release(this.info.checkpoint);
    await this.#engine.close();
  }
}
