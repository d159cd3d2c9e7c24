/** `eegd record ADDRESS FILE`: any stream to XDF, EDF+ or BDF+, without a daemon and a model. */
import type { Command } from 'commander';
import { EegError } from '../core/errors.js';
import type { DriverEvent } from '../core/stream.js';

interface RecordFlags {
  readonly seconds?: string;
  readonly halfRange?: string;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .argument('<address>', 'what to record, e.g. lsl:NAME, cyton:/dev/ttyUSB0, replay:FILE')
    .argument('<file>', 'a new .xdf, .edf or .bdf file')
    .option('-t, --seconds <number>', 'stop after so many seconds of signal')
    .option('--half-range <microvolts>', 'EDF: half the range of an EEG channel')
    .option('--json', 'one JSON object at the end')
    .addHelpText(
      'after',
      `
Ctrl-C ends the recording. Killed at any moment, the file can be read up to the last second.

Examples:
  eegd record lsl:openbci night.xdf
  eegd record cyton:/dev/ttyUSB0 trial.edf --seconds 300
  eegd record "replay:night.edf?speed=max" night.xdf`,
    )
    .action(record);
}

async function record(address: string, path: string, flags: RecordFlags): Promise<void> {
  const { driverFor } = await import('../../drivers/registry.js');
  const { recordStream } = await import('../sinks/record-stream.js');
  const { checkExtension } = await import('../sinks/recorder.js');
  const seconds = numberOf(flags.seconds, '--seconds');
  const halfRangeUv = numberOf(flags.halfRange, '--half-range');
  checkExtension(path);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  const driver = await driverFor(address);
  const quiet = flags.json === true;
  const { info, totals } = await recordStream(driver, path, stop, {
    ...(seconds === undefined ? {} : { seconds }),
    ...(halfRangeUv === undefined ? {} : { halfRangeUv }),
    onEvent: (event) => quiet || tell(event),
  });
  const summary = { file: path, stream: info.id, rateHz: info.rateHz, ...totals };
  process.stdout.write(`${quiet ? JSON.stringify(summary) : sentence(summary)}\n`);
}

function numberOf(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0) return value;
  throw new EegError('EEG_USAGE', `${name}: expected a number above 0, got "${text}"`);
}

function tell(event: DriverEvent): void {
  const line = lineOf(event);
  if (line !== undefined) process.stderr.write(`${line}\n`);
}

function lineOf(event: DriverEvent): string | undefined {
  if (event.kind === 'info') {
    const { name, channels, rateHz } = event.info;
    return `recording ${name}: ${channels.length} channels at ${rateHz} Hz`;
  }
  if (event.kind === 'gap') return `gap: ${event.missing} samples (${event.reason})`;
  if (event.kind === 'status') {
    return event.detail ? `${event.state}: ${event.detail}` : event.state;
  }
  return undefined;
}

function sentence(summary: {
  file: string;
  rateHz: number;
  frames: number;
  droppedFrames: number;
  clippedValues: number;
  bytes: number;
}): string {
  const { file, rateHz, frames, droppedFrames, clippedValues, bytes } = summary;
  const seconds = rateHz > 0 ? `, ${(frames / rateHz).toFixed(1)} s` : '';
  const losses = [
    droppedFrames > 0 ? `${droppedFrames} samples lost to a slow disk` : '',
    clippedValues > 0 ? `${clippedValues} values beyond the range (see --half-range)` : '',
  ].filter((text) => text !== '');
  return [`${file}: ${frames} samples${seconds}, ${bytes} bytes`, ...losses].join('; ');
}
