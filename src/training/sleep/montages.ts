/** Electrodes that sleep is recorded from, and what each of them sees of it. */
import type { Rng } from '../../core/rng.js';
import type { Site } from './micro-structure.js';

const sites = {
  'Fpz-Cz': { front: 1, ocular: 1, spindle: 0.6, vertex: 0.9, alpha: 0.4, slow: 1 },
  'Pz-Oz': { front: 0, ocular: 0.06, spindle: 0.5, vertex: 0.2, alpha: 1, slow: 0.5 },
  prefrontal: { front: 1, ocular: 0.9, spindle: 0.5, vertex: 0.4, alpha: 0.4, slow: 1 },
  frontal: { front: 0.8, ocular: 0.5, spindle: 0.8, vertex: 0.6, alpha: 0.5, slow: 1.1 },
  central: { front: 0.5, ocular: 0.22, spindle: 1, vertex: 1, alpha: 0.7, slow: 0.9 },
  occipital: { front: 0.1, ocular: 0.08, spindle: 0.4, vertex: 0.3, alpha: 1.1, slow: 0.6 },
  temporal: { front: 0.3, ocular: 0.15, spindle: 0.4, vertex: 0.3, alpha: 0.6, slow: 0.6 },
} as const satisfies Record<string, Site>;

export interface SleepChannel {
  readonly label: string;
  readonly site: Site;
}

type Entry = readonly [label: string, site: keyof typeof sites];

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
      ['F4-M1', 'frontal'],
      ['C4-M1', 'central'],
      ['O2-M1', 'occipital'],
    ],
  ],
  [
    1,
    [
      ['F3-M2', 'frontal'],
      ['C3-M2', 'central'],
      ['O1-M2', 'occipital'],
    ],
  ],
  [1, [['C3-A1', 'central']]],
  [1, [['C3-A2', 'central']]],
  [1, [['C4-A1', 'central']]],
  [1, [['Cz-A1', 'central']]],
  [1, [['Cz-A2', 'central']]],
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
      ['Fp1-A2', 'prefrontal'],
      ['Fp2-A1', 'prefrontal'],
    ],
  ],
  [1, [['EEG', 'central']]],
];

export function drawMontage(rng: Rng): SleepChannel[] {
  const total = montages.reduce((sum, [weight]) => sum + weight, 0);
  let at = rng.uniform() * total;
  const picked = montages.find(([weight]) => {
    at -= weight;
    return at < 0;
  });
  const entries = rng.shuffle([...(picked ?? montages[0])[1]]);
  const count = Math.min(entries.length, 1 + rng.below(Math.min(3, entries.length)));
  return entries.slice(0, count).map(([label, name]) => ({ label, site: sites[name] }));
}
