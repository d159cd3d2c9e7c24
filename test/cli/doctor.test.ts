/** `eegd doctor` on machines made up of folders, and its lines as they are printed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseLslConfig } from '../../drivers/lsl/config.js';
import { LslError } from '../../drivers/lsl/errors.js';
import { listInterfaces } from '../../drivers/lsl/network.js';
import type { SerialPortFound } from '../../drivers/serial/discovery.js';
import { format } from '../../src/cli/doctor.js';
import {
  checkClock,
  checkDisk,
  checkGroup,
  checkLatency,
  checkNode,
  checkSerial,
  checkState,
  diskLine,
} from '../../src/cli/doctor-checks.js';
import {
  checkEngines,
  checkLiblsl,
  checkLslSettings,
  checkMulticast,
  probe,
} from '../../src/cli/doctor-network.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eegd-doctor-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const roots = { sys: '/sys', dev: '/dev' };
const port: SerialPortFound = {
  ...{ path: '/dev/serial/by-id/x', device: '/dev/ttyUSB0', what: 'FTDI FT231X' },
  ...{ families: ['cyton'], openable: true, inUse: false },
};

describe('the checks of eegd doctor', () => {
  test.each([
    ['20.19.0', 'ok'],
    ['22.1.0', 'ok'],
    ['20.18.3', 'fail'],
    ['18.20.0', 'fail'],
  ])('Node %s is %s', (version, state) => {
    expect(checkNode(version).state).toBe(state);
  });

  test.each([
    [{}, 'ok', /can be opened/],
    [{ openable: false }, 'fail', /no permission/],
    [{ inUse: true }, 'warn', /open in another program/],
  ] as const)('a port that is %j is %s', async (some, state, detail) => {
    const [line] = await checkSerial(roots, async () => [{ ...port, ...some }]);
    expect(line).toMatchObject({ state, detail: expect.stringMatching(detail) });
  });

  test('no port, and ports that cannot be listed, are no fault', async () => {
    expect(await checkSerial(roots, async () => [])).toMatchObject([{ state: 'ok' }]);
    const broken = () => Promise.reject(new Error('no /sys'));
    expect(await checkSerial(roots, broken)).toMatchObject([{ state: 'ok' }]);
  });

  test('the group of serial ports is looked up, and the mend names it', async () => {
    const file = join(folder, 'group');
    writeFileSync(file, 'root:x:0:\nuucp:x:14:\n');
    const state = async (uid: number, groups: number[]) =>
      (await checkGroup(file, { uid, groups })).state;
    expect(await state(1000, [1000])).toBe('warn');
    expect(await state(1000, [1000, 14])).toBe('ok');
    expect(await state(0, [])).toBe('ok');
    const line = await checkGroup(file, { uid: 1000, groups: [] });
    expect(line.mend).toMatch(/usermod -aG uucp/);
    expect((await checkGroup(join(folder, 'none'), { uid: 1, groups: [] })).state).toBe('ok');
  });

  test('an FTDI port that holds bytes back is a warning', async () => {
    const at = join(folder, 'bus/usb-serial/devices');
    for (const [name, ms] of Object.entries({ ttyUSB0: '16\n', ttyUSB1: '1\n' })) {
      mkdirSync(join(at, name), { recursive: true });
      writeFileSync(join(at, name, 'latency_timer'), ms);
    }
    mkdirSync(join(at, 'ttyUSB2'));
    expect(await checkLatency(folder)).toMatchObject([
      { state: 'warn', detail: 'ttyUSB0 holds bytes back for 16 ms' },
      { state: 'ok', detail: 'ttyUSB1 sends on after 1 ms' },
    ]);
    expect(await checkLatency(join(folder, 'none'))).toMatchObject([{ state: 'ok' }]);
  });

  test('the disk is that of the nearest folder there is', async () => {
    const line = await checkDisk(join(folder, 'a', 'b', 'c'));
    expect(line.detail).toMatch(new RegExp(`GiB free at ${folder}$`));
    expect([0.4, 3, 100].map((gib) => diskLine('/x', gib).state)).toEqual(['fail', 'warn', 'ok']);
  });

  test('state goes where this user may write', async () => {
    expect((await checkState(join(folder, 'new', 'folder'))).state).toBe('ok');
    writeFileSync(join(folder, 'file'), '');
    expect((await checkState(join(folder, 'file', 'below'))).state).toBe('fail');
  });

  test.each<[boolean | undefined, string]>([
    [true, 'ok'],
    [false, 'warn'],
    [undefined, 'ok'],
  ])('a clock of which NTP says %s is %s', async (said, state) => {
    expect((await checkClock(async () => said, Date.UTC(2026, 5))).state).toBe(state);
  });

  test('a clock of 1970 fails', async () => {
    expect((await checkClock(async () => true, 0)).state).toBe('fail');
  });

  test('settings of LSL that cannot be read fail with their line', () => {
    const bad = checkLslSettings(() => {
      throw new LslError('config', '/x/lsl_api.cfg:3: expected key = value');
    });
    expect(bad.line).toMatchObject({ state: 'fail', detail: expect.stringContaining(':3:') });
    expect(bad.config).toBeUndefined();
    const good = checkLslSettings(() => parseLslConfig('[lab]\nSessionID=room7', '/x.cfg'));
    expect(good.line.detail).toBe('/x.cfg: session room7, ports 16572-16603');
  });

  test('multicast is not asked of loopback, nor where the settings want none', async () => {
    const loopback = parseLslConfig('[multicast]\nInterfaces={127.0.0.1}');
    expect(await checkMulticast(loopback)).toMatchObject([{ state: 'warn' }]);
    const machine = parseLslConfig('[multicast]\nResolveScope=machine');
    expect(await checkMulticast(machine)).toMatchObject([{ detail: 'lsl_api.cfg asks for none' }]);
  });

  test('a probe says what became of it, and never throws', async () => {
    const config = parseLslConfig('[multicast]\nInterfaces={127.0.0.1}');
    const [loopback] = listInterfaces(config);
    const fault = loopback && (await probe(loopback, '239.255.172.215'));
    expect(fault === undefined || /multicast|came back/.test(fault)).toBe(true);
    const wrong = loopback && (await probe(loopback, '10.0.0.1'));
    expect(wrong).toMatch(/no multicast/);
  });

  test('liblsl is not missed, and a broken one is told', async () => {
    expect((await checkLiblsl([folder])).detail).toMatch(/not needed/);
    writeFileSync(join(folder, 'liblsl.so.1.17'), 'no library');
    expect(await checkLiblsl([folder])).toMatchObject({ state: 'warn' });
  });

  test('the engine is there', async () => {
    const [onnx] = await checkEngines();
    expect(onnx).toMatchObject({ state: 'ok', detail: expect.stringMatching(/ONNX.*cpu/) });
  });

  test('a line has its mend below it', () => {
    expect(format({ check: 'disk', state: 'ok', detail: '9 GiB' })).toBe('ok    disk       9 GiB');
    expect(format({ check: 'disk', state: 'fail', detail: 'x', mend: 'y' })).toBe(
      'fail  disk       x\n                 -> y',
    );
  });
});
