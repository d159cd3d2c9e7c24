/**
 * A foreign LSL peer: real liblsl in a process of its own, told what to do over IPC by
 * `liblsl-process.ts`. It runs in a folder with an `lsl_api.cfg` that keeps it on 127.0.0.1.
 */
import koffi from 'koffi';
import {
  bindLiblsl,
  findLiblsl,
  type Handle,
  liblslFormats,
  takeBytes,
  takeText,
} from './liblsl-binding.js';

export type FormatName = keyof typeof liblslFormats;

export interface PeerOutlet {
  readonly name: string;
  readonly type: string;
  readonly channels: number;
  readonly rateHz: number;
  readonly format: FormatName;
  readonly sourceId: string;
  readonly labels?: readonly string[];
  readonly unit?: string;
  readonly chunkSamples?: number;
}

export interface PeerRequest {
  readonly id: number;
  readonly method: keyof typeof methods;
  readonly args: readonly unknown[];
}

// liblsl of 2014 looks for its settings in the working directory only.
process.chdir(process.argv[2] ?? '.');
const path = findLiblsl();
if (path === undefined) throw new Error('no liblsl for this machine');
const lib = bindLiblsl(path);

const outlets: { handle: Handle; format: FormatName; channels: number }[] = [];
const inlets: { handle: Handle; format: FormatName; channels: number }[] = [];
const timers = new Map<number, NodeJS.Timeout>();

function makeOutlet(spec: PeerOutlet): number {
  const code = liblslFormats[spec.format].code;
  const info = lib.createInfo(
    spec.name,
    spec.type,
    spec.channels,
    spec.rateHz,
    code,
    spec.sourceId,
  );
  const desc = lib.getDesc(info);
  lib.appendValue(desc, 'manufacturer', 'liblsl peer');
  const channels = lib.appendChild(desc, 'channels');
  for (const label of spec.labels ?? []) {
    const channel = lib.appendChild(channels, 'channel');
    lib.appendValue(channel, 'label', label);
    lib.appendValue(channel, 'unit', spec.unit ?? 'microvolts');
    lib.appendValue(channel, 'type', 'EEG');
  }
  const handle = lib.createOutlet(info, spec.chunkSamples ?? 0, 360);
  return outlets.push({ handle, format: spec.format, channels: spec.channels }) - 1;
}

function push(index: number, values: unknown, stamp: number): void {
  const one = outlets[index];
  if (one === undefined) throw new Error(`no outlet ${index}`);
  if (one.format === 'string') {
    pushStrings(one.handle, values as string[], stamp);
    return;
  }
  const data = values as Float64Array;
  lib.push[liblslFormats[one.format].letter]?.(one.handle, data, data.length, stamp, 1);
}

function pushStrings(handle: Handle, values: readonly string[], stamp: number): void {
  const buffers = values.map((one) => Buffer.from(one, 'utf8'));
  const pointers = BigUint64Array.from(buffers, (one) =>
    BigInt(koffi.address(one.length > 0 ? one : Buffer.alloc(1))),
  );
  const lengths = Uint32Array.from(buffers, (one) => one.length);
  lib.pushBuffers(handle, pointers, lengths, stamp, 1);
}

/** Sends a counter (channel k carries `counter + k`) at the rate until stopped or destroyed. */
function stream(index: number, rateHz: number, chunk: number, fromS = lib.localClock()): void {
  const one = outlets[index];
  if (one === undefined) throw new Error(`no outlet ${index}`);
  let counter = 0;
  const Values = liblslFormats[one.format].array as Float64ArrayConstructor;
  const tick = () => {
    const due = Math.floor((lib.localClock() - fromS) * rateHz);
    while (counter + chunk <= due) {
      const values = new Values(chunk * one.channels);
      for (let i = 0; i < chunk; i++)
        for (let k = 0; k < one.channels; k++) values[i * one.channels + k] = counter + i + k;
      counter += chunk;
      push(index, values, fromS + (counter - 1) / rateHz);
    }
  };
  timers.set(index, setInterval(tick, 2));
}

