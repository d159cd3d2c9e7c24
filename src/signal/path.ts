/**
 * The signal path of one stream: driver events in, conditioned 200 Hz blocks out, and a ring of
 * them for windows. The same object conditions live streams and replays recordings for training;
 * what it emits depends on samples, indices and gaps only, never on how they were cut into chunks
 * nor (stamps apart) on when they arrived.
 */
import { EegError } from '../core/errors.js';
import type { ChannelQuality } from '../core/events.js';
import {
  type ChannelInfo,
  type Chunk,
  type DriverEvent,
  type GapReason,
  isReplayed,
  type StreamInfo,
} from '../core/stream.js';
import { gridSamples, modelRateHz, patchSamples } from '../core/tasks.js';
import { RunningCovariance } from './alignment.js';
import type { ConditionedBlock } from './block.js';
import { SampleClock } from './clock.js';
import { Conditioner, type Mains, type StepOutput } from './conditioner.js';
import { electrodePositions } from './electrodes.js';
import { holdS } from './intake.js';
import { isUsable, judge, type LineGains, MainsDetector } from './quality.js';
import { SignalRing } from './ring.js';
import { RunningScale } from './scale.js';
import { lineHz, recordLength, sums, Tally, ticksPerSecond } from './tally.js';

export const rateHzMin = 50;
export const rateHzMax = 16_000;
/** Longer holes are leapt over: there are no blocks for the middle of them. */
const filledMaxS = 60;
/** A hole longer than this is a lie or another recording: a year at 1 kHz. */
const missingMax = 2 ** 35;

export interface SignalPathOptions {
  /** `auto` notches both until 8 s were seen, then what is there. Default auto. */
  readonly mainsHz?: 50 | 60 | 'auto' | 'none';
  /** Seconds the ring holds, default 60; Infinity keeps the whole recording. */
  readonly ringSeconds?: number;
  /** Mean covariances to remember, one each 10 s. Default: as many as a live ring needs. */
  readonly referencesKept?: number;
}

export class SignalPath {
  /** The EEG channels, in the stream's order: the channels of everything that comes out. */
  readonly channels: readonly ChannelInfo[];
  /** `[channels, 6]`: unit-sphere xyz of the active and of the reference electrode. */
  readonly electrodes: Float32Array;
  readonly ring: SignalRing;
  /** What is known of how the channels go together; for aligning them. */
  readonly covariance: RunningCovariance;
  /** What the filters delay the signal by (at 10 Hz); already taken off every stamp. */
  readonly groupDelayS: number;

  readonly #info: StreamInfo;
  readonly #conditioner: Conditioner;
  readonly #clock: SampleClock;
  readonly #scale: RunningScale;
  readonly #scales: Float32Array;
  /** Room for the last whole second. */
  readonly #patches: Float32Array;
  readonly #mask: Float32Array;
  readonly #gains: LineGains;
  #detector: MainsDetector | undefined;
  /** The ticks of the last second, oldest first. */
  #second: Tally[] = [];
  #lost = 0;
  /** Frames a gap event announced that no chunk index has counted yet. */
  #announced = 0;
  /** Frames of gaps that a replay has: nothing was lost there. */
  #replayed = 0;
  /** Added to `Chunk.index`: the first frame received is 0, and reconnects go on counting. */
  #base: number | undefined;
  #reconnected = false;

  constructor(info: StreamInfo, options: SignalPathOptions = {}) {
    const { mainsHz = 'auto', ringSeconds = 60, referencesKept } = options;
    requireRate(info);
    this.#info = info;
    const places = info.channels.flatMap((channel, i) => (channel.kind === 'eeg' ? [i] : []));
    if (places.length === 0) {
      const message = `expected at least one EEG channel in ${info.id}, got none`;
      throw new EegError('EEG_STREAM_FORMAT', message);
    }
    this.channels = places.map((place) => info.channels[place]);
    const raw = this.channels.map((channel, c) => rawChannel(channel, places[c]));
    const mains: Mains = mainsHz === 'auto' ? 'undecided' : mainsHz;
    this.#conditioner = new Conditioner(info.rateHz, info.channels.length, raw, mains);
    this.groupDelayS = this.#conditioner.groupDelayS;
    this.electrodes = electrodePositions(info);
    this.ring = new SignalRing(this.channels.length, ringSeconds);
    this.covariance = new RunningCovariance(this.channels.length, referencesKept);
    this.#patches = new Float32Array(this.channels.length * patchSamples);
    this.#mask = new Float32Array(this.channels.length);
    this.#clock = new SampleClock(info.rateHz);
    this.#scale = new RunningScale(this.channels.length);
    this.#scales = new Float32Array(this.channels.length);
    this.#gains = lineHz.map((hz) => this.#lineGain(hz));
    if (mainsHz === 'auto') this.#detector = new MainsDetector(this.#gains);
  }

