/** Our inlet reads a stream of real liblsl, which runs in a process of its own. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readChannels, readManufacturer } from '../../../drivers/lsl/channels.js';
import type { SampleFormat } from '../../../drivers/lsl/formats.js';
import { Inlet } from '../../../drivers/lsl/inlet.js';
import type { InletEvent } from '../../../drivers/lsl/inlet-transport.js';
import { resolveStreams } from '../../../drivers/lsl/resolver.js';
import { TimeSync } from '../../../drivers/lsl/time-sync.js';
import { hasLiblsl, LiblslPeer, loopbackSettings, until } from '../../support/liblsl-process.js';

if (!hasLiblsl)
  process.stderr.write('SKIPPED: no liblsl for this machine, LSL is not tested against it\n');
else if (!process.env.EEGD_LIBLSL)
  process.stderr.write(
    'SKIPPED: a modern liblsl as peer: EEGD_LIBLSL=$(bash test/support/sid-liblsl.sh FOLDER)\n',
  );

const { config, text } = loopbackSettings();
let peer: LiblslPeer;

/** An inlet whose events are kept. */
function listen(sourceId: string) {
  const events: InletEvent[] = [];
  const inlet = new Inlet({ sourceId }, { config, onEvent: (event) => events.push(event) });
  inlet.start();
  const samples = () => events.flatMap((one) => (one.kind === 'samples' ? [one.samples] : []));
  return {
    inlet,
    events,
    kinds: () => [...new Set(events.map((one) => one.kind))],
    values: () => samples().flatMap((one) => Array.from(one.data as ArrayLike<unknown>)),
    stamps: () => samples().flatMap((one) => [...one.stamps]),
    opened: () => until(() => events.some((one) => one.kind === 'opened'), 'the inlet is open'),
  };
}

const cases: Record<Exclude<SampleFormat, 'string'>, (number | bigint)[]> = {
  float32: [0.5, -1.25, 2 ** -65, Number.POSITIVE_INFINITY, Number.NaN, 16777216],
  double64: [Math.PI, -1e300, 5e-324, Number.NEGATIVE_INFINITY, Number.NaN, 0.1],
  int32: [0, -1, 2147483647, -2147483648, 65536, 7],
  int16: [0, -1, 32767, -32768, 256, 7],
  int8: [0, -1, 127, -128, 1, 7],
  int64: [0n, -1n, 9223372036854775807n, -9223372036854775808n, 4294967296n, 7n],
};

const arrays = {
  float32: Float32Array,
  double64: Float64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  int64: BigInt64Array,
};

