/**
 * What each channel is worth, judged over the last second at every grid tick: flat, railed, NaN
 * and gaps on the raw samples, mains against EEG on the high-passed ones before the notch. Also
 * decides, once, which mains frequency a stream carries.
 */
import type { ChannelQuality } from '../core/events.js';
import { modelRateHz } from '../core/tasks.js';
import type { Mains } from './conditioner.js';
import { lineHz, linePower, sums, type Tally, ticksPerSecond, total } from './tally.js';

const flatUv = 0.1;
const railedShare = 0.05;
/** The mains line carries more than the EEG band. */
const mainsRatioHigh = 1;
/** Beyond any scalp EEG, seizures and sleep included. */
const noisyUv = 500;

/** A conditioner's last second, oldest tick first. */
export type LastSecond = readonly Tally[];

/** Power gains of the anti-alias filter at `lineHz`, 0 where the source cannot carry the line. */
export type LineGains = readonly number[];

export function judge(
  ticks: LastSecond,
  channel: number,
  label: string,
  gains: LineGains,
): ChannelQuality {
  const valid = total(ticks, channel, sums.valid);
  const power = valid === 0 ? 0 : total(ticks, channel, sums.power) / valid;
  const mains = Math.max(line(ticks, channel, 0, gains), line(ticks, channel, 1, gains));
  // A tiny floor keeps a dead channel's ratio finite.
  const mainsRatio = valid < modelRateHz ? 0 : mains / Math.max(power, 1e-6);
  const rmsUv = Math.sqrt(power);
  return { label, state: stateOf(ticks, channel, rmsUv, mainsRatio), rmsUv, mainsRatio };
}

/** Neither flat nor railed over the last second; gaps and NaN are the validity's to tell. */
export function isUsable(ticks: LastSecond, channel: number): boolean {
  const real = total(ticks, channel, sums.real);
  return real > 0 && !isRailed(ticks, channel, real) && !isFlat(ticks, channel, real);
}

function stateOf(ticks: LastSecond, channel: number, rmsUv: number, mainsRatio: number) {
  if (total(ticks, channel, sums.missing) > 0) return 'gap';
  if (total(ticks, channel, sums.nan) > 0) return 'nan';
  const real = total(ticks, channel, sums.real);
  if (real === 0) return 'gap';
  if (isRailed(ticks, channel, real)) return 'railed';
  if (isFlat(ticks, channel, real)) return 'flat';
  if (rmsUv > noisyUv) return 'noisy';
  return mainsRatio > mainsRatioHigh ? 'mains' : 'good';
}

function isRailed(ticks: LastSecond, channel: number, real: number): boolean {
  return total(ticks, channel, sums.railed) > railedShare * real;
}

function isFlat(ticks: LastSecond, channel: number, real: number): boolean {
  const mean = total(ticks, channel, sums.sum) / real;
  const variance = total(ticks, channel, sums.squares) / real - mean * mean;
  return variance < flatUv * flatUv;
}

function line(ticks: LastSecond, channel: number, l: number, gains: LineGains): number {
  return gains[l] === 0 ? 0 : linePower(ticks, channel, l) / gains[l];
}

const decisionSeconds = 8;
/** The line stands out when its power is this many times that of 54-56 Hz (geometric means). */
const standsOut = 4;

/** Decides on 50 Hz, 60 Hz or none from the first 8 whole channel-seconds after 8 s of signal. */
export class MainsDetector {
  readonly #gains: LineGains;
  /** Sums of the logarithm of each line's power. */
  readonly #logs = new Float64Array(lineHz.length);
  #channelSeconds = 0;
  #seconds = 0;

  constructor(gains: LineGains) {
    this.#gains = gains;
  }

  /** Add one second of all channels; the decision, once it can be made. */
  add(ticks: LastSecond, channels: number): Mains | undefined {
    if (ticks.length < ticksPerSecond) return undefined;
    this.#seconds++;
    for (let c = 0; c < channels; c++) {
      if (total(ticks, c, sums.valid) < modelRateHz || !isUsable(ticks, c)) continue;
      this.#channelSeconds++;
      for (let l = 0; l < lineHz.length; l++) {
        this.#logs[l] += Math.log(line(ticks, c, l, this.#gains) + 1e-9);
      }
    }
    const enough = this.#seconds >= decisionSeconds && this.#channelSeconds >= decisionSeconds;
    return enough ? this.#decide() : undefined;
  }

  #decide(): Mains {
    const level = Array.from(this.#logs, (sum) => sum / this.#channelSeconds);
    const background = (level[2] + level[3] + level[4]) / 3;
    const strongest = level[0] > level[1] ? 0 : 1;
    if (level[strongest] - background < Math.log(standsOut)) return 'none';
    return strongest === 0 ? 50 : 60;
  }
}
