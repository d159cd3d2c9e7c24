/**
 * From channel labels as devices and files write them to places on the head: active electrode
 * and, where the label or the device tells it, the reference.
 */
import type { StreamInfo } from '../core/stream.js';
import { type Direction, electrodeTable } from './electrode-table.js';

/** Names of the older 10-20 system. */
const renamed: Readonly<Record<string, string>> = { T3: 'T7', T4: 'T8', T5: 'P7', T6: 'P8' };

export interface ElectrodePair {
  /** In upper case, by the 10-05 name; absent = not recognised. */
  readonly active?: string;
  /** Absent = none named, an average or linked reference, or not recognised. */
  readonly reference?: string;
}

/** What a label names, e.g. `EEG Fpz-Cz`, `Fc5.`, `T3-A2`, `EEG FP1-Ref`, `T8-P8-1`. */
export function parseElectrodes(label: string): ElectrodePair {
  const text = label
    .trim()
    .replace(/^(EEG|EXG|POL|REF)[\s_:]+/i, '')
    .replace(/\.+$/, '');
  const [first = '', second = ''] = text.split(/\s*[-–/:_]\s*/);
  const active = electrodeName(first);
  const reference = electrodeName(second);
  return {
    ...(active !== undefined && { active }),
    ...(active !== undefined && reference !== undefined && { reference }),
  };
}

function electrodeName(text: string): string | undefined {
  const upper = text.trim().replace(/\.+$/, '').toUpperCase();
  const name = renamed[upper] ?? upper;
  return electrodeTable.has(name) ? name : undefined;
}

/**
 * `[channels, 6]`: unit-sphere xyz (x right, y front, z up) of the active and of the reference
 * electrode, zeros where unknown. `order` picks channels by their place; default all EEG ones.
 * A position the device itself tells goes before the label's.
 */
export function electrodePositions(info: StreamInfo, order?: readonly number[]): Float32Array {
  const eeg = info.channels.flatMap((channel, i) => (channel.kind === 'eeg' ? [i] : []));
  const places = order ?? eeg;
  const positions = new Float32Array(places.length * 6);
  for (const [row, place] of places.entries()) {
    const { label, position } = info.channels[place];
    const { active, reference } = parseElectrodes(label);
    positions.set(unit(position) ?? directionOf(active), row * 6);
    positions.set(directionOf(reference), row * 6 + 3);
  }
  return positions;
}

const unknown: Direction = [0, 0, 0];

function directionOf(name: string | undefined): Direction {
  return (name === undefined ? undefined : electrodeTable.get(name)) ?? unknown;
}

function unit(position: Direction | undefined): Direction | undefined {
  if (position === undefined) return undefined;
  const length = Math.hypot(...position);
  if (!(length > 0) || !Number.isFinite(length)) return undefined;
  return [position[0] / length, position[1] / length, position[2] / length];
}
