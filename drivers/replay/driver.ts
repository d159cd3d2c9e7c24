/**
 * A recording as a live stream. Stream time runs as recorded: gaps of the file are gaps of the
 * stream, annotations are markers at their time. A loop is seen as a pause of `seamS` seconds (a
 * gap of reason `seek`): the index counts on, and nothing is filtered or windowed across the seam.
 */
import type { Observable } from 'rxjs';
import { EegError } from '../../src/core/errors.js';
import type { DriverEvent, StreamInfo } from '../../src/core/stream.js';
import { type Clock, systemClock } from '../../src/core/time.js';
import { openRecording, type Recording } from '../../src/formats/recording.js';
import type { Driver } from '../driver.js';
import { type PacedSource, type PacedStep, pace, streamId } from '../pace.js';

export interface ReplayOptions {
  readonly path: string;
  /** 1 = real time (default), N = N times real time, Infinity = as fast as the consumer takes. */
  readonly speed?: number;
  readonly loop?: boolean;
  /** Pause between two runs of a loop, s. */
  readonly seamS?: number;
  /** Seconds of signal in a chunk. */
  readonly chunkS?: number;
  /** Awaited before every chunk. */
  readonly ready?: () => Promise<void>;
  readonly clock?: Clock;
  /** Stream id; default from the file's name. */
  readonly id?: string;
  /** XDF: which stream of the file. */
  readonly stream?: string;
  /** Read a cut-off copy as far as it goes. */
  readonly lengthFromSize?: boolean;
}

/**
 * Stamps are `start + index / rateHz`, whatever the speed: faster than real time they run ahead
 * of the clock, as they must for the signal path to see the recorded rate.
 */
export class ReplayDriver implements Driver {
  readonly #options: ReplayOptions;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /** Errors with EEG_FILE_NOT_FOUND, EEG_FILE_FORMAT, EEG_FILE_EMPTY or EEG_USAGE (speed). */
  open(signal: AbortSignal): Observable<DriverEvent> {
    const { speed = 1, clock = systemClock, ready } = this.#options;
    const source = (): Promise<PacedSource> => openSource(this.#options, speed);
    return pace(source, signal, { clock, speed, ...(ready === undefined ? {} : { ready }) });
  }
}

async function openSource(options: ReplayOptions, speed: number): Promise<PacedSource> {
  if (!(speed > 0)) {
    throw new EegError('EEG_USAGE', `replay speed: expected more than 0, came ${speed}`);
  }
  const recording = await openRecording(options.path, {
    ...(options.stream === undefined ? {} : { stream: options.stream }),
    ...(options.lengthFromSize === undefined ? {} : { lengthFromSize: options.lengthFromSize }),
  });
  if (recording.frames === 0) {
    recording.close();
    const message = `${recording.name}: expected signals to replay, came annotations only`;
    throw new EegError('EEG_FILE_EMPTY', message);
  }
  return {
    steps: (startS) => replay(recording, options, startS),
    close: () => recording.close(),
  };
}

function* replay(
  recording: Recording,
  options: ReplayOptions,
  startS: number,
): Generator<PacedStep> {
  const { rateHz } = recording;
  yield {
    dueS: 0,
    events: () => [
      { kind: 'info', info: describe(recording, options) },
      { kind: 'status', state: 'streaming', detail: recording.notes.join('; ') },
    ],
  };
  const seam = Math.max(1, Math.round((options.seamS ?? 1) * rateHz));
  let index = 0;
  do {
    index = yield* once(recording, options, startS, index);
    if (options.loop === true) {
      yield step(index / rateHz, { kind: 'gap', missing: seam, reason: 'seek' });
      index += seam;
    }
  } while (options.loop === true);
  yield step(index / rateHz, { kind: 'status', state: 'ended' });
}

/** One run from the stream's `base` index on; returns the index after it. */
function* once(
  recording: Recording,
  options: ReplayOptions,
  startS: number,
  base: number,
): Generator<PacedStep, number> {
  const { rateHz, annotations, frames } = recording;
  const size = Math.max(1, Math.round((options.chunkS ?? 0.04) * rateHz));
  let marker = 0;
  /** Markers whose time has come when the run has reached `offset` frames. */
  function markersBefore(offset: number): DriverEvent[] {
    const events: DriverEvent[] = [];
    for (; marker < annotations.length; marker++) {
      const annotation = annotations[marker];
      if (annotation === undefined || annotation.onsetS >= offset / rateHz) break;
      const { onsetS, durationS, text } = annotation;
      const stampS = startS + base / rateHz + onsetS;
      events.push({ kind: 'marker', marker: { stampS, text, durationS } });
    }
    return events;
  }
  let offset = 0;
  let gap = 0;
  for (let frame = 0; frame < frames; ) {
    const pending = recording.gaps[gap];
    if (pending !== undefined && pending.frame === frame) {
      const { missing } = pending;
      yield step((base + offset) / rateHz, { kind: 'gap', missing, reason: 'recorded' });
      offset += missing;
      gap++;
      continue;
    }
    const count = Math.min(size, frames - frame, (pending?.frame ?? frames) - frame);
    const index = base + offset;
    const from = frame;
    const events = markersBefore(offset + count);
    yield {
      dueS: (index + count) / rateHz,
      events(arrivalS) {
        const data = recording.read(from, count);
        const stamps = new Float64Array(count);
        for (let i = 0; i < count; i++) stamps[i] = startS + (index + i) / rateHz;
        return [
          ...events,
          { kind: 'chunk', chunk: { index, frames: count, data, stamps, arrivalS } },
        ];
      },
    };
    frame += count;
    offset += count;
  }
  const late = markersBefore(Infinity);
  yield { dueS: (base + offset) / rateHz, events: () => late };
  return base + offset;
}

const step = (dueS: number, event: DriverEvent): PacedStep => ({ dueS, events: () => [event] });

function describe(recording: Recording, options: ReplayOptions): StreamInfo {
  return {
    id: options.id ?? streamId(recording.name.replace(/\.\w+$/, '')),
    name: recording.name,
    driver: 'replay',
    rateHz: recording.rateHz,
    channels: recording.channels,
  };
}
