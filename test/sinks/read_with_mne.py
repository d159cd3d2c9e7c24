"""Prints a recording as MNE-Python reads it, as JSON: python3 read_with_mne.py FILE"""
import json
import sys
import warnings

warnings.simplefilter('ignore')
import mne  # noqa: E402

mne.set_log_level('ERROR')
raw = mne.io.read_raw(sys.argv[1], preload=True, verbose=False)
print(json.dumps({
    'rateHz': float(raw.info['sfreq']),
    'frames': int(raw.n_times),
    'labels': raw.ch_names,
    'startWallMs': raw.info['meas_date'].timestamp() * 1000,
    'values': (raw.get_data() * 1e6).tolist(),
    'annotations': [{'onsetS': float(a['onset']), 'durationS': float(a['duration']),
                     'text': str(a['description'])} for a in raw.annotations],
}))