describe.skipIf(!hasLiblsl)('an inlet on a liblsl outlet', () => {
  beforeAll(async () => {
    peer = await LiblslPeer.start({ config, text });
  });
  afterAll(() => peer?.close());

  test('the peer is liblsl of protocol 1.10', async () => {
    const version = await peer.call<number>('version');
    expect(version).toBeGreaterThanOrEqual(110);
    // 110 is what the npm package has: another library was asked for, so it must not be that one.
    if (process.env.EEGD_LIBLSL) expect(version).toBeGreaterThan(110);
  });

  test.each(Object.entries(cases))('%s values and stamps arrive as sent', async (name, values) => {
    const format = name as keyof typeof cases;
    const sourceId = `in-${format}`;
    const spec = { name: `in ${format}`, type: 'EEG', channels: 3, rateHz: 100, format, sourceId };
    const outlet = await peer.makeOutlet(spec);
    const got = listen(sourceId);
    await got.opened();
    await until(() => peer.call<boolean>('hasConsumers', outlet), 'the outlet has a reader');
    const Values = arrays[format] as unknown as { from(list: (number | bigint)[]): Float64Array };
    const now = await peer.call<number>('localClock');
    await peer.call('push', outlet, Values.from(values), now);
    await until(() => got.values().length >= 6, 'both samples are here');
    expect(got.values()).toEqual([...Values.from(values)]);
    const [first = 0, second = 0] = got.stamps();
    expect(Math.abs(second - now)).toBeLessThan(0.002);
    expect(second - first).toBeCloseTo(0.01, 3);
    got.inlet.close();
  });

  test('strings arrive as sent: UTF-8, empty, 255, 256 and 70,000 bytes', async () => {
    const sourceId = 'in-string';
    const spec = { name: 'marks', type: 'Markers', channels: 2, rateHz: 0, sourceId };
    const outlet = await peer.makeOutlet({ ...spec, format: 'string' });
    const got = listen(sourceId);
    await got.opened();
    await until(() => peer.call<boolean>('hasConsumers', outlet), 'the outlet has a reader');
    const pairs = [
      ['größe µV €', ''],
      ['x'.repeat(255), 'y'.repeat(256)],
      [`${'z'.repeat(69_998)}µ`, '\u{1f9e0} <&>'],
    ];
    const from = await peer.call<number>('localClock');
    for (const [k, pair] of pairs.entries())
      await peer.call('push', outlet, pair, from + k * 0.001);
    await until(() => got.values().length >= 6, 'three samples are here');
    expect(got.values()).toEqual(pairs.flat());
    got.inlet.close();
  });

  test('metadata is read in full', async () => {
    const sourceId = 'in-meta';
    const labels = ['Fp1', 'Größe µ', '<&>'];
    const spec = { name: 'Größe €', type: 'EEG', channels: 3, rateHz: 250, labels, unit: 'uV' };
    await peer.makeOutlet({ ...spec, format: 'float32', sourceId });
    const got = listen(sourceId);
    await got.opened();
    const opened = got.events.find((one) => one.kind === 'opened');
    const info = opened?.kind === 'opened' ? opened.info : expect.fail('not opened');
    expect(info).toMatchObject({ name: 'Größe €', type: 'EEG', rateHz: 250, version: 110 });
    expect(readChannels(info).map((one) => one.label)).toEqual(labels);
    expect(readChannels(info)[0]).toMatchObject({ unit: 'uV', type: 'EEG' });
    expect(readManufacturer(info)).toBe('liblsl peer');
    got.inlet.close();
  });

  test('streams are found by name, type and predicate', async () => {
    const spec = { name: 'found', type: 'Odd', channels: 7, rateHz: 10, format: 'int8' } as const;
    await peer.makeOutlet({ ...spec, sourceId: 'found-1' });
    for (const selector of [
      { name: 'found' },
      { type: 'Odd' },
      { sourceId: 'found-1' },
      { predicate: "channel_count>6 and starts-with(name,'fou')" },
      { predicate: 'nominal_srate=10' },
    ]) {
      const [one] = await resolveStreams(selector, { config, minimum: 1, timeoutMs: 5000 });
      expect(one?.sourceId, JSON.stringify(selector)).toBe('found-1');
    }
    const none = await resolveStreams({ name: 'lost' }, { config, minimum: 1, timeoutMs: 200 });
    expect(none).toEqual([]);
  });

  test('the clock offset of one machine is nothing', async () => {
    await peer.makeOutlet({
      ...{ name: 'clock', type: 'EEG', channels: 1, rateHz: 10, format: 'int8' },
      sourceId: 'clock',
    });
    const [info] = await resolveStreams({ name: 'clock' }, { config, minimum: 1, timeoutMs: 5000 });
    const sync = new TimeSync(info ?? expect.fail('not found'), config);
    await sync.start();
    const estimate = await sync.estimate(5000);
    sync.close();
    expect(Math.abs(estimate.offsetS)).toBeLessThan(0.001);
    expect(estimate.uncertaintyS).toBeLessThan(0.05);
  });

  test('10,000 samples of 32 channels come whole and in order', async () => {
    const sourceId = 'in-many';
    const spec = { name: 'many', type: 'EEG', channels: 32, rateHz: 5000, sourceId };
    const outlet = await peer.makeOutlet({ ...spec, format: 'float32' });
    const got = listen(sourceId);
    await got.opened();
    await until(() => peer.call<boolean>('hasConsumers', outlet), 'the outlet has a reader');
    await peer.call('stream', outlet, 5000, 7);
    await until(() => got.stamps().length >= 10_000, '10,000 samples are here', 20_000);
    await peer.call('stopStream', outlet);
    const values = got.values() as number[];
    const first = values[0] ?? -1;
    for (let i = 0; i < 10_000; i++)
      if (values[i * 32] !== first + i || values[i * 32 + 31] !== first + i + 31)
        expect.fail(`sample ${i} is ${values[i * 32]}, not ${first + i}`);
    const stamps = got.stamps();
    expect(stamps.every((one, i) => i === 0 || one >= (stamps[i - 1] ?? 0))).toBe(true);
    got.inlet.close();
  });
});
