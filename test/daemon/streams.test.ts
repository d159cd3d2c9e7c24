/** Streams of every temper, side by side: what one does must not touch the others. */
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { EegError } from '../../src/core/errors.js';
import type { StreamStatus } from '../../src/core/events.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import type { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { Metrics } from '../../src/server/metrics.js';
import { FakeEngine, taskSpec } from '../support/fake-engine.js';
import { HandDriver } from '../support/hand-driver.js';
import { daemonOn, Listener, windowEnds } from '../support/tiny-checkpoint.js';
import { VirtualClock } from '../support/virtual-clock.js';

const close: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of close.splice(0)) await each();
});

const tasks = [taskSpec('a', { windowS: 2, hopS: 1 })];

function setUp(ids: readonly string[], engine = new FakeEngine(tasks)) {
  const clock = new VirtualClock();
  const drivers = new Map(ids.map((id) => [`hand:${id}`, new HandDriver(id)]));
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => logged.push(JSON.parse(line).msg) });
  const daemon: Daemon = daemonOn(engine, {} as CheckpointStore, {
    clock,
    log,
    pace: 'live',
    driverFor: async (address) => drivers.get(address) as HandDriver,
  });
  close.push(() => daemon.close());
  return { clock, daemon, drivers, logged, listener: new Listener(daemon) };
}

async function connected(daemon: Daemon, driver: HandDriver): Promise<void> {
  const connecting = daemon.connect(`hand:${driver.info.id}`);
  await Promise.resolve();
  driver.begin();
  await connecting;
}

const states = (listener: Listener, stream: string) =>
  listener.others
    .filter((e): e is StreamStatus => e.kind === 'status' && e.stream === stream)
    .map((e) => e.state)
    .filter((state, i, all) => state !== all[i - 1]);

