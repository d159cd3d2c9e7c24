/** The Cyton's ASCII commands (docs.openbci.com, "Cyton SDK"), as functions that make them. */

export const gains: readonly number[] = [1, 2, 4, 6, 8, 12, 24];
export const rates: readonly number[] = [16000, 8000, 4000, 2000, 1000, 500, 250];
export const inputs = [
  'normal',
  'shorted',
  'bias_measurement',
  'supply',
  'temperature',
  'test',
  'bias_positive',
  'bias_negative',
] as const;
export type Input = (typeof inputs)[number];

export interface ChannelSettings {
  readonly on: boolean;
  readonly gain: number;
  readonly input: Input;
  readonly bias: boolean;
  readonly srb2: boolean;
  readonly srb1: boolean;
}

/** What the board has after `d` or a reset. */
export const defaultSettings: ChannelSettings = {
  on: true,
  gain: 24,
  input: 'normal',
  bias: true,
  srb2: true,
  srb1: false,
};

const channelNames = '12345678QWERTYUI';
const bit = (value: boolean) => (value ? '1' : '0');

/** `x CH POWER_DOWN GAIN INPUT BIAS SRB2 SRB1 X`; `channel` counts from 0. */
export function channelCommand(channel: number, settings: ChannelSettings): string {
  const gain = gains.indexOf(settings.gain);
  const { on, input, bias, srb2, srb1 } = settings;
  const setup = `${bit(!on)}${gain}${inputs.indexOf(input)}${bit(bias)}${bit(srb2)}${bit(srb1)}`;
  return `x${channelNames[channel]}${setup}X`;
}

/** `z CH P N Z`: the 6 nA lead-off current on the P or N input. */
export function leadOffCommand(channel: number, drive: { p: boolean; n: boolean }): string {
  return `z${channelNames[channel]}${bit(drive.p)}${bit(drive.n)}Z`;
}

export function rateCommand(rateHz: number): string {
  return `~${rates.indexOf(rateHz)}`;
}

export const auxModeCommand = {
  accel: '/0',
  none: '/0',
  analog: '/2',
  digital: '/3',
  marker: '/4',
} as const;
