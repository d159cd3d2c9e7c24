/**
 * The driver on outlets of real liblsl that are killed, restarted, stopped, doubled and changed.
 * Each outlet has a process of its own. The times are measured by `npm run bench:ingest`; here
 * things need only happen, in the right order.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { LslDriver } from '../../../drivers/lsl/driver.js';
import { isEegError } from '../../../src/core/errors.js';
import type { DriverEvent } from '../../../src/core/stream.js';
import type { PeerOutlet } from '../../support/liblsl-peer.js';
import { hasLiblsl, LiblslPeer, loopbackSettings, until } from '../../support/liblsl-process.js';

const settings = loopbackSettings();
const peers: LiblslPeer[] = [];
const abort: AbortController[] = [];

const eeg: PeerOutlet = {
  ...{ name: 'amp', type: 'EEG', channels: 4, rateHz: 500, format: 'float32' },
  sourceId: 'amp-1',
  labels: ['C3', 'C4', 'P3', 'P4'],
};

async function serve(spec: PeerOutlet): Promise<{ peer: LiblslPeer; outlet: number }> {
  const peer = await LiblslPeer.start(settings);
  peers.push(peer);
  return { peer, outlet: await peer.makeOutlet(spec) };
}

async function streaming(spec: PeerOutlet) {
  const { peer, outlet } = await serve(spec);
  await peer.call('stream', outlet, spec.rateHz, 5);
  return peer;
}

function drive(address: string) {
  const events: DriverEvent[] = [];
  let error: unknown;
  const controller = new AbortController();
  abort.push(controller);
  new LslDriver(address, { config: settings.config }).open(controller.signal).subscribe({
    next: (event) => events.push(event),
    error: (thrown: unknown) => {
      error = thrown;
    },
  });
  const states = () => events.flatMap((one) => (one.kind === 'status' ? [one.state] : []));
  const chunks = () => events.flatMap((one) => (one.kind === 'chunk' ? [one.chunk] : []));
  return {
    events,
    states,
    chunks,
    frames: () => chunks().reduce((sum, one) => sum + one.frames, 0),
    gaps: () => events.flatMap((one) => (one.kind === 'gap' ? [one] : [])),
    stamps: () => chunks().flatMap((one) => [...(one.stamps ?? [])]),
    error: () => error,
    last: () => states().at(-1),
  };
}

async function restarts(spec: PeerOutlet, address: string): Promise<void> {
  const first = await streaming(spec);
  const stream = drive(address);
  await until(() => stream.frames() > 200, 'samples come');
  await first.close();
  await until(() => stream.last() === 'lost', 'the loss is told');
  const before = stream.frames();
  await streaming(spec);
  await until(() => stream.frames() > before + 200, 'samples come again');
  // On a busy machine the sender may fall silent for a moment, and say so.
  const states = stream.states().filter((one) => one !== 'silent');
  const turns = states.filter((one, i) => one !== states[i - 1]);
  expect(turns).toEqual(['connecting', 'streaming', 'lost', 'streaming']);
  expect(stream.gaps()).toMatchObject([{ reason: 'disconnect' }]);
  const indices = stream.chunks().map((one) => one.index);
  const missing = stream.gaps()[0]?.missing ?? 0;
  expect(missing).toBeGreaterThan(0);
  expect((indices.at(-1) ?? 0) + (stream.chunks().at(-1)?.frames ?? 0)).toBe(
    stream.frames() + missing,
  );
  const stamps = stream.stamps();
  expect(stamps.every((one, i) => i === 0 || one >= (stamps[i - 1] ?? 0))).toBe(true);
}

describe.skipIf(!hasLiblsl)('a lost LSL stream', () => {
  afterEach(async () => {
    for (const one of abort.splice(0)) one.abort();
    await Promise.all(peers.splice(0).map((one) => one.close()));
  });

  test('killed and restarted, it goes on by its source_id', () => restarts(eeg, 'lsl:amp-1'));

  test('without a source_id it goes on where only one fits', () =>
    restarts({ ...eeg, name: 'anon', sourceId: '' }, 'lsl:anon'));

  test('a stopped outlet is silent, then nothing is missing', async () => {
    const peer = await streaming(eeg);
    const stream = drive('lsl:amp-1');
    await until(() => stream.frames() > 200, 'samples come');
    peer.process.kill('SIGSTOP');
    await until(() => stream.last() === 'silent', 'the silence is told');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    peer.process.kill('SIGCONT');
    await until(() => stream.last() === 'streaming', 'it flows again');
    const before = stream.frames();
    await until(() => stream.frames() > before + 1000, 'what was made up for is here');
    const values = stream.chunks().flatMap((one) => [...one.data].filter((_, i) => i % 4 === 0));
    expect(values.every((one, i) => i === 0 || one === (values[i - 1] ?? 0) + 1)).toBe(true);
    expect(stream.gaps()).toEqual([]);
    expect(new Set(stream.states())).toEqual(new Set(['connecting', 'streaming', 'silent']));
  });

  test('another rate ends this stream with the reason', async () => {
    const first = await streaming(eeg);
    const stream = drive('lsl:amp-1');
    await until(() => stream.frames() > 200, 'samples come');
    await first.close();
    await serve({ ...eeg, rateHz: 250 });
    await until(() => stream.error() !== undefined, 'the change is told');
    const error = stream.error();
    expect(isEegError(error, 'EEG_STREAM_FORMAT_CHANGED') && error.message).toMatch(
      /"amp" as 4 x float32 at 500 Hz, it is now 4 x float32 at 250 Hz/,
    );
  });

  test('other channels under the same shape end it too', async () => {
    const first = await streaming(eeg);
    const stream = drive('lsl:amp-1');
    await until(() => stream.frames() > 200, 'samples come');
    await first.close();
    await serve({ ...eeg, labels: ['C4', 'C3', 'P3', 'P4'] });
    await until(() => stream.error() !== undefined, 'the change is told');
    expect(isEegError(stream.error(), 'EEG_STREAM_FORMAT_CHANGED')).toBe(true);
  });

  test('two outlets of one source_id are refused with the list', async () => {
    await Promise.all([serve(eeg), serve(eeg)]);
    const stream = drive('lsl:amp-1');
    await until(() => stream.error() !== undefined, 'it is refused');
    const error = stream.error();
    expect(isEegError(error, 'EEG_LSL_AMBIGUOUS') && error.message).toMatch(
      /found 2: "amp" \(EEG, .*source_id "amp-1".*; "amp"/,
    );
  });

  test('two successors: told, and waited until one is left', async () => {
    const first = await streaming(eeg);
    const stream = drive('lsl:amp-1');
    await until(() => stream.frames() > 200, 'samples come');
    const [a] = await Promise.all([serve(eeg), streaming(eeg)]);
    await first.close();
    const isTold = () =>
      stream.events.some((one) => one.kind === 'status' && one.code === 'EEG_LSL_AMBIGUOUS');
    await until(isTold, 'the two are told');
    const before = stream.frames();
    await a.peer.close();
    await until(() => stream.frames() > before + 200, 'it goes on with the one that is left');
  });
});
