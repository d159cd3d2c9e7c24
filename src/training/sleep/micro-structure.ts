/**
 * What a scorer looks for in an epoch, as waveforms. Shapes and limits follow the AASM manual
 * (Berry et al. 2020, version 2.6): spindles of 11-16 Hz and at least 0.5 s, K-complexes of at
 * least 0.5 s, slow waves of 0.5-2 Hz over 75 uV, sawtooth waves of 2-6 Hz, slow eye movements,
 * vertex waves under 0.5 s. Densities: spindles 2-5 a minute of N2 (Purcell et al. 2017),
 * K-complexes 1-3 a minute (Colrain 2005), blinks 10-20 a minute (Bentivoglio et al. 1997),
 * arousals 8-20 an hour (Bonnet and Arand 2007).
 */
import type { Rng } from '../../core/rng.js';
import { synthesisRateHz } from './spectrum.js';

/** How strongly a place on the head sees what kind of wave; 1 is where it is largest. */
export interface Site {
  /** 1 = spectrum of Fpz-Cz, 0 = of Pz-Oz, between them a geometric mean. */
  readonly front: number;
  readonly ocular: number;
  readonly spindle: number;
  readonly vertex: number;
  readonly alpha: number;
  readonly slow: number;
  /** Log of the power in each of the five bands, over that mean; 0 where absent. */
  readonly shift?: readonly number[];
}

/** The band an event takes up power of; movement comes on top of what was measured. */
export type Track = 'delta' | 'theta' | 'alpha' | 'sigma' | 'movement';

export interface MicroEvent {
  readonly track: Track;
  /** What of a site weighs its amplitude. */
  readonly seenBy: Exclude<keyof Site, 'front' | 'shift'> | 'everywhere';
  readonly startS: number;
  /** Microvolts at a site of weight 1. */
  readonly wave: Float32Array;
}

/** Traits that stay with a person for a night. */
export interface Person {
  readonly alphaHz: number;
  readonly alphaUv: number;
  readonly spindleHz: number;
  readonly spindleUv: number;
  readonly spindlesPerMin: number;
  readonly slowWaveUv: number;
  /** Share of quiet wake with closed eyes. */
  readonly eyesClosed: number;
  /** Movements of body and head in a minute of wake. */
  readonly movesPerMin: number;
}

export function drawPerson(rng: Rng): Person {
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  return {
    alphaHz: between(8.5, 11.5),
    alphaUv: Math.exp(between(Math.log(6), Math.log(30))),
    spindleHz: between(11.8, 14.2),
    spindleUv: between(10, 28),
    spindlesPerMin: between(1.5, 6),
    slowWaveUv: between(80, 150),
    eyesClosed: between(0.3, 1),
    movesPerMin: Math.exp(between(Math.log(0.15), Math.log(2))),
  };
}

/** Movements of a stage over those of wake (most end sleep or lighten it). */
const movement: Readonly<Record<string, number>> = { W: 1, N1: 0.3, N2: 0.06, N3: 0.03, R: 0.06 };

