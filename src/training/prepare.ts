/**
 * Every recording through the live signal path, once, to disk. A prepared copy is keyed by the
 * preprocessing version and by what the samples come from, so that it is made again when either
 * changes and shared between recipes when neither does.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { EegError } from '../core/errors.js';
import type { ChannelInfo, StreamInfo } from '../core/stream.js';
import { gridSamples, patchSamples } from '../core/tasks.js';
import type { Recording } from '../formats/recording.js';
import { preprocessingVersion } from '../model/manifest.js';
import { parseElectrodes } from '../signal/electrodes.js';
import { SignalPath } from '../signal/path.js';
import { durationS } from './datasets/dataset.js';
import { partOf } from './datasets/memory-recording.js';
import { blockSamples, type PreparedHeader } from './prepared.js';
import type { PlacedRecording } from './recipe.js';

/** Raised when the files of a prepared recording change their meaning. */
const storeVersion = 1;
const chunkS = 10;
/** Annotations may outlast their recording by rounding, not by more. */
const overrunS = 2;

export interface PrepareOptions {
  readonly folder: string;
  /** Electrodes to take, by name; all where absent. */
  readonly channels?: readonly string[] | undefined;
}

export interface Prepared {
  readonly key: string;
  /** False: it was there already. */
  readonly made: boolean;
  readonly seconds: number;
}

/** @throws EEG_DATA_INVALID for missing channels and labels beyond the recording's end. */
export async function prepareRecording(
  ref: PlacedRecording,
  options: PrepareOptions,
): Promise<Prepared> {
  mkdirSync(options.folder, { recursive: true });
  const source =
    ref.path === undefined ? (ref.recipe ?? ref.id) : await hashFile(ref.path, options);
  const key = createHash('sha256')
    .update(
      JSON.stringify([
        storeVersion,
        preprocessingVersion,
        source,
        ref.range ?? null,
        ref.gain,
        options.channels ?? null,
        [...(ref.channels ?? [])],
      ]),
    )
    .digest('hex')
    .slice(0, 32);
  const header = join(options.folder, `${key}.json`);
  if (existsSync(header)) {
    const { samples } = JSON.parse(readFileSync(header, 'utf8')) as PreparedHeader;
    checkSpans(ref, samples / 200);
    return { key, made: false, seconds: samples / 200 };
  }
  const whole = await ref.open();
  try {
    const recording = partOf(whole, ref.range, ref.gain);
    checkSpans(ref, durationS(recording));
    const samples = condition(ref, recording, source, join(options.folder, key), options.channels);
    return { key, made: true, seconds: samples / 200 };
  } finally {
    whole.close();
  }
}

/** A recording that ends early: its labels would be trained on silence. */
function checkSpans(ref: PlacedRecording, lengthS: number): void {
  for (const span of ref.spans) {
    if (span.startS >= lengthS || (Number.isFinite(span.endS) && span.endS > lengthS + overrunS))
      throw new EegError(
        'EEG_DATA_INVALID',
        `${ref.set}/${ref.id}: label ${span.label} lasts until ${span.endS.toFixed(1)} s, ` +
          `but the recording ends at ${lengthS.toFixed(1)} s`,
        { hint: 'fetch the recording again, or correct its events' },
      );
  }
}

/** Returns the samples written. */
function condition(
  ref: PlacedRecording,
  recording: Recording,
  source: string,
  stem: string,
  wanted: readonly string[] | undefined,
): number {
  const info = streamInfo(ref, recording, wanted);
  const path = new SignalPath(info);
  const writer = new StoreWriter(stem, path);
  const frames = Math.max(1, Math.round(chunkS * recording.rateHz));
  let index = 0;
  let gap = 0;
  for (let from = 0; from < recording.frames; ) {
    const cut = recording.gaps[gap];
    if (cut !== undefined && cut.frame === from) {
      path.push({ kind: 'gap', missing: cut.missing, reason: 'lost' });
      index += cut.missing;
      gap++;
    }
    const next = recording.gaps[gap]?.frame ?? recording.frames;
    const count = Math.min(frames, recording.frames - from, Math.max(1, next - from));
    const data = recording.read(from, count);
    const arrivalS = (index + count) / recording.rateHz;
    path.push({ kind: 'chunk', chunk: { index, frames: count, data, arrivalS } });
    writer.takeBlocks();
    from += count;
    index += count;
  }
  const samples = writer.end();
  const header: PreparedHeader = {
    version: 1,
    preprocessing: preprocessingVersion,
    source,
    channels: path.channels.map((channel) => channel.label),
    positions: Array.from(path.electrodes),
    samples,
    sourceRateHz: recording.rateHz,
    lostSamples: path.lostSamples,
  };
  writeFileSync(`${stem}.json.part`, JSON.stringify(header));
  renameSync(`${stem}.json.part`, `${stem}.json`);
  return samples;
}

