/**
 * What a channel is, guessed from its label, and how its unit becomes microvolts. Files seldom say
 * more than a label and a dimension.
 */
import type { ChannelInfo, ChannelKind } from '../core/stream.js';

const kindPatterns: readonly (readonly [RegExp, ChannelKind])[] = [
  [/\b(status|stim|sti\s?\d+|trig(ger)?|dtrig|events?|markers?)\b/i, 'trigger'],
  [/eog|\bloc\b|\broc\b|^e[12]-/i, 'eog'],
  [/emg|\bchin\d?\b/i, 'emg'],
  [/ecg|ekg/i, 'ecg'],
  [/\bacc(el)?|accelero|\bgyro/i, 'accel'],
  [/resp|airflow|\bflow\b|thor|abd|snore|sao2|spo2|\bpulse|pleth/i, 'misc'],
  // CHB-MIT fills montages up with signals called "-" or "--3".
  [/^[-.]+\d*$|\bvns\b/i, 'misc'],
  [/\btemp|\bgsr\b|\beda\b|body.?pos/i, 'misc'],
  [/^(aux|exg|erg|dc)[\s\-_]?/i, 'aux'],
];

/** The type a label speaks of; `eeg` where it speaks of none, for most labels are electrodes. */
export function guessKind(label: string, unit = 'uV'): ChannelKind {
  for (const [pattern, kind] of kindPatterns) if (pattern.test(label)) return kind;
  if (/^eeg\b/i.test(label)) return 'eeg';
  return microvoltsPer(unit) === undefined && unit !== '' ? 'misc' : 'eeg';
}

/** Microvolts in one `unit`, undefined where `unit` is no voltage. */
export function microvoltsPer(unit: string): number | undefined {
  switch (unit.trim().replace(/\u00b5|\u03bc/g, 'u')) {
    case 'uV':
    case 'microvolts':
    case 'microvolt':
    case 'Microvolts':
      return 1;
    case 'nV':
    case 'nanovolts':
      return 1e-3;
    case 'mV':
    case 'millivolts':
      return 1e3;
    case 'V':
    case 'volts':
      return 1e6;
    default:
      return undefined;
  }
}

/**
 * The channel and the factor to its unit. EEG of no stated unit is taken as microvolts, which is
 * what recorders that leave it out write.
 */
export function describeChannel(
  label: string,
  unit: string,
  kind: ChannelKind = guessKind(label, unit),
): { channel: ChannelInfo; factor: number } {
  const factor = microvoltsPer(unit);
  if (factor !== undefined) return { channel: { label, kind, unit: 'uV' }, factor };
  const plain = unit === '' && kind === 'eeg' ? 'uV' : unit;
  return { channel: { label, kind, unit: plain }, factor: 1 };
}

/** The rate most EEG channels have (ties: the higher); of all channels where none is EEG. */
export function chooseRate(channels: readonly { kind: ChannelKind; rateHz: number }[]): number {
  const eeg = channels.filter((channel) => channel.kind === 'eeg');
  const count = new Map<number, number>();
  for (const { rateHz } of eeg.length > 0 ? eeg : channels) {
    count.set(rateHz, (count.get(rateHz) ?? 0) + 1);
  }
  let best = 0;
  for (const [rateHz, n] of count) {
    const most = count.get(best) ?? 0;
    if (n > most || (n === most && rateHz > best)) best = rateHz;
  }
  return best;
}

/** Kinds by the channel types of the XDF meta-data convention, in lower case. */
export const kindOfType: Readonly<Record<string, ChannelKind>> = {
  eeg: 'eeg',
  eog: 'eog',
  emg: 'emg',
  ecg: 'ecg',
  ekg: 'ecg',
  acc: 'accel',
  accelerometer: 'accel',
  aux: 'aux',
  trg: 'trigger',
  trigger: 'trigger',
  stim: 'trigger',
  markers: 'trigger',
  misc: 'misc',
};
