/**
 * An inlet that stays with its stream: finds it, reads it, says at once when it is lost or silent,
 * and goes on when the same source is back. It refuses to guess between two outlets, and it ends
 * where the stream came back with another shape.
 */
import { type LslClock, systemLslClock } from './clock.js';
import { type LslConfig, loadLslConfig } from './config.js';
import type { DecodedSamples } from './decoder.js';
import { isLslError, LslError } from './errors.js';
import { ambiguity, formatChange, isSuccessor, successorOf } from './identity.js';
import { type InletEvent, type InletTransport, networkTransport } from './inlet-transport.js';
import type { PostprocessOptions } from './postprocess.js';
import type { StreamSelector } from './resolver.js';
import { searchIntervalS } from './shared-search.js';
import { HostWatch, SilenceWatch } from './silence.js';
import { StampClock } from './stamp-clock.js';
import type { LslStreamInfo } from './stream-info.js';

export interface InletOptions {
  readonly config?: LslConfig;
  readonly clock?: LslClock;
  /** What the outlet may hold for us while we are slow, s (irregular: times 100 samples). */
  readonly bufferS?: number;
  /** Samples a chunk; 0 (default) = as the outlet sends them, the shortest delay. */
  readonly chunkSamples?: number;
  /** Default: clock offset and order only, no dejitter. */
  readonly postprocess?: PostprocessOptions;
  /** Fail where the stream is not found at first in so long, ms; default: wait for ever. */
  readonly findMs?: number;
  readonly transport?: InletTransport;
  onEvent(event: InletEvent): void;
}

/** After the first answer others may still come, ms. */
const settleFirstMs = 250;
const settleAgainMs = 100;
/** Silence after which a successor is looked for, ms. */
const silentSearchMs = 2000;
/** Answers older than this are of outlets that may be gone, s. */
const answerValidS = 1;

const defaultPostprocess: PostprocessOptions = {
  clocksync: true,
  dejitter: false,
  monotonize: true,
};

export class Inlet {
  readonly #options: InletOptions;
  readonly #selector: StreamSelector;
  readonly #clock: LslClock;
  readonly #config: LslConfig;
  readonly #transport: InletTransport;
  readonly #answers = new Map<string, { info: LslStreamInfo; atS: number }>();
  #search: { close(): void } | undefined;
  #settling = false;
  /** The stream as it was first opened: what comes later must be like it. */
  #stream: LslStreamInfo | undefined;
  #current: LslStreamInfo | undefined;
  #connection: ReturnType<InletTransport['connect']> | undefined;
  #sync: ReturnType<InletTransport['timeSync']> | undefined;
  #stamps: StampClock | undefined;
  #silence: SilenceWatch | HostWatch | undefined;
  #cancelSilentSearch: () => void = () => undefined;
  #lastAmbiguity = '';
  #samples = 0;
  #paused = false;
  #closed = false;
  readonly #cancels = new Set<() => void>();

  constructor(selector: StreamSelector, options: InletOptions) {
    this.#selector = selector;
    this.#options = options;
    this.#clock = options.clock ?? systemLslClock;
    this.#config = options.config ?? loadLslConfig();
    this.#transport = options.transport ?? networkTransport(this.#config, this.#clock);
  }

