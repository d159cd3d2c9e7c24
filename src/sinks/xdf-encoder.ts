/**
 * XDF 1.0 (sccn/xdf wiki). Several streams in one file: the signal of each stream with every stamp
 * written out, its markers and its gaps, and one stream per task for predictions. Every chunk is
 * whole by itself, and boundary chunks let a reader find its feet after damage: the file can be
 * read up to where it ends.
 */
import type { Prediction, TaskEvent } from '../core/events.js';
import type { Chunk, Marker, StreamInfo } from '../core/stream.js';
import { boundaryUuid, xdfTag } from '../formats/xdf-chunks.js';
import { gapsType, gapText } from '../formats/xdf-gaps.js';
import { escapeXml } from '../formats/xml.js';
import type { RecordingEncoder, Write } from './encoder.js';

const offsetEveryS = 5;
const boundaryEveryS = 10;

interface StreamOut {
  readonly id: number;
  firstS: number;
  lastS: number;
  samples: number;
  readonly offsets: [timeS: number, offsetS: number][];
}

interface SignalOut extends StreamOut {
  readonly info: StreamInfo;
  readonly markers: StreamOut;
  readonly gaps: StreamOut;
  nextIndex: number | undefined;
}

type Format = 'float32' | 'string';

export class XdfEncoder implements RecordingEncoder {
  readonly #startWallMs: number;
  readonly #infos: readonly StreamInfo[];
  readonly #signals = new Map<string, SignalOut>();
  readonly #tasks = new Map<string, StreamOut>();
  readonly #all: StreamOut[] = [];
  #offsetsAtS = -Infinity;
  #boundaryAtS = -Infinity;

  constructor(streams: readonly StreamInfo[], startWallMs: number) {
    this.#infos = streams;
    this.#startWallMs = startWallMs;
  }

  begin(): Write[] {
    const datetime = new Date(this.#startWallMs).toISOString();
    const header = `<?xml version="1.0"?><info><version>1.0</version><datetime>${datetime}</datetime></info>`;
    const append: Buffer[] = [
      Buffer.from('XDF:'),
      chunkBytes(xdfTag.fileHeader, Buffer.from(header)),
    ];
    for (const info of this.#infos) {
      const out = this.#stream();
      const name = info.name;
      const type = info.channels.some(({ kind }) => kind === 'eeg') ? 'EEG' : 'Signal';
      const described = { name, type, format: 'float32' as Format, rateHz: info.rateHz };
      const source = info.sourceId ?? info.id;
      append.push(
        this.#header(
          out,
          { ...described, channels: info.channels.length, source },
          signalDesc(info),
        ),
      );
      const side = (suffix: string, sideType: string) => {
        const made = this.#stream();
        const about = { name: `${name} ${suffix}`, type: sideType, rateHz: 0, channels: 1 };
        const format: Format = 'string';
        append.push(this.#header(made, { ...about, format, source: `${source}-${suffix}` }, ''));
        return made;
      };
      const markers = side('markers', 'Markers');
      const gaps = side('gaps', gapsType);
      this.#signals.set(info.id, Object.assign(out, { info, markers, gaps, nextIndex: undefined }));
    }
    return writes(append);
  }

  chunk(stream: string, chunk: Chunk, stamps: Float64Array): Write[] {
    const out = this.#signals.get(stream);
    if (out === undefined || chunk.frames === 0) return [];
    const append: Buffer[] = [];
    const missing = chunk.index - (out.nextIndex ?? chunk.index);
    out.nextIndex = chunk.index + chunk.frames;
    if (missing > 0) {
      const text = gapText(out.id, { frame: out.samples, missing });
      append.push(textSample(out.gaps, stamps[0] as number, text));
    }
    append.push(numericSamples(out, stamps, chunk.data, out.info.channels.length));
    return writes(append);
  }

  marker(stream: string, marker: Marker): Write[] {
    const out = this.#signals.get(stream);
    if (out === undefined) return [];
    return writes([textSample(out.markers, marker.stampS, marker.text)]);
  }

  /** One channel a class, stamped with the window's end; NaN-free, for they are probabilities. */
  prediction(prediction: Prediction): Write[] {
    const { stream, task, probabilities, windowEndS } = prediction;
    const signal = this.#signals.get(stream);
    if (signal === undefined) return [];
    const classes = Object.keys(probabilities).sort();
    const key = [stream, task, prediction.checkpoint, ...classes].join('\n');
    const append: Buffer[] = [];
    let out = this.#tasks.get(key);
    if (out === undefined) {
      out = this.#stream();
      this.#tasks.set(key, out);
      const about = { name: `${signal.info.name} ${task}`, type: 'Prediction', rateHz: 0 };
      const source = `${signal.info.sourceId ?? stream}-${task}-${prediction.checkpoint}`;
      const shape = { format: 'float32' as Format, channels: classes.length, source };
      append.push(this.#header(out, { ...about, ...shape }, predictionDesc(prediction, classes)));
    }
    const row = Float32Array.from(classes, (name) => probabilities[name] ?? Number.NaN);
    append.push(numericSamples(out, Float64Array.of(windowEndS), row, classes.length));
    return writes(append);
  }

  event(event: TaskEvent): Write[] {
    const { stream, stampS, task, label, phase } = event;
    return this.marker(stream, { stampS, text: `${task} ${label} ${phase}` });
  }

  /** Stamps are in this machine's clock already, so every measured offset is 0. */
  tick(nowS: number): Write[] {
    const append: Buffer[] = [];
    if (nowS - this.#offsetsAtS >= offsetEveryS) {
      this.#offsetsAtS = nowS;
      for (const out of this.#all) {
        out.offsets.push([nowS, 0]);
        const bytes = Buffer.alloc(20);
        bytes.writeUInt32LE(out.id, 0);
        bytes.writeDoubleLE(nowS, 4);
        append.push(chunkBytes(xdfTag.clockOffset, bytes));
      }
    }
    if (nowS - this.#boundaryAtS >= boundaryEveryS) {
      this.#boundaryAtS = nowS;
      append.push(chunkBytes(xdfTag.boundary, boundaryUuid));
    }
    return writes(append);
  }

  end(): Write[] {
    return writes(
      this.#all.map((out) => {
        const offsets = out.offsets.map(
          ([time, value]) => `<offset><time>${time}</time><value>${value}</value></offset>`,
        );
        const xml =
          `<?xml version="1.0"?><info><first_timestamp>${out.firstS}</first_timestamp>` +
          `<last_timestamp>${out.lastS}</last_timestamp><sample_count>${out.samples}` +
          `</sample_count><clock_offsets>${offsets.join('')}</clock_offsets></info>`;
        return chunkBytes(xdfTag.streamFooter, withId(out.id, Buffer.from(xml)));
      }),
    );
  }

