/** Electrodes that sleep is recorded from, and what each of them sees of it. */
import type { Rng } from '../../core/rng.js';
import type { Site } from './micro-structure.js';

/**
 * `shift`: log of what an electrode against the ear has in each band over the derivations of
 * Sleep-EDF mixed as `front` says. Medians over awake people of eegmat (training side).
 */
const sites = {
  'Fpz-Cz': { front: 1, ocular: 1, spindle: 0.6, vertex: 0.9, alpha: 0.4, slow: 1 },
  'Pz-Oz': { front: 0, ocular: 0.06, spindle: 0.5, vertex: 0.2, alpha: 1, slow: 0.5 },
  prefrontal: {
    ...{ front: 1, ocular: 0.9, spindle: 0.5, vertex: 0.4, alpha: 0.5, slow: 1 },
    shift: [-0.14, -0.33, -0.03, -0.08, -0.19],
  },
  frontal: {
    ...{ front: 0.8, ocular: 0.5, spindle: 0.8, vertex: 0.6, alpha: 0.6, slow: 1.1 },
    shift: [-0.15, 0.19, 0.27, 0.15, 0.01],
  },
  central: {
    ...{ front: 0.6, ocular: 0.22, spindle: 1, vertex: 1, alpha: 0.8, slow: 1 },
    shift: [0.03, 0.39, 0.28, 0.3, 0.1],
  },
  occipital: {
    ...{ front: 0.1, ocular: 0.08, spindle: 0.4, vertex: 0.3, alpha: 1.1, slow: 0.6 },
    shift: [0.61, 0.6, 1.04, 0.65, 0.65],
  },
  temporal: {
    ...{ front: 0.3, ocular: 0.15, spindle: 0.4, vertex: 0.3, alpha: 0.6, slow: 0.6 },
    shift: [0.06, 0.12, -0.28, 0.15, 0.32],
  },
} as const satisfies Record<string, Site>;

type SiteName = keyof typeof sites;

export interface SleepChannel {
  readonly label: string;
  readonly site: Site;
}

type Entry = readonly [label: string, site: SiteName];

/** Weight, channels; of a set of several a random, non-empty part is taken. */
const montages: readonly (readonly [number, readonly Entry[]])[] = [
  [
    4,
    [
      ['EEG Fpz-Cz', 'Fpz-Cz'],
      ['EEG Pz-Oz', 'Pz-Oz'],
    ],
  ],
  [
    3,
    [
      ['F4', 'frontal'],
      ['C4', 'central'],
      ['O2', 'occipital'],
    ],
  ],
  [
    2,
    [
      ['F3', 'frontal'],
      ['C3', 'central'],
      ['O1', 'occipital'],
    ],
  ],
  [3, [['C3', 'central']]],
  [2, [['C4', 'central']]],
  [2, [['Cz', 'central']]],
  [1, [['Fp1', 'prefrontal']]],
  [1, [['O1', 'occipital']]],
  [1, [['O2', 'occipital']]],
  [1, [['Fz', 'frontal']]],
  [
    1,
    [
      ['AF7', 'prefrontal'],
      ['AF8', 'prefrontal'],
      ['TP9', 'temporal'],
      ['TP10', 'temporal'],
    ],
  ],
  [
    1,
    [
      ['Fp1', 'prefrontal'],
      ['Fp2', 'prefrontal'],
    ],
  ],
  [1, [['EEG', 'central']]],
];
/** How laboratories name the reference behind the ear, or do not. */
const references = ['-A1', '-A2', '-M1', '-M2', '', ''];

export function drawMontage(rng: Rng): SleepChannel[] {
  const total = montages.reduce((sum, [weight]) => sum + weight, 0);
  let at = rng.uniform() * total;
  const picked = montages.find(([weight]) => {
    at -= weight;
    return at < 0;
  });
  const entries = rng.shuffle([...(picked ?? montages[0])[1]]);
  const count = Math.min(entries.length, 1 + rng.below(Math.min(3, entries.length)));
  const reference = references[rng.below(references.length)];
  return entries.slice(0, count).map(([name, site]) => ({
    label: name.startsWith('EEG') ? name : `${name}${reference}`,
    site: sites[site],
  }));
}
