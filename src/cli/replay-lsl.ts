/**
 * Recordings as a live LSL stream, with a second stream of their markers: what an amplifier and the
 * program that shows the cues would send. Files follow each other with a pause between them.
 */
import { basename } from 'node:path';
import { describeChannels, type LslConfig, Outlet } from '../../drivers/lsl/index.js';
import { ReplayDriver } from '../../drivers/replay/driver.js';
import { EegError } from '../core/errors.js';
import type { Chunk, DriverEvent, Marker, StreamInfo } from '../core/stream.js';
import { type Clock, systemClock } from '../core/time.js';

export interface LslReplayOptions {
  /** Times real time. */
  readonly speed: number;
  /** Wait so long for somebody to read, s. */
  readonly waitS: number;
  /** Pause between the first reader and the first sample, s. */
  readonly delayS: number;
  readonly config?: LslConfig;
  readonly clock?: Clock;
  /** Awaited before every chunk. */
  readonly ready?: () => Promise<void>;
  readonly onText?: (line: string) => void;
}

export interface LslReplayed {
  readonly samples: number;
  readonly markers: number;
}

/** Between two files, s of stream time. */
const seamS = 2;
/** What was sent last must arrive before the outlets close, s. */
const lingerS = 1;

/** Rejects with `EEG_FILE_*`, or `EEG_LSL_LOST` where nobody reads. */
export async function replayToLsl(
  files: readonly string[],
  options: LslReplayOptions,
): Promise<LslReplayed> {
  const player = new LslPlayer(files[0] ?? '', options);
  try {
    for (const file of files) await player.play(file);
    await player.pause(lingerS);
    return player.sent;
  } finally {
    player.close();
  }
}

/** Who reads both opens both at once; who reads the signal alone need not wait longer, s. */
const markersWaitS = 3;

class LslPlayer {
  readonly #options: LslReplayOptions;
  readonly #clock: Clock;
  readonly #name: string;
  #outlets: { readonly signal: Outlet; readonly markers: Outlet } | undefined;
  #info: StreamInfo | undefined;
  /** LSL seconds of the present file's first sample. */
  #startS = 0;
  /** Where the stream has come to. */
  #endS = 0;
  #waiting: Marker[] = [];
  #samples = 0;
  #markers = 0;

  constructor(first: string, options: LslReplayOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#name = basename(first).replace(/\.\w+$/, '');
  }

  get sent(): LslReplayed {
    return { samples: this.#samples, markers: this.#markers };
  }

  async play(file: string): Promise<void> {
    const { speed, ready } = this.#options;
    const options = { path: file, speed, clock: this.#clock };
    const info = await infoOf(options);
    // Before the driver is opened: its samples are due from then on.
    const again = this.#outlets !== undefined;
    if (again) requireSame(this.#info as StreamInfo, info);
    else await this.#open(info);
    if (again) await this.pause(seamS / speed);
    this.#startS = again ? this.#endS + seamS : this.#clock.now();
    const driver = new ReplayDriver({ ...options, ...(ready === undefined ? {} : { ready }) });
    await new Promise<void>((resolve, reject) => {
      driver.open(new AbortController().signal).subscribe({
        next: (event) => this.#take(event),
        error: reject,
        complete: resolve,
      });
    });
  }

  pause(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.setTimeout(resolve, 1000 * seconds);
    });
  }

  close(): void {
    this.#outlets?.signal.close();
    this.#outlets?.markers.close();
  }

  async #open(info: StreamInfo): Promise<void> {
    this.#info = info;
    const { config, waitS, delayS, onText } = this.#options;
    const options = config === undefined ? {} : { config };
    const channels = info.channels.map(({ label, kind }) => {
      return { label, type: kind.toUpperCase(), unit: 'microvolts' };
    });
    const signal = await Outlet.open(
      {
        ...{ name: this.#name, type: 'EEG', sourceId: `replay-${this.#name}`, format: 'float32' },
        ...{ channelCount: channels.length, rateHz: info.rateHz, desc: describeChannels(channels) },
      },
      options,
    );
    const marks = { name: `${this.#name} markers`, sourceId: `replay-${this.#name}-markers` };
    const markers = await Outlet.open(
      { ...marks, type: 'Markers', format: 'string', channelCount: 1, rateHz: 0 },
      options,
    );
    this.#outlets = { signal, markers };
    onText?.(`LSL streams "${this.#name}" and "${marks.name}" wait for a reader`);
    if (!(await signal.waitForConsumers(1000 * waitS)))
      throw new EegError('EEG_LSL_LOST', `expected a reader within ${waitS} s, none came`);
    if (!(await markers.waitForConsumers(1000 * Math.min(waitS, markersWaitS))))
      onText?.('nobody reads the markers');
    if (delayS > 0) onText?.(`read; the first sample comes in ${delayS} s`);
    await this.pause(delayS);
    onText?.('playing');
  }

  #take(event: DriverEvent): void {
    if (event.kind === 'marker') this.#waiting.push(event.marker);
    else if (event.kind === 'chunk') this.#send(event.chunk);
  }

  /** A marker comes just before the samples it is about, which tell where the file's time is. */
  #send({ index, frames, data, stamps }: Chunk): void {
    const rateHz = this.#info?.rateHz ?? 1;
    const originS = (stamps?.[0] ?? 0) - index / rateHz;
    const firstS = this.#startS + index / rateHz;
    for (const { stampS, text } of this.#waiting.splice(0)) {
      this.#outlets?.markers.push([text], this.#startS + stampS - originS);
      this.#markers++;
    }
    const own = Float64Array.from({ length: frames }, (_, i) => firstS + i / rateHz);
    this.#outlets?.signal.pushChunk(data, own);
    this.#endS = firstS + frames / rateHz;
    this.#samples += frames;
  }
}

function infoOf(options: { path: string; speed: number; clock: Clock }): Promise<StreamInfo> {
  const abort = new AbortController();
  return new Promise((resolve, reject) => {
    new ReplayDriver(options).open(abort.signal).subscribe({
      next: (event) => {
        if (event.kind !== 'info') return;
        resolve(event.info);
        abort.abort();
      },
      error: reject,
    });
  });
}

function requireSame(known: StreamInfo, info: StreamInfo): void {
  const text = ({ rateHz, channels }: StreamInfo) =>
    `${channels.length} channels (${channels.map(({ label }) => label).join(' ')}) at ${rateHz} Hz`;
  if (text(known) === text(info)) return;
  throw new EegError('EEG_STREAM_FORMAT_CHANGED', `expected ${text(known)}, got ${text(info)}`);
}