  #stream(): StreamOut {
    const out = { id: this.#all.length + 1, firstS: 0, lastS: 0, samples: 0, offsets: [] };
    this.#all.push(out);
    return out;
  }

  #header(
    out: StreamOut,
    about: {
      name: string;
      type: string;
      format: Format;
      rateHz: number;
      channels: number;
      source: string;
    },
    desc: string,
  ): Buffer {
    const xml =
      `<?xml version="1.0"?><info><name>${escapeXml(about.name)}</name><type>${about.type}</type>` +
      `<channel_count>${about.channels}</channel_count><nominal_srate>${about.rateHz}` +
      `</nominal_srate><channel_format>${about.format}</channel_format>` +
      `<source_id>${escapeXml(about.source)}</source_id><version>1.1</version>` +
      `<created_at>0</created_at><uid>${escapeXml(about.source)}-${this.#startWallMs}</uid>` +
      `<session_id>default</session_id><desc>${desc}</desc></info>`;
    return chunkBytes(xdfTag.streamHeader, withId(out.id, Buffer.from(xml)));
  }
}

const writes = (parts: readonly Buffer[]): Write[] => parts.map((bytes) => ({ bytes }));

function signalDesc(info: StreamInfo): string {
  const channels = info.channels.map(({ label, unit, kind, position }) => {
    const place = position?.map((v, i) => `<${'XYZ'[i]}>${v}</${'XYZ'[i]}>`).join('') ?? '';
    const where = place === '' ? '' : `<location>${place}</location>`;
    const spelled = unit === 'uV' ? 'microvolts' : escapeXml(unit);
    const type = kind === 'accel' ? 'ACC' : kind.toUpperCase();
    return (
      `<channel><label>${escapeXml(label)}</label><unit>${spelled}</unit>` +
      `<type>${type}</type>${where}</channel>`
    );
  });
  const maker = escapeXml(info.manufacturer ?? '');
  return `<channels>${channels.join('')}</channels><manufacturer>${maker}</manufacturer>`;
}

function predictionDesc(prediction: Prediction, classes: readonly string[]): string {
  const channels = classes.map(
    (name) =>
      `<channel><label>${escapeXml(name)}</label><unit>probability</unit>` +
      '<type>Prediction</type></channel>',
  );
  return (
    `<channels>${channels.join('')}</channels><task>${escapeXml(prediction.task)}</task>` +
    `<checkpoint>${escapeXml(prediction.checkpoint)}</checkpoint>` +
    `<trained>${prediction.trained}</trained>`
  );
}

function chunkBytes(tag: number, content: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(7 + content.length);
  bytes.writeUInt8(4, 0);
  bytes.writeUInt32LE(content.length + 2, 1);
  bytes.writeUInt16LE(tag, 5);
  content.copy(bytes, 7);
  return bytes;
}

function withId(id: number, content: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(4 + content.length);
  bytes.writeUInt32LE(id, 0);
  content.copy(bytes, 4);
  return bytes;
}

function count(out: StreamOut, stamps: Float64Array): void {
  if (out.samples === 0) out.firstS = stamps[0] ?? 0;
  out.lastS = stamps.at(-1) ?? out.lastS;
  out.samples += stamps.length;
}

function numericSamples(
  out: StreamOut,
  stamps: Float64Array,
  data: Float32Array,
  channels: number,
): Buffer {
  count(out, stamps);
  const content = Buffer.allocUnsafe(9 + stamps.length * (9 + channels * 4));
  content.writeUInt32LE(out.id, 0);
  content.writeUInt8(4, 4);
  content.writeUInt32LE(stamps.length, 5);
  let at = 9;
  for (let i = 0; i < stamps.length; i++) {
    content.writeUInt8(8, at);
    content.writeDoubleLE(stamps[i] as number, at + 1);
    at += 9;
    for (let c = 0; c < channels; c++, at += 4) {
      content.writeFloatLE(data[i * channels + c] as number, at);
    }
  }
  return chunkBytes(xdfTag.samples, content);
}

function textSample(out: StreamOut, stampS: number, text: string): Buffer {
  count(out, Float64Array.of(stampS));
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(20);
  head.writeUInt32LE(out.id, 0);
  head.writeUInt8(1, 4);
  head.writeUInt8(1, 5);
  head.writeUInt8(8, 6);
  head.writeDoubleLE(stampS, 7);
  head.writeUInt8(4, 15);
  head.writeUInt32LE(bytes.length, 16);
  return chunkBytes(xdfTag.samples, Buffer.concat([head, bytes]));
}
