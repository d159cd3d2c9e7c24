/** A network for an inlet under virtual time: outlets appear, answer, send and vanish when told. */
import type { DecodedSamples } from '../../drivers/lsl/decoder.js';
import { LslError } from '../../drivers/lsl/errors.js';
import type { ConnectionOptions } from '../../drivers/lsl/inlet-connection.js';
import type { InletTransport } from '../../drivers/lsl/inlet-transport.js';
import { buildQuery } from '../../drivers/lsl/resolver.js';
import { type LslStreamInfo, streamInfoXml } from '../../drivers/lsl/stream-info.js';
import type { ClockEstimate } from '../../drivers/lsl/time-sync.js';
import { compileQuery } from '../../drivers/lsl/xpath.js';
import type { VirtualClock } from './virtual-clock.js';

interface FakeConnection {
  readonly uid: string;
  readonly options: ConnectionOptions;
  closed: boolean;
}

const answerS = 0.05;

export class FakeLslNetwork implements InletTransport {
  readonly #clock: VirtualClock;
  readonly outlets = new Map<string, LslStreamInfo>();
  readonly connections: FakeConnection[] = [];
  searches = 0;
  offsetS = 0;
  /** Time services that do not answer. */
  isDeaf = false;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  search(selector: Parameters<InletTransport['search']>[0], onAnswer: (i: LslStreamInfo) => void) {
    const matches = compileQuery(buildQuery(selector, 'default'));
    let open = true;
    this.searches++;
    const ask = () => {
      if (!open) return;
      for (const one of this.outlets.values()) if (matches(streamInfoXml(one, true))) onAnswer(one);
      this.#clock.setTimeout(ask, answerS * 1000);
    };
    this.#clock.setTimeout(ask, answerS * 1000);
    return {
      close: () => {
        open = false;
        this.searches--;
      },
    };
  }

  fullInfo(info: LslStreamInfo): Promise<LslStreamInfo> {
    const found = this.outlets.get(info.uid);
    return found ? Promise.resolve(found) : Promise.reject(new LslError('lost', 'no such outlet'));
  }

  connect(info: LslStreamInfo, options: ConnectionOptions) {
    const connection: FakeConnection = { uid: info.uid, options, closed: false };
    this.connections.push(connection);
    return {
      opened: Promise.resolve(),
      close: () => {
        connection.closed = true;
      },
      pause: () => undefined,
      resume: () => undefined,
    };
  }

  timeSync() {
    const { isDeaf, offsetS } = this;
    const now = this.#clock.now();
    const latest: ClockEstimate | undefined = isDeaf
      ? undefined
      : { offsetS, uncertaintyS: 0.001, atS: now };
    return { start: () => Promise.resolve(), close: () => undefined, latest, lastAnswerS: now };
  }

  /** Numeric samples from every open connection to `uid`. */
  send(uid: string, values: readonly number[], stamps: readonly number[]): void {
    const samples: DecodedSamples = {
      frames: stamps.length,
      data: Float32Array.from(values),
      stamps: Float64Array.from(stamps),
    };
    for (const one of this.connections)
      if (one.uid === uid && !one.closed) one.options.onSamples(samples, this.#clock.now());
  }

  /** The outlet is gone, and its connections with it. */
  kill(uid: string): void {
    this.outlets.delete(uid);
    for (const one of this.connections) {
      if (one.uid !== uid || one.closed) continue;
      one.closed = true;
      one.options.onClosed(new LslError('lost', `${uid} is gone`));
    }
  }
}