  get info(): StreamInfo {
    return this.#info;
  }

  /** Estimated from stamps or arrivals; 0 until 2 s were seen. */
  get rateHz(): number {
    return this.#clock.rateHz;
  }

  /** Source frames the device made and that never came. */
  get lostSamples(): number {
    return this.#lost + this.#announced - this.#replayed;
  }

  /** Source frames seen, lost ones included. */
  get samples(): number {
    return this.#conditioner.source;
  }

  /** The notches at work: both while `undecided`. */
  get mains(): Mains {
    return this.#conditioner.mains;
  }

  /**
   * Take one driver event. Blocks come in order and never cross a grid tick; a hole longer than
   * a minute is leapt over without blocks. Throws `EEG_DEVICE_PROTOCOL` at a chunk that cannot be.
   */
  push(event: DriverEvent): ConditionedBlock[] {
    if (event.kind === 'info') this.#reconnected = this.#base !== undefined;
    if (event.kind === 'gap') this.#announce(event.missing, event.reason);
    return event.kind === 'chunk' ? this.#pushChunk(event.chunk) : [];
  }

  /** Every channel over the last whole grid second. */
  quality(): ChannelQuality[] {
    return this.channels.map((channel, c) => judge(this.#second, c, channel.label, this.#gains));
  }

  /** LSL seconds of a grid index, dejittered, the filters' delay taken off. */
  stampS(index: number): number {
    return this.#clock.at(this.#position(index)) - this.groupDelayS;
  }

  /** `Chunk.index` of the frame that a grid index is about; undefined before the first chunk. */
  frameAt(index: number): number | undefined {
    if (this.#base === undefined) return undefined;
    const delay = this.groupDelayS * this.#info.rateHz;
    return Math.max(0, Math.round(this.#position(index) - delay)) - this.#base;
  }

  #announce(missing: number, reason: GapReason): void {
    if (missing <= 0) return;
    this.#announced += missing;
    if (isReplayed(reason)) this.#replayed += missing;
  }

  #pushChunk(chunk: Chunk): ConditionedBlock[] {
    this.#requireChunk(chunk);
    if (chunk.frames === 0) return [];
    const index = this.#place(chunk);
    const known = Math.max(0, this.#conditioner.source - index);
    if (known >= chunk.frames) return [];
    this.#observe(chunk, index);
    const blocks: ConditionedBlock[] = [];
    this.#bridge(index - this.#conditioner.source, chunk.arrivalS, blocks);
    for (let from = known; from < chunk.frames || this.#conditioner.waiting; ) {
      const frames = Math.min(this.#conditioner.room, chunk.frames - from);
      this.#keep(this.#conditioner.step(chunk.data, from, frames), chunk.arrivalS, blocks);
      from += frames;
    }
    return blocks;
  }

  /** The chunk's index on our count, where the first frame received is 0. */
  #place(chunk: Chunk): number {
    const announced = this.#announced;
    this.#announced = 0;
    this.#base ??= announced > 0 && chunk.index === announced ? 0 : -chunk.index;
    const next = this.#conditioner.source;
    const restarted = this.#reconnected && chunk.index + this.#base < next;
    this.#reconnected = false;
    if (restarted) this.#base = next + announced - chunk.index;
    const index = chunk.index + this.#base;
    if (index > next + missingMax) {
      const message = `expected ${this.#info.id} to go on near sample ${next}, got ${index}`;
      throw new EegError('EEG_DEVICE_PROTOCOL', message);
    }
    this.#lost += Math.max(0, index - next);
    return index;
  }

  /** Count `missing` frames through on the grid. */
  #bridge(missing: number, arrivalS: number, blocks: ConditionedBlock[]): void {
    const conditioner = this.#conditioner;
    const end = conditioner.source + missing;
    const short = missing <= holdS * this.#info.rateHz;
    while (conditioner.source < end || conditioner.waiting) {
      const frames = Math.min(conditioner.room, end - conditioner.source);
      const output = short ? conditioner.step(null, 0, frames) : conditioner.skip(frames);
      this.#keep(output, arrivalS, blocks);
      if (!short && conditioner.next % gridSamples === 0) this.#leapTowards(end);
    }
  }

  #leapTowards(source: number): void {
    const { next, resampler } = this.#conditioner;
    const target = resampler.firstAfter(source);
    const tick = target - (target % gridSamples) - gridSamples;
    if (tick - next > filledMaxS * modelRateHz) this.#conditioner.leap(tick);
  }

  #keep(output: StepOutput, arrivalS: number, blocks: ConditionedBlock[]): void {
    if (output.samples === 0) return;
    this.ring.write(output);
    const { index, samples, data, valid } = output;
    const end = index + samples;
    if (end % gridSamples === 0) this.#closeTick(end / gridSamples - 1);
    const stampS = this.#clock.stamp(this.#position(index)) - this.groupDelayS;
    const channels = this.channels.length;
    blocks.push({ index, samples, channels, data, valid, stampS, arrivalS });
  }

  #closeTick(tick: number): void {
    const tally = this.#conditioner.tally;
    const spare = this.#second.length === ticksPerSecond ? this.#second.shift() : undefined;
    this.#second.push(tally);
    for (let c = 0; c < this.channels.length; c++) {
      const usable = isUsable(this.#second, c);
      const valid = usable ? tally.sums[c * recordLength + sums.valid] : 0;
      const absolute = tally.sums[c * recordLength + sums.absolute];
      const scale = this.#scale.update(c, absolute, valid);
      this.#scales[c] = usable ? scale : 0;
    }
    this.ring.closeTick(tick, this.#scales);
    if ((tick + 1) % ticksPerSecond === 0) this.#closeSecond((tick + 1) * gridSamples);
    spare?.sums.fill(0);
    this.#conditioner.tally = spare ?? new Tally(this.channels.length);
  }

  #closeSecond(end: number): void {
    this.#decideMains();
    if (this.ring.patches(end, this.#patches, this.#mask) > 0)
      this.covariance.update(end, this.#patches, this.#mask);
  }

  #decideMains(): void {
    const mains = this.#detector?.add(this.#second, this.channels.length);
    if (mains === undefined) return;
    this.#conditioner.mains = mains;
    this.#detector = undefined;
  }

  #observe(chunk: Chunk, index: number): void {
    const { frames, stamps, arrivalS } = chunk;
    if (stamps !== undefined) this.#clock.observeStamps(index, frames, stamps);
    else this.#clock.observeArrival(index + frames, frames, arrivalS);
  }

  /** Source position of a grid index, in samples. */
  #position(index: number): number {
    const { step, phases } = this.#conditioner.resampler;
    return (index * step) / phases;
  }

  #lineGain(hz: number): number {
    const gain = this.#conditioner.resampler.gain(hz);
    return hz < this.#info.rateHz / 2 && gain > 0.1 ? gain * gain : 0;
  }

