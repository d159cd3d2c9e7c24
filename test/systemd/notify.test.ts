/** sd_notify through a real datagram socket, held by a small Python process (Node has none). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { createNotifier } from '../../src/daemon/notify.js';
import { VirtualClock } from '../support/virtual-clock.js';

const listen = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(repr(s.recv(4096).decode()), flush=True)
`;
const hasPython = spawnSync('python3', ['--version']).status === 0;
const hasSystemd = spawnSync('sh', ['-c', 'ldconfig -p | grep -q libsystemd.so.0']).status === 0;
const missing = [...(hasPython ? [] : ['python3']), ...(hasSystemd ? [] : ['libsystemd.so.0'])];
if (missing.length > 0) console.warn(`SKIPPED: sd_notify tests need ${missing.join(', ')}`);

describe.skipIf(missing.length > 0)('with a NOTIFY_SOCKET', () => {
  let child: ChildProcess;
  let lines: Interface;
  let received: AsyncIterator<string>;
  let path: string;
  const saved = process.env.NOTIFY_SOCKET;
  const line = async () => String((await received.next()).value);

  beforeEach(async () => {
    path = join(mkdtempSync(join(tmpdir(), 'eegd-notify-')), 'socket');
    child = spawn('python3', ['-c', listen, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (child.stdout === null) throw new Error('no pipe');
    lines = createInterface(child.stdout);
    received = lines[Symbol.asyncIterator]();
    expect(await line()).toBe('bound');
    // libsystemd reads the environment of the process itself.
    process.env.NOTIFY_SOCKET = path;
  });
  afterEach(() => {
    if (saved === undefined) delete process.env.NOTIFY_SOCKET;
    else process.env.NOTIFY_SOCKET = saved;
    lines.close();
    child.kill();
  });

  test('ready, status and stopping arrive as systemd wants them', async () => {
    const notifier = createNotifier(silentLogger, { NOTIFY_SOCKET: path });
    expect(notifier.active).toBe(true);
    notifier.ready('2 streams,\nbase@1');
    expect(await line()).toBe("'READY=1\\nSTATUS=2 streams, base@1'");
    notifier.status('lost s1');
    expect(await line()).toBe("'STATUS=lost s1'");
    notifier.stopping();
    expect(await line()).toBe("'STOPPING=1'");
  });

  test('the watchdog is fed at a third of its period, and only while data flow', async () => {
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '9000000', WATCHDOG_PID: `${process.pid}` };
    const notifier = createNotifier(silentLogger, env);
    const clock = new VirtualClock();
    let flows = true;
    const stop = notifier.watch(() => flows, clock);
    expect(await line()).toBe("'WATCHDOG=1'");
    clock.advance(3);
    expect(await line()).toBe("'WATCHDOG=1'");
    flows = false;
    clock.advance(9);
    notifier.status('no food meanwhile');
    expect(await line()).toBe("'STATUS=no food meanwhile'");
    flows = true;
    clock.advance(3);
    expect(await line()).toBe("'WATCHDOG=1'");
    stop();
    clock.advance(30);
    notifier.status('no food after the end');
    expect(await line()).toBe("'STATUS=no food after the end'");
  });

  test('a watchdog that is meant for another process is left alone', async () => {
    const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '9000000', WATCHDOG_PID: '1' };
    const notifier = createNotifier(silentLogger, env);
    notifier.watch(() => true, new VirtualClock());
    notifier.status('only this');
    expect(await line()).toBe("'STATUS=only this'");
  });
});

test('off systemd every call does nothing', () => {
  const notifier = createNotifier(silentLogger, { WATCHDOG_USEC: '9000000' });
  expect(notifier.active).toBe(false);
  notifier.ready('x');
  notifier.stopping();
  const clock = new VirtualClock();
  notifier.watch(() => true, clock)();
  clock.advance(60);
});
