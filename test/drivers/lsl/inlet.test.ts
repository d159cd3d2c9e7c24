/** An inlet's life under virtual time, on a network that does as it is told. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeChannels } from '../../../drivers/lsl/channels.js';
import { LslDriver } from '../../../drivers/lsl/driver.js';
import { Inlet } from '../../../drivers/lsl/inlet.js';
import type { InletEvent } from '../../../drivers/lsl/inlet-transport.js';
import type { StreamSelector } from '../../../drivers/lsl/resolver.js';
import type { LslStreamInfo } from '../../../drivers/lsl/stream-info.js';
import { FakeLslNetwork } from '../../support/fake-lsl-network.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { plainInfo } from './plain-info.js';

const amp: LslStreamInfo = { ...plainInfo, name: 'amp', sourceId: 'amp-1', uid: 'u1' };
let clock: VirtualClock;
let network: FakeLslNetwork;
let inlet: Inlet;
let events: InletEvent[];

function start(selector: StreamSelector = { sourceId: 'amp-1' }, findMs?: number): void {
  inlet = new Inlet(selector, {
    ...(findMs !== undefined && { findMs }),
    clock,
    transport: network,
    onEvent: (event) => events.push(event),
  });
  inlet.start();
}

function appear(...infos: LslStreamInfo[]): void {
  for (const info of infos) network.outlets.set(info.uid, info);
}

/** Time passes, and promises with it. */
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 50; i++) {
    clock.advance(0.02);
    for (let k = 0; k < 8; k++) await Promise.resolve();
  }
}

const kinds = () => events.map((one) => one.kind).filter((one) => one !== 'samples');
const stamps = () =>
  events.flatMap((one) => (one.kind === 'samples' ? [...one.samples.stamps] : []));

function failure(): string {
  const last = events.at(-1);
  return last?.kind === 'failed'
    ? `${last.error.code}: ${last.error.message}`
    : `no: ${last?.kind}`;
}

beforeEach(() => {
  clock = new VirtualClock();
  network = new FakeLslNetwork(clock);
  events = [];
});
afterEach(() => inlet.close());

describe('an inlet', () => {
  test('waits for its stream, opens it once, and hands over what comes', async () => {
    start();
    await pass(30);
    expect(kinds()).toEqual([]);
    appear(amp);
    await pass(0.5);
    network.send('u1', [1, 2, 3, 4], [100, 100.004]);
    expect(kinds()).toEqual(['opened']);
    expect(events.at(-1)).toMatchObject({ samples: { frames: 2, arrivalS: clock.now() } });
    expect(network.searches).toBe(0);
    expect(network.connections).toHaveLength(1);
  });

  test('gives up where it was told to', async () => {
    start({ name: 'nobody' }, 500);
    await pass(1);
    expect(failure()).toBe('timeout: expected a stream {"name":"nobody"} within 500 ms, got none');
    expect(network.searches).toBe(0);
  });

  test('goes on within a second with the outlet that is back, and tells the loss at once', async () => {
    appear(amp);
    start();
    await pass(1);
    network.kill('u1');
    expect(kinds()).toEqual(['opened', 'lost']);
    await pass(20);
    appear({ ...amp, uid: 'u2' });
    await pass(0.5);
    expect(kinds()).toEqual(['opened', 'lost', 'opened']);
    expect(events.at(-1)).toMatchObject({ resumed: true, info: { uid: 'u2' } });
  });

  test('another source_id is another stream', async () => {
    appear(amp);
    start({ name: 'amp' });
    await pass(1);
    network.kill('u1');
    appear({ ...amp, uid: 'u2', sourceId: 'amp-2' });
    await pass(10);
    expect(kinds()).toEqual(['opened', 'lost']);
  });

  test('the same source_id under another name is another stream', async () => {
    appear(amp);
    start();
    await pass(1);
    network.kill('u1');
    appear({ ...amp, uid: 'u2', name: 'amp accelerometer' });
    await pass(10);
    expect(kinds()).toEqual(['opened', 'lost']);
  });

  test('without a source_id name, type and host decide', async () => {
    const anon = { ...amp, sourceId: '' };
    appear(anon);
    start({ name: 'amp' });
    await pass(1);
    network.kill('u1');
    appear({ ...anon, uid: 'u2', hostname: 'another machine' });
    await pass(5);
    expect(kinds()).toEqual(['opened', 'lost']);
    appear({ ...anon, uid: 'u3' });
    await pass(1);
    expect(kinds()).toEqual(['opened', 'lost', 'opened']);
  });

  test.each<[string, Partial<LslStreamInfo>]>([
    ['rate', { rateHz: 500 }],
    ['channel count', { channelCount: 3 }],
    ['format', { format: 'int16' }],
    ['labels', { desc: describeChannels([{ label: 'Cz', type: 'EEG', unit: 'uV' }]) }],
  ])('another %s under the same name ends it', async (_, change) => {
    appear(amp);
    start();
    await pass(1);
    network.kill('u1');
    appear({ ...amp, uid: 'u2', ...change });
    await pass(1);
    expect(failure()).toMatch(/^format_changed: expected "amp"/);
    expect(network.searches).toBe(0);
  });

  test('two outlets are refused with both, whichever answers first', async () => {
    appear(amp, { ...amp, uid: 'u2' });
    start();
    await pass(1);
    expect(failure()).toMatch(/^ambiguous: expected one outlet, found 2: .*uid u1.*uid u2/);
    expect(network.connections).toHaveLength(0);
  });

  test('a second outlet that comes later disturbs nobody', async () => {
    appear(amp);
    start();
    await pass(1);
    appear({ ...amp, uid: 'u2' });
    await pass(1.5);
    expect(kinds().filter((one) => one !== 'silent')).toEqual(['opened']);
  });

  test('two successors are told once, and the one that stays is taken', async () => {
    appear(amp);
    start();
    await pass(1);
    network.kill('u1');
    appear({ ...amp, uid: 'u2' }, { ...amp, uid: 'u3' });
    await pass(10);
    expect(kinds()).toEqual(['opened', 'lost', 'ambiguous']);
    network.outlets.delete('u2');
    await pass(2);
    expect(kinds()).toEqual(['opened', 'lost', 'ambiguous', 'opened']);
    expect(events.at(-1)).toMatchObject({ info: { uid: 'u3' } });
  });

  test('protocol 1.00 is refused with a clear reason', async () => {
    appear({ ...amp, version: 100 });
    start();
    await pass(1);
    expect(failure()).toBe('protocol: expected LSL protocol 1.10 of "amp", got 1.00');
  });
});