  start(): void {
    const { findMs } = this.#options;
    this.#startSearch(this.#selector);
    if (findMs === undefined) return;
    this.#after(findMs, () => {
      if (this.#stream !== undefined || this.#current !== undefined) return;
      const wanted = JSON.stringify(this.#selector);
      this.#fail(
        new LslError('timeout', `expected a stream ${wanted} within ${findMs} ms, got none`),
      );
    });
  }

  /** Latest clock offset, once known. */
  get clockEstimate() {
    return this.#sync?.latest;
  }

  pause(): void {
    this.#paused = true;
    this.#connection?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#connection?.resume();
  }

  close(): void {
    this.#closed = true;
    this.#stopSearch();
    this.#disconnect();
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  #startSearch(selector: StreamSelector): void {
    this.#stopSearch();
    this.#answers.clear();
    this.#search = this.#transport.search(selector, (info) => this.#answered(info));
  }

  #stopSearch(): void {
    this.#search?.close();
    this.#search = undefined;
    this.#settling = false;
  }

  #answered(info: LslStreamInfo): void {
    if (this.#closed || this.#search === undefined) return;
    if (this.#stream !== undefined && !isSuccessor(info, this.#stream)) return;
    this.#answers.set(info.uid, { info, atS: this.#clock.now() });
    if (this.#settling) return;
    this.#settling = true;
    const settleMs = this.#stream === undefined ? settleFirstMs : settleAgainMs;
    this.#after(settleMs, () => this.#choose());
  }

  #choose(): void {
    if (this.#search === undefined || !this.#settling) return;
    this.#settling = false;
    const now = this.#clock.now();
    for (const [uid, one] of this.#answers)
      if (now - one.atS > answerValidS) this.#answers.delete(uid);
    const found = [...this.#answers.values()].map((one) => one.info);
    const [first] = found;
    if (first === undefined) return;
    // A silent outlet that still answers is only silent.
    if (this.#current !== undefined && this.#answers.has(this.#current.uid)) return;
    if (found.length > 1) this.#refuse(found);
    else this.#adopt(first);
  }

  #refuse(found: readonly LslStreamInfo[]): void {
    const error = ambiguity(found);
    if (this.#stream === undefined) this.#fail(error);
    else if (error.message !== this.#lastAmbiguity) {
      this.#lastAmbiguity = error.message;
      this.#options.onEvent({ kind: 'ambiguous', error });
    }
  }

  #adopt(info: LslStreamInfo): void {
    const changed = this.#stream && formatChange({ ...this.#stream, desc: info.desc }, info);
    if (changed !== undefined) {
      this.#fail(changed);
      return;
    }
    if (info.version < 110) {
      const version = (info.version / 100).toFixed(2);
      this.#fail(
        new LslError('protocol', `expected LSL protocol 1.10 of "${info.name}", got ${version}`),
      );
      return;
    }
    this.#stopSearch();
    const wasConnected = this.#connection !== undefined;
    this.#disconnect();
    if (wasConnected) {
      const text = `expected samples of "${info.name}": another outlet took its place`;
      this.#options.onEvent({ kind: 'lost', error: new LslError('lost', text) });
    }
    this.#current = info;
    void this.#connect(info).catch((error: unknown) => this.#openFailed(info, error));
  }

  async #connect(info: LslStreamInfo): Promise<void> {
    const full = await this.#transport.fullInfo(info);
    if (this.#closed || this.#current !== info) return;
    const changed = this.#stream && formatChange(this.#stream, full);
    if (changed !== undefined) {
      this.#fail(changed);
      return;
    }
    const bufferS = this.#options.bufferS ?? 60;
    const connection = this.#transport.connect(full, {
      clock: this.#clock,
      bufferSamples: bufferS * (full.rateHz || 100),
      chunkSamples: this.#options.chunkSamples ?? 0,
      onSamples: (samples, arrivalS) => this.#arrived(samples, arrivalS),
      onClosed: (error) => this.#connectionLost(connection, error),
    });
    this.#connection = connection;
    if (this.#paused) connection.pause();
    this.#startClock(full);
    await connection.opened;
    if (this.#closed || this.#connection !== connection) return;
    this.#opened(full);
  }

  #startClock(full: LslStreamInfo): void {
    const sync = this.#transport.timeSync(full);
    this.#sync = sync;
    this.#stamps = new StampClock({
      rateHz: full.rateHz,
      postprocess: this.#options.postprocess ?? defaultPostprocess,
      sync,
      clock: this.#clock,
      notBeforeS: this.#stamps?.lastS ?? Number.NEGATIVE_INFINITY,
      onSamples: ({ frames, data, stamps }, arrivalS) =>
        this.#options.onEvent({ kind: 'samples', samples: { frames, data, stamps, arrivalS } }),
    });
    void sync.start().catch(() => undefined);
  }

  #opened(full: LslStreamInfo): void {
    const resumed = this.#stream !== undefined;
    this.#stream ??= full;
    this.#samples = 0;
    this.#lastAmbiguity = '';
    this.#options.onEvent({ kind: 'opened', info: full, resumed });
    // Samples that came in the same read as the header were held for this.
    this.#stamps?.open();
    if (this.#closed) return;
    const sync = this.#sync;
    const listeners = {
      clock: this.#clock,
      onSilent: (forS: number) => this.#silent(forS),
      onFlowing: () => this.#flowing(),
    };
    this.#silence =
      full.rateHz > 0
        ? new SilenceWatch({ ...listeners, rateHz: full.rateHz })
        : new HostWatch({
            ...listeners,
            answerIntervalS: this.#config.timeUpdateIntervalS,
            lastAnswerS: () => sync?.lastAnswerS ?? Number.NEGATIVE_INFINITY,
          });
  }

  #arrived(samples: DecodedSamples, arrivalS: number): void {
    this.#samples += samples.frames;
    this.#silence?.arrived(arrivalS);
    this.#stamps?.push(samples, arrivalS);
  }

  #silent(forS: number): void {
    this.#options.onEvent({ kind: 'silent', forS });
    // Its machine may be gone without a word, and a successor be there already. Not at once: asking
    // around is work for outlets that may only be short of time.
    this.#cancelSilentSearch = this.#after(silentSearchMs, () => {
      if (this.#silence?.isSilent && this.#stream !== undefined)
        this.#startSearch(successorOf(this.#stream));
    });
  }

  #flowing(): void {
    this.#cancelSilentSearch();
    this.#stopSearch();
    this.#options.onEvent({ kind: 'flowing' });
  }

  #connectionLost(connection: ReturnType<InletTransport['connect']>, error: LslError): void {
    if (this.#closed || this.#connection !== connection) return;
    if (error.code === 'protocol' && this.#samples === 0) {
      this.#fail(error);
      return;
    }
    this.#disconnect();
    this.#options.onEvent({ kind: 'lost', error });
    this.#searchAgain();
  }

  /** The outlet answered a query but gave no feed: gone again, or not one of ours. */
  #openFailed(info: LslStreamInfo, thrown: unknown): void {
    if (this.#closed || this.#current !== info) return;
    const error = isLslError(thrown) ? thrown : new LslError('lost', String(thrown));
    if (error.code === 'protocol' || error.code === 'metadata') {
      this.#fail(error);
      return;
    }
    this.#disconnect();
    this.#after(searchIntervalS * 1000, () => this.#searchAgain());
  }

  #searchAgain(): void {
    this.#startSearch(this.#stream === undefined ? this.#selector : successorOf(this.#stream));
  }

  #disconnect(): void {
    this.#silence?.close();
    this.#silence = undefined;
    this.#stamps?.flush();
    this.#connection?.close();
    this.#connection = undefined;
    this.#sync?.close();
    this.#sync = undefined;
    this.#current = undefined;
  }

  #fail(error: LslError): void {
    if (this.#closed) return;
    this.close();
    this.#options.onEvent({ kind: 'failed', error });
  }

  #after(ms: number, callback: () => void): () => void {
    const cancel = this.#clock.setTimeout(() => {
      this.#cancels.delete(cancel);
      if (!this.#closed) callback();
    }, ms);
    this.#cancels.add(cancel);
    return () => {
      this.#cancels.delete(cancel);
      cancel();
    };
  }
}
