import { describe, expect, test } from 'vitest';
import {
  chooseRate,
  describeChannel,
  guessKind,
  microvoltsPer,
} from '../../src/formats/channel-kind.js';

describe('channels', () => {
  test.each([
    ['eeg', 'Fc5. C3 EEG_Fpz-Cz FP1-F7 C3-A2 T8-P8 E1 E17 A1 P4-Ref 1 EEG01 TP9 Iz POz.'],
    ['eog', 'EOG_horizontal HEOG VEOGo EOG-left LOC-A2 E1-M2 REOG'],
    ['emg', 'EMG_submental EMG Chin1 chin'],
    ['ecg', 'ECG_ECG EKG ECG1'],
    ['trigger', 'Status STI_014 Trigger DIG_DTRIG stAtUs Event_marker'],
    ['accel', 'Accel_X ACC_y Gyro_Z'],
    ['misc', '- --3 VNS Resp_oro-nasal Temp_rectal SaO2 Airflow GSR'],
    ['aux', 'EXG1 Aux_2 DC01 Ergo-Left'],
  ])('%s', (kind, labels) => {
    for (const label of labels.split(' ').map((text) => text.replaceAll('_', ' '))) {
      expect([label, guessKind(label)]).toEqual([label, kind]);
    }
  });

  test('what is no voltage is no EEG, unless its label says so', () => {
    expect([guessKind('C3', 'uS'), guessKind('EEG C3', 'raw'), guessKind('C3', '')]).toEqual([
      'misc',
      'eeg',
      'eeg',
    ]);
  });

  test('units become microvolts', () => {
    const units = ['uV', '\u00b5V', '\u03bcV', 'microvolts', 'nV', 'mV', 'V', 'DegC'];
    expect(units.map(microvoltsPer)).toEqual([1, 1, 1, 1, 1e-3, 1e3, 1e6, undefined]);
    expect(describeChannel('Temp', 'DegC')).toEqual({
      channel: { label: 'Temp', kind: 'misc', unit: 'DegC' },
      factor: 1,
    });
  });

  test('the rate is that of most EEG channels, ties to the higher', () => {
    const of = (...list: [string, number][]) =>
      chooseRate(list.map(([label, rateHz]) => ({ kind: guessKind(label), rateHz })));
    expect(of(['C3', 200], ['C4', 200], ['Cz', 400], ['EMG', 400], ['ECG', 400])).toBe(200);
    expect(of(['C3', 200], ['C4', 400])).toBe(400);
    expect(of(['EMG', 50], ['ECG', 500], ['EOG', 500])).toBe(500);
    expect(of()).toBe(0);
  });
});
