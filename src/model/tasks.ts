/** The tasks of the shipped checkpoint. */
import type { TaskSpec } from '../core/tasks.js';

const plain = { contextWindows: 0, minValid: 0.5, temperature: 1, smoothing: 1 };

export const baseTasks: readonly TaskSpec[] = [
  {
    ...plain,
    name: 'sleep',
    // AASM 2.6: 30 s epochs; the two epochs before an arousal rule need the past minutes.
    classes: ['W', 'N1', 'N2', 'N3', 'R'],
    windowS: 30,
    hopS: 30,
    contextWindows: 4,
  },
  {
    ...plain,
    name: 'seizure',
    classes: ['background', 'seizure'],
    windowS: 10,
    hopS: 1,
    smoothing: 0.3,
    event: { label: 'seizure', on: 0.8, off: 0.5, hold: 3 },
  },
  {
    ...plain,
    name: 'motor_imagery',
    classes: ['rest', 'left', 'right', 'fists', 'feet'],
    windowS: 4,
    hopS: 0.25,
    minValid: 0.75,
    smoothing: 0.4,
  },
  {
    ...plain,
    name: 'workload',
    classes: ['rest', 'arithmetic'],
    windowS: 10,
    hopS: 1,
    smoothing: 0.2,
  },
];
