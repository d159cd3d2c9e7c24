/**
 * Brings a Cyton from any state to streaming: stop, reset, identify, Daisy, channels, rate,
 * auxiliary mode, begin. Each step has a time limit and a message of its own.
 */
import { EegError } from '../../src/core/errors.js';
import type { Dialog } from '../serial/dialog.js';
import {
  auxModeCommand,
  type ChannelSettings,
  channelCommand,
  defaultSettings,
  rateCommand,
} from './commands.js';
import type { AuxMode } from './packet.js';

/** All replies end so. */
const complete = /\$\$\$/;

export interface CytonSetup {
  /** One for each input: 8, or 16 with a Daisy. */
  readonly channels: readonly ChannelSettings[];
  /** 'auto': 16 channels where a Daisy answers. */
  readonly daisy: boolean | 'auto';
  readonly rateHz: number;
  readonly aux: AuxMode;
  readonly boardStamps: boolean;
}

export interface CytonBoard {
  /** e.g. `v3.1.2`; `v1` where the firmware does not say. */
  readonly firmware: string;
  readonly daisy: boolean;
}

/** Ends with the board configured and silent; `begin` makes it stream. */
export async function configure(dialog: Dialog, setup: CytonSetup): Promise<CytonBoard> {
  const found = await reset(dialog);
  const paceMs = found.firmware === 'v1' ? 20 : 0;
  const daisy = await chooseDaisy(dialog, setup, found.daisy);
  const inputs = daisy ? 16 : 8;
  for (const [i, settings] of setup.channels.slice(0, inputs).entries()) {
    if (JSON.stringify(settings) === JSON.stringify(defaultSettings)) continue;
    const expected = `"Channel set for ${i + 1}"`;
    await demand(dialog, { send: channelCommand(i, settings), paceMs, ok: /Success/, expected });
  }
  if (setup.rateHz !== 250) {
    const ok = new RegExp(`${setup.rateHz} ?Hz`);
    const expected = `"Sample rate set to ${setup.rateHz}Hz" (firmware 3 or newer)`;
    await demand(dialog, { send: rateCommand(setup.rateHz), paceMs, ok, expected });
  }
  if (setup.aux !== 'accel' && setup.aux !== 'none') {
    const expected = `"Board mode set to ${setup.aux}" (firmware 3 or newer)`;
    await demand(dialog, {
      send: auxModeCommand[setup.aux],
      paceMs,
      ok: /Success|set to/,
      expected,
    });
  }
  if (setup.boardStamps) {
    await demand(dialog, { send: '<', paceMs, ok: /[Tt]ime ?stamp/, expected: '"Time stamp ON"' });
  }
  return { firmware: found.firmware, daisy };
}

export async function begin(dialog: Dialog): Promise<void> {
  await dialog.send('b');
}

async function reset(dialog: Dialog): Promise<CytonBoard> {
  await dialog.send('s');
  await dialog.quiet(150, 1500);
  let answer: string | undefined;
  // A board that was just switched on may miss the first command while its radio pairs.
  for (let attempt = 0; attempt < 2 && answer === undefined; attempt++) {
    answer = await dialog.ask({ send: 'v', until: complete, withinMs: 2000 });
  }
  if (answer === undefined) {
    throw dialog.error(
      'EEG_DEVICE_UNAVAILABLE',
      'the greeting of an OpenBCI Cyton at 115200 baud',
      'check that this is the OpenBCI dongle, that its switch is at GPIO 6 and the board is on',
    );
  }
  if (/Failure/i.test(answer)) {
    throw new EegError(
      'EEG_DEVICE_UNAVAILABLE',
      `${dialog.port.path}: the dongle answers, but not the board (${oneLine(answer)})`,
      {
        hint: 'switch the Cyton to PC, check its battery and that the dongle is set to GPIO 6',
        context: { silent: true },
      },
    );
  }
  if (!/OpenBCI|ADS1299/i.test(answer)) {
    throw new EegError(
      'EEG_DEVICE_PROTOCOL',
      `${dialog.port.path}: expected the greeting of an OpenBCI Cyton, got ${oneLine(answer)}`,
      { hint: 'this port belongs to another device, or the firmware is not a Cyton’s' },
    );
  }
  const firmware = /Firmware: *(v[\d.]+)/.exec(answer)?.[1] ?? 'v1';
  return { firmware, daisy: /Daisy/i.test(answer) };
}

async function chooseDaisy(dialog: Dialog, setup: CytonSetup, seen: boolean): Promise<boolean> {
  const wanted = setup.daisy === 'auto' ? seen : setup.daisy;
  if (!wanted) {
    if (seen) await dialog.ask({ send: 'c', until: complete, withinMs: 2000 });
    return false;
  }
  const answer = await dialog.ask({ send: 'C', until: complete, withinMs: 3000 });
  if (answer !== undefined && /16/.test(answer)) return true;
  throw new EegError(
    'EEG_DEVICE_PROTOCOL',
    `${dialog.port.path}: daisy=1, but the board says ${oneLine(answer ?? 'nothing')}`,
    { hint: 'push the Daisy onto the Cyton, or leave daisy=1 out' },
  );
}

interface Demand {
  readonly send: string;
  readonly paceMs: number;
  readonly ok: RegExp;
  readonly expected: string;
}

async function demand(dialog: Dialog, { send, paceMs, ok, expected }: Demand): Promise<void> {
  const answer = await dialog.ask({ send, paceMs, until: complete, withinMs: 2000 });
  if (answer !== undefined && ok.test(answer)) return;
  const got = answer === undefined ? 'nothing within 2 s' : oneLine(answer);
  throw new EegError(
    'EEG_DEVICE_PROTOCOL',
    `${dialog.port.path}: sent ${send}, expected ${expected}, got ${got}`,
    { hint: 'update the board’s firmware, or leave the option out' },
  );
}

function oneLine(answer: string): string {
  return JSON.stringify(answer.replace(/\s+/g, ' ').replaceAll('$$$', '').trim().slice(0, 120));
}