  #requireChunk(chunk: Chunk): void {
    const values = chunk.frames * this.#info.channels.length;
    const whole = Number.isSafeInteger(chunk.index) && chunk.index >= 0;
    const stamped = chunk.stamps === undefined || chunk.stamps.length >= chunk.frames;
    if (whole && stamped && chunk.data.length === values) return;
    const got = `index ${chunk.index}, ${chunk.data.length} values`;
    const message = `expected ${values} values from a whole index in ${this.#info.id}, got ${got}`;
    throw new EegError('EEG_DEVICE_PROTOCOL', message);
  }
}

/** Replay a whole recording: the path whose ring then holds all of it. */
export function conditionRecording(
  info: StreamInfo,
  events: Iterable<DriverEvent>,
  options: SignalPathOptions = {},
): SignalPath {
  const path = new SignalPath(info, { ...options, ringSeconds: Number.POSITIVE_INFINITY });
  for (const event of events) path.push(event);
  return path;
}

function rawChannel(channel: ChannelInfo, place: number) {
  const gain = toMicrovolts(channel.unit);
  const full = (channel.fullScale ?? Number.POSITIVE_INFINITY) * gain;
  return { place, gain, railUv: full > 0 ? 0.99 * full : Number.POSITIVE_INFINITY };
}

/** Drivers deliver microvolts; a stream that says otherwise is believed. */
function toMicrovolts(unit: string): number {
  if (/^(n|nano)v/i.test(unit)) return 1e-3;
  if (/^(mv|milli)/i.test(unit)) return 1e3;
  if (/^v(olts?)?$/i.test(unit)) return 1e6;
  return 1;
}

function requireRate(info: StreamInfo): void {
  if (info.rateHz >= rateHzMin && info.rateHz <= rateHzMax) return;
  const expected = `${rateHzMin} to ${rateHzMax} Hz`;
  const message = `expected a sampling rate of ${expected} in ${info.id}, got ${info.rateHz} Hz`;
  throw new EegError('EEG_STREAM_FORMAT', message);
}
