/** Real liblsl, in a process of its own, reads our outlet. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { describeChannels } from '../../../drivers/lsl/channels.js';
import { localClock } from '../../../drivers/lsl/clock.js';
import type { SampleValues } from '../../../drivers/lsl/encoder.js';
import { Outlet, type OutletDescription } from '../../../drivers/lsl/outlet.js';
import { parseStreamInfo } from '../../../drivers/lsl/stream-info.js';
import { element } from '../../../drivers/lsl/xml.js';
import {
  hasLiblsl,
  LiblslPeer,
  loopbackSettings,
  type Pulled,
} from '../../support/liblsl-process.js';

const { config, text } = loopbackSettings();
let peer: LiblslPeer;
let outlet: Outlet | undefined;

type Found = { handle: bigint; xml: string }[];

async function read(description: Omit<OutletDescription, 'type' | 'sourceId'>): Promise<number> {
  const { name, format, channelCount } = description;
  outlet = await Outlet.open({ ...description, type: 'EEG', sourceId: `id ${name}` }, { config });
  const [found] = await peer.call<Found>('resolve', 'name', name, 1, 5);
  const inlet = await peer.call<number>('openInlet', found?.handle, format, channelCount);
  expect(await outlet.waitForConsumers(5000)).toBe(true);
  return inlet;
}

const numeric = {
  float32: [0.5, -1.25, 2 ** -65, Number.POSITIVE_INFINITY, Number.NaN, 16777216],
  double64: [Math.PI, -1e300, 5e-324, Number.NEGATIVE_INFINITY, Number.NaN, 0.1],
  int32: [0, -1, 2147483647, -2147483648, 65536, 7],
  int16: [0, -1, 32767, -32768, 256, 7],
  int8: [0, -1, 127, -128, 1, 7],
  int64: [0n, -1n, 9223372036854775807n, -9223372036854775808n, 4294967296n, 7n],
} as const;

describe.skipIf(!hasLiblsl)('a liblsl inlet on our outlet', () => {
  beforeAll(async () => {
    peer = await LiblslPeer.start({ config, text });
  });
  afterEach(() => {
    outlet?.close();
    outlet = undefined;
  });
  afterAll(() => peer?.close());

  test.each(Object.entries(numeric))('%s values and stamps arrive', async (name, values) => {
    const format = name as keyof typeof numeric;
    const shape = { name: `out ${format}`, channelCount: 2, rateHz: 100, format };
    const inlet = await read(shape);
    outlet?.push(values.slice(0, 2) as unknown as SampleValues, 1000.25);
    outlet?.pushChunk(values.slice(2) as unknown as SampleValues, 1000.5);
    const got = await peer.call<Pulled<Float64Array>>('pull', inlet, 3, 5);
    expect([...got.values]).toEqual([...values]);
    expect([...got.stamps]).toEqual([1000.25, 1000.49, 1000.5]);
  });

  test('strings arrive: UTF-8, empty, 255, 256 and 70,000 bytes', async () => {
    const inlet = await read({ name: 'out marks', channelCount: 2, rateHz: 0, format: 'string' });
    const pairs = [
      ['größe µV €', ''],
      ['x'.repeat(255), 'y'.repeat(256)],
      [`${'z'.repeat(69_998)}µ`, '\u{1f9e0} <&>'],
    ];
    for (const [k, pair] of pairs.entries()) outlet?.push(pair, 50 + k);
    const got = await peer.call<Pulled<string[]>>('pull', inlet, 3, 5);
    expect(got.values).toEqual(pairs.flat());
    expect([...got.stamps]).toEqual([50, 51, 52]);
  });

  test('liblsl reads our metadata in full', async () => {
    const channels = ['Fp1', 'Größe µ', '<&>'].map((label) => ({ label, type: 'EEG', unit: 'uV' }));
    const inlet = await read({
      ...{ name: 'out <meta> & €', channelCount: 3, rateHz: 250, format: 'float32' },
      desc: describeChannels(channels, [element('manufacturer', 'eegd')]),
    });
    const info = parseStreamInfo(await peer.call<string>('fullInfo', inlet));
    expect(info.name).toBe('out <meta> & €');
    expect(info.desc).toEqual(outlet?.info.desc);
  });

  test('liblsl finds it by property and by predicate, and not where it does not match', async () => {
    await read({ name: 'out found', channelCount: 5, rateHz: 250, format: 'float32' });
    const count = async (property: string, value: string, timeoutS = 5) =>
      (await peer.call<Found>('resolve', property, value, 1, timeoutS)).length;
    expect(await count('source_id', 'id out found')).toBe(1);
    expect(await count('', "channel_count=5 and contains(name,'found')")).toBe(1);
    expect(await count('', "name='out found' and nominal_srate=250")).toBe(1);
    expect(await count('name', 'elsewhere', 1)).toBe(0);
  });

  test('its clock agrees with ours', async () => {
    const inlet = await read({ name: 'out clock', channelCount: 1, rateHz: 0, format: 'int8' });
    expect(Math.abs(await peer.call<number>('timeCorrection', inlet))).toBeLessThan(0.001);
    const theirs = await peer.call<number>('localClock');
    expect(Math.abs(theirs - localClock())).toBeLessThan(0.5);
  });

  test('six outlets of one process are all found', async () => {
    const outlets = await Promise.all(
      Array.from({ length: 6 }, (_, k) =>
        Outlet.open(
          {
            ...{ name: `six ${k}`, type: 'Six', channelCount: 1, format: 'float32', rateHz: 1 },
            sourceId: `six-${k}`,
          },
          { config },
        ),
      ),
    );
    const found = await peer.call<Found>('resolve', 'type', 'Six', 6, 5);
    expect(found).toHaveLength(6);
    for (const one of outlets) one.close();
  });

  test('20,000 samples of 16 channels come whole and in order', async () => {
    const inlet = await read({ name: 'many', channelCount: 16, rateHz: 1000, format: 'float32' });
    const chunk = 250;
    for (let from = 0; from < 20_000; from += chunk) {
      const values = new Float32Array(chunk * 16);
      for (let i = 0; i < values.length; i++) values[i] = from + Math.floor(i / 16);
      outlet?.pushChunk(values, 100 + (from + chunk - 1) / 1000);
    }
    const got = await peer.call<Pulled<Float32Array>>('pull', inlet, 20_000, 20);
    expect(got.stamps.length).toBe(20_000);
    for (let i = 0; i < 20_000; i++) {
      if (got.values[i * 16 + 15] !== i) expect.fail(`sample ${i} is ${got.values[i * 16 + 15]}`);
      expect(Math.abs((got.stamps[i] ?? 0) - (100 + i / 1000))).toBeLessThan(1e-6);
    }
    expect(outlet?.dropped).toBe(0);
  });
});