function resolve(property: string, value: string, minimum: number, timeoutS: number): unknown[] {
  const out = new BigUint64Array(64);
  const count =
    property === ''
      ? lib.resolveByPredicate(out, 64, value, minimum, timeoutS)
      : lib.resolveByProperty(out, 64, property, value, minimum, timeoutS);
  return [...out.subarray(0, count)].map((handle) => ({
    handle,
    xml: takeText(lib, lib.getXml(handle)),
  }));
}

function openInlet(info: bigint, format: FormatName, channels: number): number {
  const handle = lib.createInlet(info, 360, 0, 1);
  const ec = new Int32Array(1);
  lib.openStream(handle, 5, ec);
  if (ec[0] !== 0) throw new Error(`open_stream gave ${ec[0]}`);
  return inlets.push({ handle, format, channels }) - 1;
}

/** Pull until `frames` are there or the time is over. */
function pull(index: number, frames: number, timeoutS: number): unknown {
  const one = inlets[index];
  if (one === undefined) throw new Error(`no inlet ${index}`);
  const until = lib.localClock() + timeoutS;
  const ec = new Int32Array(1);
  if (one.format === 'string') return pullStrings(one.handle, one.channels, frames, until);
  const { letter, array } = liblslFormats[one.format];
  const Values = array as Float64ArrayConstructor;
  const values = new Values(frames * one.channels);
  const stamps = new Float64Array(frames);
  let got = 0;
  while (got < frames * one.channels && lib.localClock() < until) {
    const rest = values.subarray(got);
    const at = stamps.subarray(got / one.channels);
    got += Number(lib.pull[letter]?.(one.handle, rest, at, rest.length, at.length, 0.02, ec));
    if (ec[0] !== 0) throw new Error(`pull_chunk gave ${ec[0]}`);
  }
  return { values: values.slice(0, got), stamps: stamps.slice(0, got / one.channels) };
}

function pullStrings(handle: Handle, channels: number, frames: number, until: number): unknown {
  const values: string[] = [];
  const stamps: number[] = [];
  const ec = new Int32Array(1);
  while (stamps.length < frames && lib.localClock() < until) {
    const pointers = new BigUint64Array(channels);
    const lengths = new Uint32Array(channels);
    const stamp = lib.pullBuffers(handle, pointers, lengths, channels, 0.05, ec);
    if (stamp === 0) continue;
    stamps.push(stamp);
    for (let k = 0; k < channels; k++)
      values.push(takeBytes(lib, pointers[k], lengths[k] ?? 0).toString('utf8'));
  }
  return { values, stamps: Float64Array.from(stamps) };
}

const methods = {
  version: () => lib.version(),
  localClock: () => lib.localClock(),
  makeOutlet,
  push,
  stream,
  stopStream: (index: number) => clearInterval(timers.get(index)),
  closeOutlet: (index: number) => {
    clearInterval(timers.get(index));
    lib.destroyOutlet(outlets[index]?.handle);
  },
  hasConsumers: (index: number) => lib.haveConsumers(outlets[index]?.handle) !== 0,
  outletXml: (index: number) => takeText(lib, lib.getXml(lib.outletInfo(outlets[index]?.handle))),
  resolve,
  openInlet,
  pull,
  fullInfo: (index: number) =>
    takeText(lib, lib.getXml(lib.fullInfo(inlets[index]?.handle, 5, new Int32Array(1)))),
  timeCorrection: (index: number) =>
    lib.timeCorrection(inlets[index]?.handle, 5, new Int32Array(1)),
};

process.on('message', (request: PeerRequest) => {
  const method = methods[request.method] as (...args: readonly unknown[]) => unknown;
  try {
    process.send?.({ id: request.id, value: method(...request.args) });
  } catch (error) {
    process.send?.({ id: request.id, error: String(error) });
  }
});
process.on('disconnect', () => process.exit(0));
process.send?.({ id: 0 });
