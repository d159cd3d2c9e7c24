"""Makes the demo recordings of this folder from PhysioNet files (README.md says which and why).

    python3 make_demo.py DATA      # DATA holds eegmmidb/S001/*.edf and eegmat/sub-*/eeg/*.edf

Nothing is filtered or resampled. Runs are put one after the other as EDF+D with a gap of 2 s
between them.
"""
import os
import struct
import sys

GAP_S = 2


def read_edf(path):
    with open(path, 'rb') as file:
        raw = file.read()
    n = int(raw[252:256])
    columns, at = {}, 256
    for name, width in (
        ('label', 16), ('transducer', 80), ('unit', 8), ('pmin', 8), ('pmax', 8),
        ('dmin', 8), ('dmax', 8), ('prefilter', 80), ('samples', 8), ('reserved', 32),
    ):
        columns[name] = [raw[at + i * width:at + (i + 1) * width].decode('latin1').strip()
                         for i in range(n)]
        at += width * n
    samples = [int(s) for s in columns['samples']]
    records, record_s, size = int(raw[236:244]), float(raw[244:252]), 2 * sum(samples)
    signals, tals = {}, b''
    for r in range(records):
        offset = at + r * size
        for i, count in enumerate(samples):
            part = raw[offset:offset + 2 * count]
            if columns['label'][i] == 'EDF Annotations':
                tals += part + b'\0'
            else:
                signals.setdefault(i, []).append(part)
            offset += 2 * count
    notes = []
    for tal in tals.split(b'\0'):
        if b'\x14' not in tal:
            continue
        time, *texts = tal.decode().split('\x14')
        onset, _, duration = time.partition('\x15')
        notes += [(float(onset), float(duration or 0), text) for text in texts if text]
    meta = [{k: v[i] for k, v in columns.items()} for i in range(n)]
    rate = {i: samples[i] / record_s for i in signals}
    data = {i: b''.join(parts) for i, parts in signals.items()}
    return meta, data, rate, notes


def write_edf(path, patient, recording, date, meta, rate, runs):
    """runs: list of (data by channel, seconds, notes), each a whole number of seconds."""
    records, onset = [], 0
    for data, seconds, notes in runs:
        for s in range(seconds):
            tal = f'+{onset + s}\x14\x14\0'
            for at, duration, text in notes:
                if s <= at < s + 1:
                    tal += f'+{onset + at:g}\x15{duration:g}\x14{text}\x14\0'
            samples = b''.join(d[2 * rate * s:2 * rate * (s + 1)] for d in data)
            records.append((samples, tal.encode()))
        onset += seconds + GAP_S
    tal_bytes = (max(len(tal) for _, tal in records) + 1) // 2 * 2
    signals = [dict(m, samples=rate) for m in meta] + [{
        'label': 'EDF Annotations', 'transducer': '', 'unit': '', 'pmin': -1, 'pmax': 1,
        'dmin': -32768, 'dmax': 32767, 'prefilter': '', 'samples': tal_bytes // 2, 'reserved': '',
    }]
    n = len(signals)
    day, time = date
    head = [('0', 8), (patient, 80), (recording, 80), (day, 8), (time, 8), (256 * (n + 1), 8),
            ('EDF+D', 44), (len(records), 8), (1, 8), (n, 4)]
    for name, width in (
        ('label', 16), ('transducer', 80), ('unit', 8), ('pmin', 8), ('pmax', 8),
        ('dmin', 8), ('dmax', 8), ('prefilter', 80), ('samples', 8), ('reserved', 32),
    ):
        head += [(s[name], width) for s in signals]
    with open(path, 'wb') as file:
        for text, width in head:
            file.write(str(text).encode('latin1')[:width].ljust(width))
        for samples, tal in records:
            file.write(samples + tal.ljust(tal_bytes, b'\0'))
    print(path, len(records), 's', os.path.getsize(path), 'bytes')


def crop(edf, labels, from_s, seconds, title):
    meta, data, rates, notes = edf
    index = {meta[i]['label']: i for i in data}
    rate = round(rates[index[labels[0]]])
    part = [data[index[label]][2 * rate * from_s:2 * rate * (from_s + seconds)] for label in labels]
    assert all(len(p) == 2 * rate * seconds for p in part)
    inside = [(0, seconds, title)]
    for onset, duration, text in notes:
        start, end = max(onset, from_s), min(onset + duration, from_s + seconds)
        if end > start:
            inside.append((round(start - from_s, 4), round(end - start, 4), text))
    return part, seconds, inside


