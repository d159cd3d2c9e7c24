/** LSL streams as a `Driver` of eegd: the one file between the library beside it and the daemon. */
import { Observable, type Subscriber } from 'rxjs';
import { EegError, type ErrorCode } from '../../src/core/errors.js';
import type { DriverEvent, DriverState } from '../../src/core/stream.js';
import { type Clock, systemClock } from '../../src/core/time.js';
import type { Driver } from '../driver.js';
import { parseLslAddress } from './address.js';
import { type LslConfig, loadLslConfig } from './config.js';
import { type Conversion, describeStream, toFloat32, toMarkers } from './conversion.js';
import { isLslError, type LslError, type LslErrorCode } from './errors.js';
import { Inlet } from './inlet.js';
import type { InletEvent, InletSamples, InletTransport } from './inlet-transport.js';

export interface LslDriverOptions {
  readonly config?: LslConfig;
  readonly clock?: Clock;
  /** Fail where the stream is not found in so long, ms; default: wait for it. */
  readonly findMs?: number;
  readonly transport?: InletTransport;
}

/** A step of the stamps that is taken as lost samples and not as jitter, s. */
const gapMinS = 1;

const codes: Readonly<Record<LslErrorCode, ErrorCode>> = {
  config: 'EEG_CONFIG_INVALID',
  metadata: 'EEG_STREAM_FORMAT',
  query: 'EEG_USAGE',
  protocol: 'EEG_LSL_PROTOCOL',
  lost: 'EEG_LSL_LOST',
  timeout: 'EEG_LSL_LOST',
  ambiguous: 'EEG_LSL_AMBIGUOUS',
  format_changed: 'EEG_STREAM_FORMAT_CHANGED',
  usage: 'EEG_USAGE',
};

export function toEegLslError(error: LslError): EegError {
  return new EegError(codes[error.code], error.message, { context: error.context, cause: error });
}

/** Throws EEG_CONFIG_INVALID where the address cannot be read; opens nothing. */
export class LslDriver implements Driver {
  readonly #address: ReturnType<typeof parseLslAddress>;
  readonly #options: LslDriverOptions;

  constructor(address: string, options: LslDriverOptions = {}) {
    this.#address = parseLslAddress(address);
    this.#options = options;
  }

  open(signal: AbortSignal): Observable<DriverEvent> {
    return new Observable((subscriber) => {
      const session = new Session(subscriber, this.#address.id);
      const inlet = this.#start(session);
      const abort = () => {
        inlet?.close();
        subscriber.complete();
      };
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      return () => {
        signal.removeEventListener('abort', abort);
        inlet?.close();
      };
    });
  }

  #start(session: Session): Inlet | undefined {
    const { clock = systemClock, findMs, transport } = this.#options;
    try {
      const inlet: Inlet = new Inlet(this.#address.selector, {
        config: this.#options.config ?? loadLslConfig(),
        clock,
        postprocess: { clocksync: true, dejitter: this.#address.dejitter, monotonize: true },
        ...(findMs !== undefined && { findMs }),
        ...(transport && { transport }),
        onEvent: (event) => {
          session.clock(inlet.clockEstimate?.offsetS);
          session.handle(event);
        },
      });
      session.begin();
      inlet.start();
      return inlet;
    } catch (error) {
      session.fail(error);
      return undefined;
    }
  }
}

/** One subscription: counts frames and turns the inlet's events into the driver's. */
class Session {
  readonly #out: Subscriber<DriverEvent>;
  readonly #id: string | undefined;
  #conversion: Conversion | undefined;
  #index = 0;
  #lastStampS = Number.NaN;
  #resumed = false;
  #offsetS: number | undefined;

  constructor(out: Subscriber<DriverEvent>, id: string | undefined) {
    this.#out = out;
    this.#id = id;
  }

  begin(): void {
    this.#status('connecting');
  }

  clock(offsetS: number | undefined): void {
    if (offsetS === undefined || offsetS === this.#offsetS) return;
    this.#offsetS = offsetS;
    this.#out.next({ kind: 'clock', offsetS });
  }

  handle(event: InletEvent): void {
    switch (event.kind) {
      case 'opened':
        this.#conversion = describeStream(event.info, this.#id);
        this.#resumed = event.resumed;
        this.#out.next({ kind: 'info', info: this.#conversion.info });
        this.#status('streaming');
        return;
      case 'samples':
        this.#samples(event.samples);
        return;
      case 'silent':
        this.#status(
          'silent',
          `expected samples, none came for ${event.forS.toFixed(2)} s: see whether the outlet hangs`,
        );
        return;
      case 'flowing':
        this.#status('streaming');
        return;
      case 'lost':
      case 'ambiguous':
        this.#status('lost', event.error.message, toEegLslError(event.error).code);
        return;
      case 'failed':
        this.fail(event.error);
    }
  }

  fail(error: unknown): void {
    this.#out.error(isLslError(error) ? toEegLslError(error) : error);
  }

  #samples(samples: InletSamples): void {
    const conversion = this.#conversion;
    if (conversion === undefined) return;
    const { rateHz } = conversion.info;
    if (rateHz === 0 || Array.isArray(samples.data)) {
      for (const marker of toMarkers(samples)) this.#out.next({ kind: 'marker', marker });
      return;
    }
    this.#gap(samples, rateHz);
    const data = toFloat32(samples, conversion.factors);
    const { frames, stamps, arrivalS } = samples;
    this.#lastStampS = stamps[frames - 1] ?? this.#lastStampS;
    const index = this.#index;
    this.#index += frames;
    this.#out.next({ kind: 'chunk', chunk: { index, frames, data, stamps, arrivalS } });
  }

  /**
   * LSL counts no samples: what is missing shows in the stamps. Over a reconnect any step is a gap;
   * within a connection only one that no jitter of a sender could make.
   */
  #gap(samples: InletSamples, rateHz: number): void {
    const stepS = (samples.stamps[0] ?? Number.NaN) - this.#lastStampS;
    const resumed = this.#resumed;
    this.#resumed = false;
    if (!(stepS > (resumed ? 1.5 / rateHz : gapMinS))) return;
    const missing = Math.round(stepS * rateHz) - 1;
    this.#index += missing;
    this.#out.next({ kind: 'gap', missing, reason: resumed ? 'disconnect' : 'lost' });
  }

  #status(state: DriverState, detail?: string, code?: string): void {
    this.#out.next({
      kind: 'status',
      state,
      ...(detail !== undefined && { detail }),
      ...(code !== undefined && { code }),
    });
  }
}
