/** From a span of time on a live stream to the samples of a labelled trial. */
import { EegError } from '../core/errors.js';
import { gridSamples, modelRateHz, patchSamples } from '../core/tasks.js';
import type { Reference } from '../signal/alignment.js';
import type { LabelledSource } from './adaptation-host.js';
import type { TrialSignal } from './trial-signal.js';

export interface Span {
  /** LSL seconds. */
  readonly startS: number;
  readonly durationS: number;
}

export interface CutTrial {
  readonly startS: number;
  readonly startSample: number;
  readonly signal: TrialSignal;
}

/** Index on the 200 Hz grid (a multiple of 50) nearest to a time. */
export function sampleAt(source: LabelledSource, timeS: number): number {
  const anchor = source.nextSample;
  const index = anchor + (timeS - source.stampS(anchor)) * modelRateHz;
  return Math.round(index / gridSamples) * gridSamples;
}

/** The trial, or undefined while its end has not come. Throws where its begin is no longer held. */
export function cutTrial(source: LabelledSource, span: Span): CutTrial | undefined {
  const start = sampleAt(source, span.startS);
  const samples = Math.round((span.durationS * modelRateHz) / gridSamples) * gridSamples;
  if (start < source.firstSample) {
    const ago = (source.nextSample - start) / modelRateHz;
    const held = Math.floor((source.nextSample - source.firstSample) / modelRateHz);
    const what = `the signal of ${ago.toFixed(1)} s ago is no longer held (${held} s are)`;
    throw new EegError('EEG_ADAPT_STATE', what, { hint: 'mark sooner after it happened' });
  }
  if (start + samples > source.nextSample) return undefined;
  const channels = source.channels.length;
  const { data, valid } = source.copy(start, start + samples);
  const ticks = samples / gridSamples;
  const scale = new Float32Array(ticks * channels);
  for (let tick = 0; tick < ticks; tick++) {
    const end = start + (tick + 1) * gridSamples;
    for (let c = 0; c < channels; c++) scale[tick * channels + c] = source.scaleAt(c, end);
  }
  const raw = source.raw?.(start, start + samples);
  const signal = {
    ...{ data, valid, scale, references: referencesOf(source, start, samples) },
    ...(raw === undefined ? {} : { raw }),
  };
  return { startS: source.stampS(start), startSample: start, signal };
}

/** What alignment knew at each second that ends within the trial. */
function referencesOf(source: LabelledSource, start: number, samples: number): Reference[] {
  const found: Reference[] = [];
  for (let end = patchSamples; end <= samples; end += gridSamples) {
    const known = source.reference(start + end);
    if (known === undefined || found.at(-1)?.from === known.from - start) continue;
    found.push({ from: known.from - start, covariance: known.covariance });
  }
  return found;
}
