/** A pack's read-out on a stream: its channels found by name, its evidence window by window. */
import type { Readout } from '../core/readout.js';
import { bandCount, WindowSpectra } from './spectra.js';
import { WindowEvidence } from './window-evidence.js';

interface ReadoutSource {
  readonly channels: number;
  readonly labels?: readonly string[];
  patches(endSample: number, out: Float32Array, mask: Float32Array): void;
  reference?(endSample: number): Float32Array | undefined;
}

export interface StreamReadout {
  /** One a class; undefined where too few of its channels are usable. */
  evidence(endSample: number): Float64Array | undefined;
}

const plain = (label: string) => label.trim().toLowerCase();

/**
 * Channels that the stream does not have stand at their mean. Alignment mixes channels, so a
 * montage with other channels is aligned a little otherwise.
 */
export function streamReadout(
  readout: Readout | undefined,
  source: ReadoutSource,
  windowS: number,
): StreamReadout | undefined {
  if (readout === undefined) return undefined;
  const channels = {
    channels: source.channels,
    patches: (end: number, out: Float32Array, mask: Float32Array) => source.patches(end, out, mask),
    reference: (end: number) => source.reference?.(end),
  };
  const spectra = new WindowSpectra(channels, readout.alignment, windowS);
  const plainSpectra =
    readout.covariance === undefined ? undefined : new WindowSpectra(channels, 'none', windowS);
  const evidence = new WindowEvidence(readout);
  const labels = (source.labels ?? []).map(plain);
  const places = readout.channels.map((label) => labels.indexOf(plain(label)));
  const present = places.filter((place) => place >= 0).length;
  return {
    evidence(endSample) {
      if (present < places.length / 2) return undefined;
      const own = spectra.features(endSample, windowS);
      if (own === undefined) return undefined;
      const features = new Float64Array(places.length * bandCount).fill(Number.NaN);
      for (const [c, place] of places.entries()) {
        if (place < 0) continue;
        features.set(own.subarray(place * bandCount, (place + 1) * bandCount), c * bandCount);
      }
      const covariances = plainSpectra?.covariances(endSample, windowS, places);
      return evidence.of({ powers: features, covariances });
    },
  };
}