function streamInfo(
  ref: PlacedRecording,
  recording: Recording,
  wanted: readonly string[] | undefined,
): StreamInfo {
  const names = wanted?.map((name) => parseElectrodes(name).active ?? name);
  const found = new Set<string>();
  const channels = recording.channels.map((channel): ChannelInfo => {
    const note = ref.channels?.get(channel.label);
    const kind = note?.kind ?? channel.kind;
    if (kind !== 'eeg' || note?.bad === true)
      return { ...channel, kind: note?.bad ? 'misc' : kind };
    if (names === undefined) return { ...channel, kind };
    const name = parseElectrodes(channel.label).active ?? channel.label;
    if (!names.includes(name) && !wanted?.includes(channel.label))
      return { ...channel, kind: 'misc' };
    found.add(names.includes(name) ? name : channel.label);
    return { ...channel, kind };
  });
  const missing = names?.filter((name, i) => !found.has(name) && !found.has(wanted?.[i] ?? name));
  if (missing !== undefined && missing.length > 0)
    throw new EegError(
      'EEG_DATA_INVALID',
      `${ref.set}/${ref.id}: channels ${missing.join(', ')} are missing; it has ` +
        recording.channels.map((channel) => channel.label).join(', '),
    );
  return {
    id: 'prepare',
    name: `${ref.set}/${ref.id}`,
    driver: 'replay',
    rateHz: recording.rateHz,
    channels,
  };
}

/** Appends what the ring has gained since, in blocks; the tail is padded with zeros. */
class StoreWriter {
  readonly #signal: number;
  readonly #scale: number;
  readonly #path: SignalPath;
  #written = 0;

  constructor(stem: string, path: SignalPath) {
    this.#path = path;
    this.#signal = openSync(`${stem}.signal`, 'w');
    this.#scale = openSync(`${stem}.scale`, 'w');
  }

  takeBlocks(): void {
    while (this.#path.ring.nextIndex - this.#written >= blockSamples) this.#block(blockSamples);
  }

  /** Closes the files; the samples that make whole ticks. */
  end(): number {
    this.takeBlocks();
    const rest = this.#path.ring.nextIndex - this.#written;
    const whole = rest - (rest % gridSamples);
    if (whole > 0) this.#block(whole);
    closeSync(this.#signal);
    closeSync(this.#scale);
    return this.#written;
  }

  #block(samples: number): void {
    const { ring } = this.#path;
    const { channels } = ring;
    const stretch = ring.copy(this.#written, this.#written + samples);
    const data = new Float32Array(channels * blockSamples);
    for (let c = 0; c < channels; c++)
      data.set(stretch.data.subarray(c * samples, (c + 1) * samples), c * blockSamples);
    write(this.#signal, data);
    const ticks = samples / gridSamples;
    const scales = new Float32Array(ticks * channels);
    const patches = new Float32Array(channels * patchSamples);
    const mask = new Float32Array(channels);
    for (let tick = 0; tick < ticks; tick++) {
      const end = this.#written + (tick + 1) * gridSamples;
      ring.patches(end, patches, mask);
      for (let c = 0; c < channels; c++)
        scales[tick * channels + c] = mask[c] > 0 ? ring.scaleAt(c, end) : 0;
    }
    write(this.#scale, scales);
    this.#written += samples;
  }
}

function write(file: number, data: Float32Array): void {
  try {
    writeSync(file, new Uint8Array(data.buffer));
  } catch (cause) {
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new EegError(
      full ? 'EEG_STORE_NO_SPACE' : 'EEG_STORE_FAILED',
      'cannot write the prepared recording',
      { cause },
    );
  }
}

/** SHA-256 of a file, remembered by its size and time so that big sets are read once. */
async function hashFile(path: string, options: PrepareOptions): Promise<string> {
  const { size, mtimeMs } = statSync(path);
  const name = createHash('sha256').update(`${path}\n${size}\n${mtimeMs}`).digest('hex');
  const note = join(options.folder, `${name.slice(0, 32)}.sha256`);
  if (existsSync(note)) return readFileSync(note, 'utf8');
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  const digest = hash.digest('hex');
  writeFileSync(note, digest);
  return digest;
}