/** Events of one 30 s epoch; `stage` is W, N1, N2, N3 or R. */
export function epochEvents(
  stage: string,
  startS: number,
  lengthS: number,
  person: Person,
  rng: Rng,
): MicroEvent[] {
  const out: MicroEvent[] = [];
  const between = (low: number, high: number): number => low + (high - low) * rng.uniform();
  const scatter = (perMin: number, make: (atS: number) => MicroEvent): void => {
    const count = poisson((perMin * lengthS) / 60, rng);
    for (let i = 0; i < count; i++) out.push(make(startS + rng.uniform() * lengthS));
  };
  const event = (
    track: Track,
    seenBy: MicroEvent['seenBy'],
    wave: Float32Array,
  ): ((atS: number) => MicroEvent) => {
    return (atS) => ({ track, seenBy, startS: atS, wave });
  };
  const alpha =
    (lowS: number, highS: number, slower = 0) =>
    (atS: number) =>
      event(
        'alpha',
        'alpha',
        burst(
          person.alphaHz - slower,
          between(lowS, highS),
          person.alphaUv * between(0.6, 1.3),
          rng,
        ),
      )(atS);
  const spindle = (atS: number): MicroEvent => {
    const hz = person.spindleHz + rng.normal() * 0.5;
    const wave = spindleWave(hz, between(0.5, 1.8), person.spindleUv * between(0.6, 1.4), rng);
    return event(hz < 13 ? 'alpha' : 'sigma', 'spindle', wave)(atS);
  };
  const slowWave = (scale: number) => (atS: number) =>
    event('delta', 'slow', slowWaveShape(person.slowWaveUv * scale * between(0.7, 1.5), rng))(atS);
  const arousals = (perHour: number): void =>
    scatter(perHour / 60, (atS) => {
      out.push(
        event('sigma', 'alpha', burst(between(15, 24), between(3, 9), between(4, 9), rng))(atS),
      );
      return alpha(3, 10)(atS);
    });

  scatter(person.movesPerMin * (movement[stage] ?? 0), (atS) =>
    event('movement', 'everywhere', bodyMovement(between(1.5, 9), rng))(atS),
  );
  switch (stage) {
    case 'W': {
      if (rng.uniform() < person.eyesClosed) scatter(14, alpha(1, 6));
      else {
        scatter(15, (atS) => event('delta', 'ocular', blink(between(60, 180)))(atS));
        scatter(8, (atS) => event('delta', 'ocular', saccade(between(20, 60), rng))(atS));
      }
      break;
    }
    case 'N1': {
      scatter(4, (atS) => event('delta', 'ocular', slowEye(between(30, 90), rng))(atS));
      scatter(2, alpha(0.7, 3, 0.5));
      scatter(2, (atS) => event('theta', 'vertex', vertexWave(between(40, 90)))(atS));
      scatter(4, (atS) =>
        event('theta', 'vertex', burst(between(4.5, 7), between(1, 3), between(10, 25), rng))(atS),
      );
      arousals(15);
      break;
    }
    case 'N2': {
      scatter(person.spindlesPerMin, spindle);
      scatter(1.6, (atS) => {
        // A spindle often rides on the end of a K-complex.
        if (rng.uniform() < 0.4) out.push(spindle(atS + 0.9));
        return event('delta', 'slow', kComplex(between(75, 200), rng))(atS);
      });
      scatter(2.5, slowWave(0.7));
      scatter(0.4, (atS) => event('theta', 'vertex', vertexWave(between(40, 90)))(atS));
      arousals(8);
      break;
    }
    case 'N3': {
      scatter(between(10, 26), slowWave(1));
      scatter(person.spindlesPerMin * 0.4, spindle);
      arousals(2);
      break;
    }
    case 'R': {
      if (rng.uniform() < 0.6)
        scatter(between(4, 24), (atS) =>
          event('delta', 'ocular', saccade(between(25, 80), rng))(atS),
        );
      scatter(1.2, (atS) =>
        event(
          'theta',
          'vertex',
          sawtooth(between(2.2, 5.5), between(1.5, 5), between(15, 40)),
        )(atS),
      );
      scatter(1, alpha(0.5, 2.5, 1.2));
      arousals(10);
      break;
    }
  }
  return out;
}

/** Knuth's; for the small means here. */
function poisson(mean: number, rng: Rng): number {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = rng.uniform(); product > limit; product *= rng.uniform()) count++;
  return count;
}

function shape(lengthS: number, at: (timeS: number) => number): Float32Array {
  const samples = Math.max(1, Math.round(lengthS * synthesisRateHz));
  return Float32Array.from({ length: samples }, (_, i) => at(i / synthesisRateHz));
}

const hann = (x: number): number => 0.5 - 0.5 * Math.cos(2 * Math.PI * Math.min(1, Math.max(0, x)));
const bell = (t: number, atS: number, sdS: number): number =>
  Math.exp(-0.5 * ((t - atS) / sdS) ** 2);

/** Rises and falls over its length, its frequency falling slightly (Schonwald et al. 2011). */
function spindleWave(hz: number, lengthS: number, uv: number, rng: Rng): Float32Array {
  const phase = rng.uniform() * 2 * Math.PI;
  const chirp = -0.4 * rng.uniform();
  return shape(
    lengthS,
    (t) => uv * hann(t / lengthS) * Math.sin(2 * Math.PI * (hz + chirp * t) * t + phase),
  );
}