describe('a stream', () => {
  test('that fails says so and leaves the others alone', async () => {
    const { clock, daemon, drivers, listener } = setUp(['a', 'b']);
    for (const driver of drivers.values()) await connected(daemon, driver);
    const [a, b] = [...drivers.values()] as [HandDriver, HandDriver];
    a.send(3, clock.now());
    a.events.error(new EegError('EEG_DEVICE_PROTOCOL', 'nonsense on the wire'));
    b.send(10, clock.now());
    await daemon.idle();
    expect(states(listener, 'a')).toEqual(['streaming', 'failed']);
    expect(daemon.snapshot().streams.find((s) => s.stream === 'a')?.detail).toContain('nonsense');
    const ends = listener.answers.filter((e) => e.stream === 'b').map((e) => e.endSample);
    expect(ends).toEqual(windowEnds(tasks[0] as TaskSpec, listener.samples.get('b') as number));
    expect(ends.length).toBeGreaterThanOrEqual(8);
    expect(states(listener, 'b')).toEqual(['streaming']);
  });

  test('that comes back in another format is ended with a typed error', async () => {
    const { clock, daemon, drivers } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    a.send(1, clock.now());
    a.events.next({ kind: 'info', info: { ...a.info, rateHz: 256 } });
    const [status] = daemon.snapshot().streams;
    expect(status).toMatchObject({ state: 'failed' });
    expect(status?.detail).toContain('EEG_STREAM_FORMAT_CHANGED');
  });

  test('without samples is silent, and streams again with the next one', async () => {
    const { clock, daemon, drivers, listener, logged } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    a.send(1, clock.now());
    clock.advance(2.5);
    a.send(1, clock.now());
    expect(states(listener, 'a')).toEqual(['streaming', 'silent', 'streaming']);
    expect(logged).toEqual(['stream silent', 'stream is back']);
  });

  test('whose recording pauses is not silent for that, and has lost nothing', async () => {
    const { clock, daemon, drivers, listener } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    a.send(1, clock.now());
    a.lose(2, 'recorded');
    clock.advance(2.5);
    a.send(1, clock.now());
    expect(states(listener, 'a')).toEqual(['streaming']);
    expect(daemon.snapshot().streams[0]).toMatchObject({ lostSamples: 0 });
    clock.advance(2.5);
    expect(states(listener, 'a')).toEqual(['streaming', 'silent']);
  });

  test('of an id that is connected already is refused; the first goes on', async () => {
    const { clock, daemon, drivers, listener } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    const twin = new HandDriver('a');
    drivers.set('hand:twin', twin);
    const connecting = daemon.connect('hand:twin');
    await Promise.resolve();
    twin.begin();
    await expect(connecting).rejects.toMatchObject({ code: 'EEG_STREAM_FORMAT' });
    a.send(4, clock.now());
    await daemon.idle();
    expect(listener.answers.length).toBeGreaterThan(0);
    expect(daemon.snapshot().streams).toHaveLength(1);
  });

  test('that never begins is given up after a while', async () => {
    const { clock, daemon, drivers } = setUp(['a']);
    const connecting = daemon.connect('hand:a', { waitS: 5 });
    await Promise.resolve();
    clock.advance(6);
    await expect(connecting).rejects.toMatchObject({ code: 'EEG_DEVICE_UNAVAILABLE' });
    expect(drivers.get('hand:a')?.aborted).toBe(true);
    expect(daemon.snapshot().streams).toEqual([]);
  });

  test('can be disconnected, and an unknown one cannot', async () => {
    const { daemon, drivers, listener } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    await daemon.disconnect('a');
    expect(a.aborted).toBe(true);
    expect(states(listener, 'a')).toEqual(['streaming', 'ended']);
    await expect(daemon.disconnect('a')).rejects.toMatchObject({ code: 'EEG_STREAM_UNKNOWN' });
  });

  test('shows what was not received as NaN', async () => {
    const { clock, daemon, drivers } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    const kinds = new Map<number, boolean>();
    daemon.events$.subscribe((event) => {
      if (event.kind !== 'signal') return;
      for (let i = 0; i < event.samples; i++)
        kinds.set(event.index + i, Number.isNaN(event.data[i]));
    });
    a.send(5, clock.now());
    a.lose(2);
    a.send(5, clock.now());
    const share = (from: number, to: number) => {
      let nan = 0;
      for (let i = from; i < to; i++) if (kinds.get(i) !== false) nan++;
      return nan / (to - from);
    };
    expect(share(600, 900)).toBe(0);
    expect(share(1050, 1350)).toBe(1);
    expect(share(2000, 2300)).toBe(0);
    expect(daemon.snapshot().streams[0]).toMatchObject({ lostSamples: 400, samples: 2400 });
  });

  test('with a gap says gap of its windows, not that they came late', async () => {
    const { clock, daemon, drivers, listener } = setUp(['a']);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    for (let i = 0; i < 6; i++) {
      clock.advance(1);
      a.send(1, clock.now());
      await daemon.idle();
    }
    clock.advance(20);
    a.lose(20);
    for (let i = 0; i < 8; i++) {
      clock.advance(1);
      a.send(1, clock.now());
      await daemon.idle();
    }
    const reasons = listener.answers.map((e) => (e.kind === 'no_prediction' ? e.reason : e.kind));
    expect(reasons).toContain('gap');
    expect(reasons).not.toContain('stale');
    expect(reasons.filter((reason) => reason === 'prediction').length).toBeGreaterThan(8);
    for (const event of listener.answers)
      if (event.kind === 'prediction') expect(event.latency.totalMs).toBeLessThan(300);
  });

  test('tells how long its samples were on their way', async () => {
    const { clock, daemon, drivers } = setUp(['a']);
    const metrics = new Metrics(clock);
    const unfollow = metrics.follow(daemon);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    a.send(4, clock.now() - 0.15);
    const text = await metrics.text();
    const counted = (stage: string, le: string) =>
      Number(new RegExp(`bucket\\{le="${le}",stage="${stage}"\\} (\\d+)`).exec(text)?.[1]);
    // 16 blocks of a quarter of a second, that had been here for 0.15 s; three windows.
    expect([counted('conditioned', '0.1'), counted('conditioned', '0.2')]).toEqual([0, 16]);
    expect(counted('arrival', '\\+Inf')).toBe(16);
    expect(counted('window', '\\+Inf')).toBe(3);
    unfollow();
  });

  test('disconnected while the engine is busy can be connected again at once', async () => {
    const engine = new FakeEngine(tasks);
    const { clock, daemon, drivers, listener } = setUp(['a'], engine);
    const a = drivers.get('hand:a') as HandDriver;
    await connected(daemon, a);
    let release = () => {};
    engine.before = () => new Promise((resolve) => (release = resolve));
    a.send(3, clock.now());
    await new Promise((resolve) => setImmediate(resolve));
    await daemon.disconnect('a');
    const again = new HandDriver('a');
    drivers.set('hand:a', again);
    await connected(daemon, again);
    engine.before = () => undefined;
    release();
    again.send(4, clock.now());
    await daemon.idle();
    expect(listener.answers.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4]);
    expect(listener.answers.map(({ endSample }) => endSample)).toEqual([400, 600, 400, 600, 800]);
    expect(listener.answers.at(-1)?.kind).toBe('prediction');
  });
});
