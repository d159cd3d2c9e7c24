/**
 * The wall clock is moved by hours while a stream of real liblsl is read: by `Date`, the only way
 * this process can see it. Neither the driver's stamps nor those of the signal path may notice.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { LslDriver } from '../../../drivers/lsl/driver.js';
import type { Chunk } from '../../../src/core/stream.js';
import { localClock } from '../../../src/core/time.js';
import type { ConditionedBlock } from '../../../src/signal/block.js';
import { SignalPath } from '../../../src/signal/path.js';
import { hasLiblsl, LiblslPeer, loopbackSettings } from '../../support/liblsl-process.js';

const hourMs = 3_600_000;
const rateHz = 500;
let peer: LiblslPeer | undefined;
const stop = new AbortController();

afterEach(async () => {
  vi.useRealTimers();
  stop.abort();
  await peer?.close();
});

/** By no clock that is moved; the test's own time limit bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test.skipIf(!hasLiblsl)('an LSL stream does not look at the wall clock', async () => {
  const settings = loopbackSettings();
  peer = await LiblslPeer.start(settings);
  const outlet = await peer.makeOutlet({
    ...{ name: 'wall', type: 'EEG', channels: 4, rateHz, format: 'float32', sourceId: 'wall' },
    labels: ['C3', 'C4', 'P3', 'P4'],
  });
  await peer.call('stream', outlet, rateHz, 5);
  const chunks: Chunk[] = [];
  const blocks: ConditionedBlock[] = [];
  const others: string[] = [];
  let path: SignalPath | undefined;
  new LslDriver('lsl:wall', { config: settings.config }).open(stop.signal).subscribe((event) => {
    if (event.kind === 'info') path ??= new SignalPath(event.info);
    if (event.kind === 'chunk') chunks.push(event.chunk);
    // A starved sender may fall silent and say so: that is no step of a clock.
    if (event.kind === 'gap') others.push(event.reason);
    if (event.kind === 'status' && event.state === 'lost') others.push(event.state);
    blocks.push(...(path?.push(event) ?? []));
  });
  const frames = () => chunks.reduce((sum, one) => sum + one.frames, 0);
  await until(() => frames() > rateHz);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  for (const move of [hourMs, -2 * hourMs, hourMs]) {
    const before = Date.now();
    vi.setSystemTime(before + move);
    expect(Date.now()).toBe(before + move);
    const had = frames();
    await until(() => frames() > had + rateHz);
  }
  expect(others).toEqual([]);
  const stamps = chunks.flatMap((one) => [...(one.stamps ?? [])]);
  expect(stamps.length).toBeGreaterThan(4 * rateHz);
  for (let i = 1; i < stamps.length; i++) {
    expect((stamps[i] ?? 0) - (stamps[i - 1] ?? 0)).toBeCloseTo(1 / rateHz, 2);
  }
  expect(Math.abs((stamps.at(-1) ?? 0) - localClock())).toBeLessThan(60);
  for (const [i, block] of blocks.entries()) {
    const last = blocks[i - 1];
    // The line of the clock is still found in the first quarter of a second.
    if (last === undefined || block.index < 50) continue;
    expect(block.stampS - last.stampS).toBeCloseTo(last.samples / 200, 2);
  }
});