/** A burst with soft ends whose phase wanders as an oscillator's does. */
function burst(hz: number, lengthS: number, uv: number, rng: Rng): Float32Array {
  let phase = rng.uniform() * 2 * Math.PI;
  let swell = 0;
  return shape(lengthS, (t) => {
    phase += (2 * Math.PI * hz) / synthesisRateHz + 0.06 * rng.normal();
    swell += -swell / 100 + 0.04 * rng.normal();
    const ends = Math.min(1, t / 0.3, (lengthS - t) / 0.3);
    return uv * Math.max(0, ends) * Math.exp(swell) * Math.sin(phase);
  });
}

function kComplex(uv: number, rng: Rng): Float32Array {
  const stretch = 0.8 + 0.5 * rng.uniform();
  return shape(
    1.5 * stretch,
    (t) =>
      uv *
      (-bell(t, 0.3 * stretch, 0.08 * stretch) + 0.55 * bell(t, 0.7 * stretch, 0.16 * stretch)),
  );
}

function slowWaveShape(uv: number, rng: Rng): Float32Array {
  const downS = 0.3 + 0.4 * rng.uniform();
  const upS = 0.35 + 0.5 * rng.uniform();
  return shape(downS + upS, (t) =>
    t < downS
      ? -0.6 * uv * Math.sin((Math.PI * t) / downS)
      : 0.4 * uv * Math.sin((Math.PI * (t - downS)) / upS),
  );
}

function vertexWave(uv: number): Float32Array {
  return shape(0.45, (t) => uv * (-bell(t, 0.12, 0.035) + 0.4 * bell(t, 0.26, 0.06)));
}

function sawtooth(hz: number, lengthS: number, uv: number): Float32Array {
  return shape(lengthS, (t) => {
    const x = (t * hz) % 1;
    const tooth = x < 0.75 ? -1 + (2 * x) / 0.75 : 1 - (2 * (x - 0.75)) / 0.25;
    return 0.5 * uv * hann(t / lengthS) * tooth;
  });
}

function slowEye(uv: number, rng: Rng): Float32Array {
  const periodS = 2 + 3 * rng.uniform();
  const sign = rng.uniform() < 0.5 ? -1 : 1;
  return shape(
    periodS,
    (t) => sign * uv * hann(t / periodS) * Math.sin((2 * Math.PI * t) / periodS),
  );
}

/** A jump within 100 ms that the amplifier's high-pass takes back. */
function saccade(uv: number, rng: Rng): Float32Array {
  const sign = rng.uniform() < 0.5 ? -1 : 1;
  const decayS = 0.4 + 0.8 * rng.uniform();
  return shape(3, (t) => (sign * uv * Math.exp(-t / decayS)) / (1 + Math.exp(-(t - 0.08) / 0.02)));
}

function blink(uv: number): Float32Array {
  return shape(0.6, (t) => uv * (bell(t, 0.2, 0.07) - 0.15 * bell(t, 0.42, 0.08)));
}

/** Swaying of the electrodes below 2 Hz, and muscle above 15 Hz. */
function bodyMovement(lengthS: number, rng: Rng): Float32Array {
  const swayUv = Math.exp(Math.log(40) + Math.log(6) * rng.uniform());
  const muscleUv = Math.exp(Math.log(4) + Math.log(6) * rng.uniform());
  let [drift, sway, before] = [0, 0, 0];
  return shape(lengthS, (t) => {
    drift += -0.03 * drift + 0.25 * rng.normal();
    sway += 0.06 * (drift - sway);
    const noise = rng.normal();
    // A first difference rises with frequency, as muscle does up to some 40 Hz.
    const muscle = noise - 0.7 * before;
    before = noise;
    return (
      hann(Math.min(0.5, t / 2)) *
      hann(Math.min(0.5, (lengthS - t) / 2)) *
      (swayUv * sway + muscleUv * muscle)
    );
  });
}