describe('silence of a connected outlet', () => {
  async function flow(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 20; i++) {
      await pass(0.04);
      network.send('u1', [0, 0], [clock.now()]);
    }
  }

  test('is told, and the stream stays where the outlet still answers', async () => {
    appear(amp);
    start();
    await pass(0.5);
    await flow(2);
    await pass(5);
    expect(kinds()).toEqual(['opened', 'silent']);
    await flow(1);
    expect(kinds()).toEqual(['opened', 'silent', 'flowing']);
    expect(network.searches).toBe(0);
  });

  test('a successor is taken where the silent one does not answer any more', async () => {
    appear(amp);
    start();
    await pass(0.5);
    await flow(2);
    network.outlets.delete('u1');
    await pass(2);
    appear({ ...amp, uid: 'u2' });
    await pass(1);
    expect(kinds()).toEqual(['opened', 'silent', 'lost', 'opened']);
    expect(network.connections[0]?.closed).toBe(true);
  });
});

describe('stamps', () => {
  test('are moved to the clock of this machine', async () => {
    network.offsetS = 12_345.5;
    appear(amp);
    start();
    await pass(0.5);
    network.send('u1', [0, 0, 0, 0], [10, 10.004]);
    expect(stamps()).toEqual([12_355.5, 12_355.504]);
  });

  test('come with the offset of the clocks, told once as long as it is the same', async () => {
    appear(amp);
    start();
    network.offsetS = 12_345.5;
    const offsets: number[] = [];
    const driver = new LslDriver('lsl:amp', { clock, transport: network });
    const ended = new AbortController();
    driver.open(ended.signal).subscribe((event) => {
      if (event.kind === 'clock') offsets.push(event.offsetS);
    });
    await pass(0.5);
    for (let i = 0; i < 5; i++) network.send('u1', [0, 0], [10 + i]);
    expect(offsets).toEqual([12_345.5]);
    ended.abort();
  });

  test('never go back over a reconnect', async () => {
    appear(amp);
    start();
    await pass(0.5);
    network.send('u1', [0, 0], [1000]);
    network.kill('u1');
    appear({ ...amp, uid: 'u2' });
    await pass(1);
    network.send('u2', [0, 0, 0, 0, 0, 0], [999, 999.5, 1001]);
    expect(stamps()).toEqual([1000, 1000, 1000, 1001]);
  });

  test('wait for the outlet’s clock, and go by arrival where it never answers', async () => {
    network.isDeaf = true;
    appear(amp);
    start();
    await pass(0.5);
    network.send('u1', [0, 0], [50]);
    const sentS = clock.now();
    await pass(0.5);
    expect(stamps()).toEqual([]);
    await pass(0.7);
    network.send('u1', [0, 0], [50.004]);
    expect(stamps()[0]).toBeCloseTo(sentS, 6);
    expect(stamps()[1]).toBeCloseTo(sentS + 0.004, 6);
  });

  test('that are all deduced are taken from the arrival', async () => {
    appear(amp);
    start();
    await pass(0.5);
    network.send('u1', [0, 0, 0, 0], [Number.NaN, Number.NaN]);
    expect(stamps()[1]).toBeCloseTo(clock.now(), 6);
    expect(stamps()[0]).toBeCloseTo(clock.now() - 1 / 250, 6);
  });
});
