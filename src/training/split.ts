/** Which side of the split a recording lies on, and the refusal of anything that lies on two. */
import { EegError } from '../core/errors.js';
import type { RecordingRef } from './datasets/dataset.js';

export const sides = ['train', 'validation', 'test'] as const;
export type Side = (typeof sides)[number];

export interface SplitRules {
  readonly by: 'subject' | 'recording';
  readonly train?: readonly string[] | undefined;
  readonly validation: readonly string[];
  readonly test: readonly string[];
}

/** `*` stands for any text, `[3-5]` for one of these characters. */
export function matches(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    const escaped = pattern.replace(/[.+?^${}()|\\]/g, '\\$&').replace(/\*/g, '.*');
    return new RegExp(`^${escaped}$`).test(name);
  });
}

/**
 * Recordings that no side names are left out where `train` is given, else they are training.
 * @throws EEG_DATA_LEAKAGE where a recording is named on two sides, or a person is on two sides of
 * a set of several people. EEG_DATA_INVALID for a pattern that names nothing.
 */
export function assignSides<T extends RecordingRef>(
  set: string,
  refs: readonly T[],
  rules: SplitRules,
): (T & { side: Side })[] {
  const nameOf = (ref: T): string => (rules.by === 'subject' ? ref.subject : ref.id);
  refuseIdlePatterns(set, refs.map(nameOf), rules);
  const placed: (T & { side: Side })[] = [];
  for (const ref of refs) {
    const found = sides.filter((side) => matches(rules[side] ?? [], nameOf(ref)));
    if (found.length > 1)
      throw new EegError(
        'EEG_DATA_LEAKAGE',
        `set ${set}: ${rules.by} ${nameOf(ref)} is named for ${found.join(' and ')}`,
      );
    const side = found[0] ?? (rules.train === undefined ? 'train' : undefined);
    if (side !== undefined) placed.push({ ...ref, side });
  }
  const people = new Set(placed.map((ref) => ref.subject));
  if (people.size > 1) refusePeopleOnTwoSides(set, placed);
  return placed;
}

function refusePeopleOnTwoSides(
  set: string,
  placed: readonly (RecordingRef & { side: Side })[],
): void {
  const seen = new Map<string, Side>();
  for (const { subject, side } of placed) {
    const other = seen.get(subject);
    if (other !== undefined && other !== side)
      throw new EegError(
        'EEG_DATA_LEAKAGE',
        `set ${set}: recordings of subject ${subject} are in ${other} and in ${side}`,
      );
    seen.set(subject, side);
  }
}

function refuseIdlePatterns(set: string, names: readonly string[], rules: SplitRules): void {
  for (const side of sides)
    for (const pattern of rules[side] ?? [])
      if (!names.some((name) => matches([pattern], name)))
        throw new EegError(
          'EEG_DATA_INVALID',
          `set ${set}: split.${side} names ${pattern}, but there is no such ${rules.by}`,
        );
}

/** One file in two sets of the recipe must not be trained on in one and tested on in the other. */
export function refuseSharedFiles(placed: readonly (RecordingRef & { side: Side })[]): void {
  const seen = new Map<string, { side: Side; set: string }>();
  for (const { path, side, set, range } of placed) {
    if (path === undefined) continue;
    const key = range === undefined ? path : `${path}#${range.startS}`;
    const other = seen.get(key);
    if (other !== undefined && other.side !== side)
      throw new EegError(
        'EEG_DATA_LEAKAGE',
        `${path} is in ${other.side} of set ${other.set} and in ${side} of set ${set}`,
      );
    seen.set(key, { side, set });
  }
}