def imagery(folder, out):
    labels = ('Fp1. Fp2. F7.. F3.. Fz.. F4.. F8.. Fc3. Fc4. T7.. C3.. Cz.. C4.. T8.. Cp3. Cp4. '
              'P7.. P3.. Pz.. P4.. P8.. O1.. O2..').split()
    run = {r: read_edf(os.path.join(folder, f'S001R{r}.edf')) for r in ('01', '02', '08')}
    meta = [next(m for m in run['01'][0] if m['label'] == label) for label in labels]
    parts = [
        crop(run['01'], labels, 0, 20, 'eyes open'),
        crop(run['02'], labels, 0, 20, 'eyes closed'),
        crop(run['01'], labels, 20, 20, 'eyes open'),
        crop(run['02'], labels, 20, 20, 'eyes closed'),
        crop(run['08'], labels, 0, 124, 'imagery of the left (T1) or right (T2) fist'),
    ]
    write_edf(out, 'S001 X X X', 'Startdate 12-AUG-2009 X X eegmmidb',
              ('12.08.09', '16.15.00'), meta, 160, parts)


def session(folder, out):
    labels = 'Fc3. Fcz. Fc4. C3.. Cz.. C4.. Cp3. Cpz. Cp4.'.split()
    run = {r: read_edf(os.path.join(folder, f'S001R{r}.edf')) for r in ('05', '06', '09', '10')}
    meta = [next(m for m in run['05'][0] if m['label'] == label) for label in labels]
    did = {'05': 'moved', '06': 'imagined', '09': 'moved', '10': 'imagined'}
    parts = [crop(edf, labels, 0, 124, f'both fists (T1) or both feet (T2), {did[r]}')
             for r, edf in run.items()]
    write_edf(out, 'S001 X X X', 'Startdate 12-AUG-2009 X X eegmmidb',
              ('12.08.09', '16.15.00'), meta, 160, parts)


def arithmetic(folder, out):
    edfs = [read_edf(os.path.join(folder, 'eeg', f'{os.path.basename(folder)}_task-{task}_eeg.edf'))
            for task in ('rest', 'arithmetic')]
    labels = [m['label'] for m in edfs[0][0] if m['label'] != 'EDF Annotations']
    assert labels == [m['label'] for m in edfs[1][0] if m['label'] != 'EDF Annotations']
    # The two files have ranges of their own: both are put into one that holds both.
    meta = [dict(a, pmin=f"{min(float(a['pmin']), float(b['pmin'])):.8g}"[:8],
                 pmax=f"{max(float(a['pmax']), float(b['pmax'])):.8g}"[:8], dmin=-32767, dmax=32767)
            for a, b in zip(edfs[0][0], edfs[1][0])][:len(labels)]
    runs = [crop(rescaled(edf, meta), labels, from_s, 60, title)
            for edf, from_s, title in zip(edfs, (120, 0), ('rest', 'arithmetic'))]
    write_edf(out, 'X X X X', 'Startdate 01-JAN-2001 X X eegmat', ('01.01.01', '00.00.00'),
              meta, 250, runs)


def rescaled(edf, meta):
    """Digital values in the physical ranges of `meta`."""
    own, data, rates, notes = edf
    out = {}
    for i, target in zip(data, meta):
        a, b = gain(own[i]), gain(target)
        values = struct.unpack(f'<{len(data[i]) // 2}h', data[i])
        scaled = [round((a[0] * v + a[1] - b[1]) / b[0]) for v in values]
        out[i] = struct.pack(f'<{len(scaled)}h', *(max(-32767, min(32767, v)) for v in scaled))
    return own, out, rates, notes


def gain(m):
    step = (float(m['pmax']) - float(m['pmin'])) / (int(m['dmax']) - int(m['dmin']))
    return step, float(m['pmin']) - int(m['dmin']) * step


if __name__ == '__main__':
    here = os.path.dirname(os.path.abspath(__file__))
    imagery(os.path.join(sys.argv[1], 'eegmmidb', 'S001'), os.path.join(here, 'imagery.edf'))
    session(os.path.join(sys.argv[1], 'eegmmidb', 'S001'), os.path.join(here, 'session.edf'))
    arithmetic(os.path.join(sys.argv[1], 'eegmat', 'sub-03'), os.path.join(here, 'arithmetic.edf'))
