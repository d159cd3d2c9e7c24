/**
 * Gaps of a recording by eegd: a string stream of type `Gaps` beside each signal, one sample a gap:
 * "STREAM FRAME MISSING", the signal's stream id, its first sample after the gap, and the samples
 * missing before it. What the amplifier's counter knew is kept, and need not be guessed from stamps.
 */
export const gapsType = 'Gaps';

export interface KnownGap {
  readonly frame: number;
  readonly missing: number;
}

export function gapText(stream: number, { frame, missing }: KnownGap): string {
  return `${stream} ${frame} ${missing}`;
}

/** The gaps of one signal of `samples` samples, in order; texts that say none are passed over. */
export function gapsOf(stream: number, samples: number, texts: readonly string[]): KnownGap[] {
  const gaps = new Map<number, KnownGap>();
  for (const text of texts) {
    const [of, frame = 0, missing = 0] = text.split(' ').map(Number);
    const isWhole = Number.isSafeInteger(frame) && Number.isSafeInteger(missing);
    if (of === stream && isWhole && frame > 0 && frame < samples && missing > 0) {
      gaps.set(frame, { frame, missing });
    }
  }
  return [...gaps.values()].sort((a, b) => a.frame - b.frame);
}
