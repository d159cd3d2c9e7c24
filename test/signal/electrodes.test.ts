/** Electrode places: names as they come, geometry against MNE's standard_1005 montage. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ChannelInfo, StreamInfo } from '../../src/core/stream.js';
import { electrodeTable } from '../../src/signal/electrode-table.js';
import { electrodePositions, parseElectrodes } from '../../src/signal/electrodes.js';

const fixture = new URL('../fixtures/signal/electrodes.json', import.meta.url);
const witness: Record<string, [number, number, number]> = JSON.parse(
  readFileSync(fixture, 'utf8'),
).cases;
/** A measured average head is no sphere: this is how far its directions are from ideal ones. */
const degreesMax = 12;
const degreesMeanMax = 7;

function degreesBetween(a: readonly number[], b: readonly number[]): number {
  const dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  return (Math.acos(Math.min(1, dot)) * 180) / Math.PI;
}

describe('the table', () => {
  test.each(Object.entries(witness))('%s lies where MNE has it', (name, direction) => {
    const own = electrodeTable.get(name.toUpperCase());
    expect(own).toBeDefined();
    expect(degreesBetween(own ?? [], direction)).toBeLessThan(degreesMax);
  });

  test('is near MNE on average', () => {
    const angles = Object.entries(witness).map(([name, direction]) => {
      return degreesBetween(electrodeTable.get(name.toUpperCase()) ?? [], direction);
    });
    expect(angles.length).toBeGreaterThan(50);
    expect(angles.reduce((sum, a) => sum + a, 0) / angles.length).toBeLessThan(degreesMeanMax);
  });

  test('holds unit vectors, mirrored left and right, all apart', () => {
    for (const [name, at] of electrodeTable) {
      expect(Math.hypot(...at), name).toBeCloseTo(1, 12);
      const number = Number(/\d+/.exec(name)?.[0] ?? 0);
      if (name.includes('Z')) expect(at[0]).toBeCloseTo(0, 12);
      if (number % 2 === 1) {
        const mate = electrodeTable.get(name.replace(/\d+/, String(number + 1)));
        expect(mate, name).toEqual([-at[0], at[1], at[2]]);
        expect(at[0], `${name} is on the left`).toBeLessThan(0);
      }
    }
    expect(electrodeTable.size).toBeGreaterThan(345);
  });
});

describe('labels', () => {
  test.each([
    ['Fc5.', 'FC5', undefined],
    ['Cz..', 'CZ', undefined],
    ['EEG Fpz-Cz', 'FPZ', 'CZ'],
    ['EEG Pz-Oz', 'PZ', 'OZ'],
    ['C3-A2', 'C3', 'A2'],
    ['c4:m1', 'C4', 'M1'],
    ['EEG Fp1-Ref', 'FP1', undefined],
    ['EEG FP1-LE', 'FP1', undefined],
    ['EEG F3 - A2', 'F3', 'A2'],
    ['T3', 'T7', undefined],
    ['T6-O2', 'P8', 'O2'],
    ['T8-P8-1', 'T8', 'P8'],
    ['F3-C3', 'F3', 'C3'],
    ['tp9', 'TP9', undefined],
    ['TP10', 'TP10', undefined],
    ['POL T5', 'P7', undefined],
    ['CCP4h', 'CCP4H', undefined],
    ['AF7', 'AF7', undefined],
    ['EXG Channel 0', undefined, undefined],
    ['EOG horizontal', undefined, undefined],
    ['Ref-Cz', undefined, undefined],
    ['', undefined, undefined],
  ])('%j', (label, active, reference) => {
    expect(parseElectrodes(label)).toEqual({
      ...(active !== undefined && { active }),
      ...(reference !== undefined && { reference }),
    });
  });
});

describe('positions of a stream', () => {
  const channel = (label: string, kind: ChannelInfo['kind'] = 'eeg', position?: Position) => {
    return { label, kind, unit: 'uV', ...(position && { position }) };
  };
  type Position = [number, number, number];
  const info: StreamInfo = {
    id: 's',
    name: 's',
    driver: 'test',
    rateHz: 250,
    channels: [
      channel('EOG', 'eog'),
      channel('C3-A2'),
      channel('what'),
      channel('Cz', 'eeg', [0, 3, 4]),
    ],
  };

  test('are of the EEG channels, reference behind active, zeros where unknown', () => {
    const positions = electrodePositions(info);
    expect(positions.length).toBe(18);
    expect([...positions.subarray(0, 3)]).toEqual([...vector('C3')]);
    expect([...positions.subarray(3, 6)]).toEqual([...vector('A2')]);
    expect([...positions.subarray(6, 12)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('are the device’s own where it tells them', () => {
    expect([...electrodePositions(info).subarray(12, 15)]).toEqual([
      ...Float32Array.of(0, 0.6, 0.8),
    ]);
  });

  test('come in the order asked for', () => {
    expect(electrodePositions(info, [3, 1]).subarray(6, 9)).toEqual(vector('C3'));
  });

  function vector(name: string): Float32Array {
    return Float32Array.from(electrodeTable.get(name) ?? []);
  }
});
