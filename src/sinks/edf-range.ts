/** Header fields of EDF+ and BDF+, and the digital range a live channel is written in. */
import type { ChannelInfo } from '../core/stream.js';

export interface SignalRange {
  /** As they stand in the header, 8 characters at most. */
  readonly physicalMin: string;
  readonly physicalMax: string;
  readonly digitalMax: number;
  /** `physical = digital * gain + offset`, from the numbers as written. */
  readonly gain: number;
  readonly offset: number;
}

/**
 * The range must be known before the samples are. BDF has room for any amplifier (262 mV in steps
 * of 0.03 uV). In EDF an amplifier's own range is taken where it is narrow; else `halfRangeUv`
 * around the median of the first second, for direct-coupled amplifiers stand far from zero.
 */
export function edfRange(
  channel: ChannelInfo,
  firstValues: readonly number[],
  bytesPerSample: 2 | 3,
  halfRangeUv: number,
): SignalRange {
  const sorted = [...firstValues].sort((a, b) => a - b);
  const middle = sorted[sorted.length >> 1] ?? 0;
  const most = Math.max(Math.abs(sorted[0] ?? 0), Math.abs(sorted.at(-1) ?? 0));
  const { fullScale, unit } = channel;
  if (bytesPerSample === 3) {
    const half = unit === 'uV' ? Math.max(262_143, fullScale ?? 0) : (fullScale ?? most * 64);
    return range(-half, half, 8_388_607);
  }
  if (fullScale !== undefined && (unit !== 'uV' || fullScale <= halfRangeUv)) {
    return range(-fullScale, fullScale, 32_767);
  }
  if (unit !== 'uV') return range(-(most * 8 || 1), most * 8 || 1, 32_767);
  const centre = Math.round(middle);
  return range(centre - halfRangeUv, centre + halfRangeUv, 32_767);
}

function range(low: number, high: number, digitalMax: number): SignalRange {
  const physicalMin = field8(low);
  const physicalMax = field8(high === low ? low + 1 : high);
  const gain = (Number(physicalMax) - Number(physicalMin)) / (2 * digitalMax);
  const offset = Number(physicalMin) + digitalMax * gain;
  return { physicalMin, physicalMax, digitalMax, gain, offset };
}

/** The most exact decimal that fits into 8 characters. */
export function field8(value: number): string {
  for (let digits = 7; digits >= 0; digits--) {
    const text = value.toFixed(digits);
    if (text.length <= 8) return digits > 0 ? text.replace(/\.?0+$/, '') : text;
  }
  return value < 0 ? '-9999999' : '99999999';
}

export interface EdfHeaderFields {
  readonly isBdf: boolean;
  readonly reserved: string;
  readonly startWallMs: number;
  readonly equipment: string;
  readonly recordS: number;
  readonly perRecord: number;
  readonly talSamples: number;
  readonly channels: readonly ChannelInfo[];
  readonly ranges: readonly SignalRange[];
}

const months = 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ');

export function edfHeaderBytes(fields: EdfHeaderFields): Buffer {
  const { channels, ranges, isBdf } = fields;
  const start = new Date(fields.startWallMs);
  const two = (n: number): string => String(n).padStart(2, '0');
  const [day, month, year] = [start.getUTCDate(), start.getUTCMonth(), start.getUTCFullYear()];
  const date = `${two(day)}.${two(month + 1)}.${two(year % 100)}`;
  const time = [start.getUTCHours(), start.getUTCMinutes(), start.getUTCSeconds()].map(two);
  const recording = `Startdate ${two(day)}-${months[month]}-${year} X X ${fields.equipment}`;
  const count = channels.length + 1;
  const text = (value: string | number, width: number): string => ascii(String(value), width);
  const column = (width: number, of: (i: number) => string | number, tals: string | number) =>
    `${channels.map((_, i) => text(of(i), width)).join('')}${text(tals, width)}`;
  const limit = isBdf ? 8_388_608 : 32_768;
  const header = [
    isBdf ? '\xffBIOSEMI' : text('0', 8),
    text('X X X X', 80),
    text(recording, 80),
    text(date, 8),
    text(time.join('.'), 8),
    text(256 * (count + 1), 8),
    text(fields.reserved, 44),
    text(-1, 8),
    text(field8(fields.recordS), 8),
    text(count, 4),
    column(16, (i) => channels[i]?.label ?? '', isBdf ? 'BDF Annotations' : 'EDF Annotations'),
    column(80, () => '', ''),
    column(8, (i) => channels[i]?.unit ?? '', ''),
    column(8, (i) => ranges[i]?.physicalMin ?? '', -1),
    column(8, (i) => ranges[i]?.physicalMax ?? '', 1),
    column(8, (i) => -(ranges[i]?.digitalMax ?? 0), -limit),
    column(8, (i) => ranges[i]?.digitalMax ?? 0, limit - 1),
    column(80, () => '', ''),
    column(8, () => fields.perRecord, fields.talSamples),
    column(32, () => '', ''),
  ];
  return Buffer.from(header.join(''), 'latin1');
}

/** Printable ASCII only, cut or padded to the field. */
function ascii(text: string, width: number): string {
  return text
    .replace(/\u00b5|\u03bc/g, 'u')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, width)
    .padEnd(width);
}
