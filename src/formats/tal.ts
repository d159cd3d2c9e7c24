/**
 * Time-stamped annotation lists of EDF+ (Kemp and Olivan 2003, section 2.2.2):
 * `+onset[0x15 duration] 0x14 text 0x14 ... 0x14 0x00`, UTF-8, padded with zeros.
 */
import type { Annotation } from './recording.js';

export interface RecordTals {
  /** Onset of the time-keeping list (the first, whose first text is empty). */
  readonly recordOnsetS?: number;
  readonly annotations: readonly Annotation[];
}

/** The lists in one record's annotation signal. Undefined where the bytes are no such lists. */
export function parseTals(bytes: Buffer): RecordTals | undefined {
  const annotations: Annotation[] = [];
  let recordOnsetS: number | undefined;
  let position = 0;
  while (position < bytes.length) {
    if (bytes[position] === 0) {
      position++;
      continue;
    }
    let end = bytes.indexOf(0, position);
    if (end < 0) end = bytes.length;
    const parts = bytes.toString('utf8', position, end).split('\u0014');
    const [onset, duration = ''] = (parts[0] ?? '').split('\u0015');
    if (onset === undefined || !/^[+-]\d+(\.\d*)?$/.test(onset)) return undefined;
    if (!/^(\d+(\.\d*)?)?$/.test(duration)) return undefined;
    const onsetS = Number(onset);
    const durationS = Number(duration);
    if (recordOnsetS === undefined && parts[1] === '') recordOnsetS = onsetS;
    for (const text of parts.slice(1)) {
      if (text !== '') annotations.push({ onsetS, durationS, text });
    }
    position = end + 1;
  }
  return { ...(recordOnsetS === undefined ? {} : { recordOnsetS }), annotations };
}

/** One list, for a writer. Control characters would end it early and are taken out. */
export function formatTal(onsetS: number, durationS: number | undefined, texts: string[]): Buffer {
  const sign = onsetS < 0 ? '-' : '+';
  const duration = durationS === undefined ? '' : `\u0015${seconds(durationS)}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: 0x14, 0x15 and 0 are the delimiters
  const clean = texts.map((text) => text.replace(/[\u0000\u0014\u0015]/g, ' '));
  return Buffer.from(
    `${sign}${seconds(Math.abs(onsetS))}${duration}\u0014${clean.join('\u0014')}\u0014\u0000`,
  );
}

function seconds(value: number): string {
  return value.toFixed(7).replace(/\.?0+$/, '');
}
