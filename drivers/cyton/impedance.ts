/**
 * Electrode impedance by the ADS1299's lead-off current, 6 nA at an eighth of the sampling rate
 * (31.25 Hz), one channel after the other. Ohms as OpenBCI's GUI counts them: amplitude of that
 * tone over 6 nA, less the 2.2 kOhm in series with each input.
 */
import { EegError } from '../../src/core/errors.js';
import { parseSerialAddress } from '../serial/address.js';
import { FrameReader } from '../serial/frame-reader.js';
import { type Line, openLine } from '../serial/line.js';
import { type SerialWorld, serialWorld } from '../serial/session.js';
import { configure } from './bring-up.js';
import { channelCommand, leadOffCommand } from './commands.js';
import { cytonFamily, cytonOptions, optionNames } from './driver.js';
import { countsMax, cytonFormat, int24, uvPerCount } from './packet.js';

const driveA = 6e-9;
const seriesOhm = 2200;
/** The tone has 8 samples a period: whole periods, after the high-pass of the electrode settled. */
const settleSamples = 200;
const samples = 400;
const gain = 24;
const complete = /\$\$\$/;

export interface ChannelImpedance {
  readonly label: string;
  /** Infinite where the input was at its rail: no contact. */
  readonly ohms: number;
}

/**
 * Takes about 3 s a channel; the port must not be streaming. `address` as for `CytonDriver`.
 * Rejects with `EEG_DEVICE_*`.
 */
export async function measureImpedance(
  address: string,
  world: Partial<SerialWorld> = {},
): Promise<ChannelImpedance[]> {
  const { path, options: given } = parseSerialAddress(address, optionNames);
  const options = { ...cytonOptions(given), rateHz: 250, aux: 'none' as const };
  const line = await openLine(path, cytonFamily(options), { ...serialWorld, ...world });
  try {
    const board = await configure(line.dialog, options);
    const results: ChannelImpedance[] = [];
    for (let i = 0; i < (board.daisy ? 16 : 8); i++) {
      const settings = options.channels[i];
      if (settings?.on !== true) continue;
      await command(line, channelCommand(i, { ...settings, gain }));
      // With SRB2 as reference the electrode is at the negative input.
      const drive = { p: !settings.srb2, n: settings.srb2 };
      await command(line, leadOffCommand(i, drive));
      const ohms = ohmsOf(await record(line, i, board.daisy), board.daisy);
      await command(line, leadOffCommand(i, { p: false, n: false }));
      await command(line, channelCommand(i, settings));
      results.push({ label: options.labels[i] ?? String(i + 1), ohms });
    }
    return results;
  } finally {
    await line.close();
  }
}

async function command(line: Line, send: string): Promise<void> {
  const answer = await line.dialog.ask({ send, until: complete, withinMs: 2000 });
  if (answer !== undefined && /Success/.test(answer)) return;
  const expected = `"Success" after ${send}`;
  throw line.dialog.error('EEG_DEVICE_PROTOCOL', expected, 'update the board’s firmware');
}

/** Volts of one input, `samples` of them after settling. */
async function record(line: Line, input: number, daisy: boolean): Promise<Float64Array> {
  const volts = new Float64Array(samples);
  const parity = input < 8 ? 1 : 0;
  let taken = -settleSamples;
  const { clock } = line.dialog;
  await new Promise<void>((resolve, reject) => {
    const cancel = clock.setTimeout(() => {
      const got = `${Math.max(0, taken)} of ${samples} samples came in 10 s`;
      reject(new EegError('EEG_DEVICE_UNAVAILABLE', `impedance of input ${input + 1}: ${got}`));
    }, 10_000);
    const reader = new FrameReader(cytonFormat, ({ bytes, at, counter, lost }) => {
      if (daisy && (counter & 1) !== parity) return;
      // A tone with a hole has no phase: begin again after a loss.
      if (lost > 0) taken = Math.min(taken, 0);
      if (taken >= 0 && taken < samples) {
        const scale = uvPerCount(gain) / 1e6;
        volts[taken] = int24(bytes, at + 2 + 3 * (input % 8)) * scale;
      }
      if (++taken < samples) return;
      cancel();
      resolve();
    });
    line.divert((bytes) => reader.push(bytes));
    line.dialog.send('b').catch(reject);
  }).finally(() => line.divert(undefined));
  await line.dialog.send('s');
  await line.dialog.quiet(100, 1000);
  return volts;
}

/**
 * Fourier sum at 31.25 Hz over whole periods. With a Daisy every value is the mean of two samples,
 * which weakens the tone by cos(pi/8), and comes at half the rate.
 */
function ohmsOf(volts: Float64Array, daisy: boolean): number {
  const step = daisy ? Math.PI / 2 : Math.PI / 4;
  const averaging = daisy ? Math.cos(Math.PI / 8) : 1;
  const railed = uvPerCount(gain) * countsMax * 0.99e-6;
  let re = 0;
  let im = 0;
  for (const [n, value] of volts.entries()) {
    if (Math.abs(value) > railed) return Number.POSITIVE_INFINITY;
    re += value * Math.cos(step * n);
    im += value * Math.sin(step * n);
  }
  const amplitude = ((2 / volts.length) * Math.hypot(re, im)) / averaging;
  return Math.max(0, amplitude / driveA - seriesOhm);
}
