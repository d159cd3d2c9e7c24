/** What systemd is told of a daemon in each of its conditions. */
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import type { CheckpointStore } from '../../src/daemon/checkpoint-store.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import { createNotifier } from '../../src/daemon/notify.js';
import { supervise } from '../../src/daemon/supervise.js';
import { FakeEngine, taskSpec } from '../support/fake-engine.js';
import { HandDriver } from '../support/hand-driver.js';
import { daemonOn } from '../support/tiny-checkpoint.js';
import { VirtualClock } from '../support/virtual-clock.js';

const close: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const each of close.splice(0)) await each();
});

const tasks = [
  taskSpec('slow', { windowS: 30, hopS: 30 }),
  taskSpec('fast', { windowS: 4, hopS: 0.25 }),
];
/** As the unit has it. */
const watchdogS = 6;

function setUp() {
  const clock = new VirtualClock();
  const driver = new HandDriver('a');
  const engine = new FakeEngine(tasks);
  const daemon: Daemon = daemonOn(engine, {} as CheckpointStore, {
    clock,
    pace: 'live',
    driverFor: async () => driver,
  });
  const told: string[] = [];
  const env = { NOTIFY_SOCKET: '/x', WATCHDOG_USEC: `${watchdogS * 1e6}` };
  const notifier = createNotifier(silentLogger, env, () => (text) => told.push(text));
  const stop = supervise(daemon, notifier, clock);
  close.push(() => daemon.close());
  const connect = async () => {
    const connecting = daemon.connect('hand:a');
    await Promise.resolve();
    driver.begin();
    await connecting;
  };
  /** Time passes with samples, in steps of a second; answers are waited for where they come. */
  const pass = async (seconds: number, settle = () => daemon.idle()) => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1);
      driver.send(1, clock.now());
      await settle();
    }
  };
  const fed = async (run: () => Promise<unknown>) => {
    const before = told.filter((text) => text === 'WATCHDOG=1').length;
    await run();
    return told.filter((text) => text === 'WATCHDOG=1').length - before;
  };
  return { clock, driver, engine, daemon, told, stop, connect, pass, fed };
}

const turns = async () => {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('systemd is told', () => {
  test('ready, each change of status once, and stopping; nothing after that', async () => {
    const { told, connect, pass, stop, clock } = setUp();
    await connect();
    await pass(3);
    stop();
    clock.advance(60);
    expect(told.filter((text) => text !== 'WATCHDOG=1')).toEqual([
      'READY=1\nSTATUS=serving fake@1, 0 of 0 streams streaming',
      'STATUS=serving fake@1, 1 of 1 streams streaming',
      'STOPPING=1',
    ]);
  });
});

describe('the watchdog', () => {
  test('is fed while no stream is expected, and until the first window', async () => {
    const { fed, connect, pass, clock } = setUp();
    expect(await fed(async () => clock.advance(600))).toBe(300);
    await connect();
    expect(await fed(() => pass(60))).toBe(30);
  });

  test('is withheld within 12 s of a path that is stuck, though the loop turns', async () => {
    const { engine, fed, connect, pass, told } = setUp();
    await connect();
    await pass(20);
    let release = () => {};
    engine.before = () => new Promise((resolve) => (release = resolve));
    // The last food at most `12 - watchdogS` after it stuck: systemd then bites in time.
    await pass(12 - watchdogS, turns);
    expect(await fed(() => pass(60, turns))).toBe(0);
    expect(told.some((text) => text.startsWith('STATUS=serving fake@1, 1 of 1'))).toBe(true);
    engine.before = () => undefined;
    release();
    await turns();
    expect(await fed(() => pass(10))).toBeGreaterThanOrEqual(4);
  });

  test('is withheld where the engine fails for good, not where one run fails', async () => {
    const { engine, fed, connect, pass } = setUp();
    await connect();
    await pass(20);
    let fails = 3;
    engine.before = () => {
      if (fails-- > 0) throw new Error('lost the device');
    };
    expect(await fed(() => pass(20))).toBe(10);
    engine.before = () => {
      throw new Error('lost the device');
    };
    await pass(12 - watchdogS);
    expect(await fed(() => pass(20))).toBe(0);
  });

  test('is fed while electrodes are off, and while an amplifier is gone', async () => {
    const { fed, connect, driver, clock, pass } = setUp();
    await connect();
    await pass(20);
    driver.flat = true;
    expect(await fed(() => pass(60))).toBe(30);
    driver.events.next({ kind: 'status', state: 'lost' });
    expect(await fed(async () => clock.advance(600))).toBe(300);
  });
});
