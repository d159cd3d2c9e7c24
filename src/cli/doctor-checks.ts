/**
 * What `eegd doctor` looks at: each check gives a line, ok, warn or fail, and what to do about it.
 * A check never throws: what it cannot find out it says.
 */
import { access, constants, readdir, readFile, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { listPorts, type Roots, type SerialPortFound } from '../../drivers/serial/discovery.js';

export interface CheckLine {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do; only where it is not ok. */
  readonly mend?: string;
}

export const ok = (check: string, detail: string): CheckLine => ({ check, state: 'ok', detail });
export const warn = (check: string, detail: string, mend: string): CheckLine => ({
  ...{ check, state: 'warn', detail, mend },
});
export const fail = (check: string, detail: string, mend: string): CheckLine => ({
  ...{ check, state: 'fail', detail, mend },
});

const gib = 2 ** 30;
const diskWarnGib = 5;
const diskFailGib = 0.5;

export function checkNode(version = process.versions.node): CheckLine {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return ok('node', `Node ${version}`);
  return fail('node', `expected Node 20.19 or later, got ${version}`, 'install a newer Node');
}

/** Space where recordings and checkpoints go: the nearest folder that exists already. */
export async function checkDisk(folder: string): Promise<CheckLine> {
  let place = folder;
  for (;;) {
    try {
      const { bavail, bsize } = await statfs(place);
      return diskLine(place, (Number(bavail) * Number(bsize)) / gib);
    } catch {
      const parent = dirname(place);
      if (parent === place)
        return warn('disk', `${folder} cannot be looked at`, 'check the path and its permissions');
      place = parent;
    }
  }
}

/** `freeGib`: free space for users, GiB. */
export function diskLine(place: string, freeGib: number): CheckLine {
  const detail = `${freeGib.toFixed(1)} GiB free at ${place}`;
  // 32 channels of float32 at 500 Hz are 5.5 GiB a day.
  if (freeGib < diskFailGib) return fail('disk', detail, 'free some space: recordings will stop');
  if (freeGib < diskWarnGib) return warn('disk', detail, 'free some space before a long recording');
  return ok('disk', detail);
}

/** The ports there are, and whether this user may open them. */
export async function checkSerial(
  roots: Roots = { sys: '/sys', dev: '/dev' },
  list: (roots: Roots) => Promise<SerialPortFound[]> = listPorts,
): Promise<CheckLine[]> {
  const ports = await list(roots).catch(() => []);
  if (ports.length === 0) return [ok('serial', 'no serial port is plugged in')];
  return ports.map((port) => {
    const what = `${port.path} (${port.what})`;
    if (port.inUse)
      return warn('serial', `${what} is open in another program`, 'close the other program');
    if (port.openable) return ok('serial', `${what} can be opened`);
    const mend = 'sudo usermod -aG dialout $USER, then log in again';
    return fail('serial', `${what}: no permission to open it`, mend);
  });
}

export interface User {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** Membership of the group that owns serial ports. */
export async function checkGroup(
  file = '/etc/group',
  user: User = { uid: process.getuid?.() ?? 0, groups: process.getgroups?.() ?? [] },
): Promise<CheckLine> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const line = text.split('\n').find((one) => /^(dialout|uucp):/.test(one));
  const [name, , id] = line?.split(':') ?? [];
  if (name === undefined) return ok('group', 'this system has no group for serial ports');
  if (user.uid === 0) return ok('group', 'root may open every port');
  if (user.groups.includes(Number(id))) return ok('group', `you are in the group ${name}`);
  const mend = `sudo usermod -aG ${name} $USER, then log in again`;
  return warn('group', `you are not in the group ${name}`, mend);
}

/** FTDI converters hold bytes back for 16 ms unless told otherwise. */
export async function checkLatency(sys = '/sys'): Promise<CheckLine[]> {
  const folder = join(sys, 'bus/usb-serial/devices');
  const names = await readdir(folder).catch(() => []);
  const lines: CheckLine[] = [];
  for (const name of names.sort()) {
    const text = await readFile(join(folder, name, 'latency_timer'), 'utf8').catch(() => '');
    if (text === '') continue;
    const ms = Number(text);
    const mend = 'copy systemd/99-eegd-serial.rules to /etc/udev/rules.d and plug it in again';
    if (ms <= 1) lines.push(ok('latency', `${name} sends on after ${ms} ms`));
    else lines.push(warn('latency', `${name} holds bytes back for ${ms} ms`, mend));
  }
  return lines.length > 0 ? lines : [ok('latency', 'no FTDI port is plugged in')];
}

/** Is the wall clock set by somebody? It goes into file headers only, never into durations. */
export async function checkClock(
  synchronized: () => Promise<boolean | undefined> = readSynchronized,
  wallMs = Date.now(),
): Promise<CheckLine> {
  const date = new Date(wallMs).toISOString().slice(0, 16);
  const mend = 'sudo timedatectl set-ntp true';
  if (new Date(wallMs).getUTCFullYear() < 2025)
    return fail('clock', `the wall clock says ${date}`, mend);
  const state = await synchronized();
  if (state === undefined) return ok('clock', `${date} UTC; nothing says whether it is set by NTP`);
  if (state) return ok('clock', `${date} UTC, set by NTP`);
  return warn('clock', `${date} UTC, not set by NTP: dates of recordings may be wrong`, mend);
}

async function readSynchronized(): Promise<boolean | undefined> {
  if (process.platform !== 'linux') return undefined;
  const { execFile } = await import('node:child_process');
  return await new Promise((resolve) => {
    const args = ['show', '-p', 'NTPSynchronized', '--value'];
    execFile('timedatectl', args, { timeout: 3000 }, (error, text) =>
      resolve(error ? undefined : text.trim() === 'yes'),
    );
  });
}

/** May this user write where the daemon keeps its state? */
export async function checkState(folder: string): Promise<CheckLine> {
  let place = folder;
  for (;;) {
    try {
      await access(place, constants.W_OK);
      return ok('state', `${folder} can be written`);
    } catch (error) {
      const parent = dirname(place);
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === place)
        return fail('state', `${place} cannot be written`, 'set state.folder in the configuration');
      place = parent;
    }
  }
}
