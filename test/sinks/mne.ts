/** MNE-Python as a foreign reader, where it is installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

const python = '/usr/bin/python3';

export const hasMne =
  spawnSync(python, ['-c', 'import importlib.util as u, sys; sys.exit(u.find_spec("mne") is None)'])
    .status === 0;

if (!hasMne) process.stderr.write('SKIPPED: checks with MNE-Python (apt install python3-mne)\n');

export interface MneRecording {
  rateHz: number;
  frames: number;
  labels: string[];
  startWallMs: number;
  /** `[channels][frames]`, microvolts. */
  values: number[][];
  annotations: { onsetS: number; durationS: number; text: string }[];
}

export function readWithMne(path: string): MneRecording {
  const script = resolve(import.meta.dirname, 'read_with_mne.py');
  const json = execFileSync(python, [script, path], { maxBuffer: 1 << 28, stdio: 'pipe' });
  return JSON.parse(json.toString());
}
