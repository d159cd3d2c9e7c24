/** Small EDF+ files of noise, with annotations, laid out as a test wants them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Rng } from '../../src/core/rng.js';
import { edfBytes, tal } from '../formats/edf-file.js';

export interface MadeEdf {
  readonly seconds: number;
  readonly labels?: readonly string[];
  readonly rateHz?: number;
  readonly seed?: number;
  /** Onset, duration, text. */
  readonly notes?: readonly (readonly [number, number, string])[];
  /** Digital units a channel and second are multiplied by. */
  gain?(channel: number, second: number): number;
}

export function writeEdf(root: string, name: string, made: MadeEdf): string {
  const { seconds, labels = ['C3', 'C4'], rateHz = 100, notes = [] } = made;
  const rng = new Rng(made.seed ?? 1);
  const signals = labels.map((label, c) => ({
    label,
    physical: [-3276.8, 3276.7] as const,
    perRecord: rateHz,
    samples: Array.from({ length: seconds * rateHz }, (_, i) =>
      Math.round(200 * (made.gain?.(c, Math.floor(i / rateHz)) ?? 1) * rng.normal()),
    ),
  }));
  const texts = notes.map(([onset, duration, text]) => [`${onset}`, `${duration}`, text] as const);
  const tals = Array.from({ length: seconds }, (_, s) => tal(s, ...(s === 0 ? texts : [])));
  const longest = Math.max(...tals.map((text) => Buffer.byteLength(text)));
  const perRecord = Math.ceil((longest + 2) / 2);
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(
    path,
    edfBytes({ signals: [...signals, { label: 'EDF Annotations', perRecord, tals }] }),
  );
  return path;
}

export function writeText(root: string, name: string, text: string): void {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
