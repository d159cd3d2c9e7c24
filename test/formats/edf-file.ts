/** Writes EDF(+) and BDF(+) bytes for tests, right ones and lying ones. */
export interface FakeSignal {
  label: string;
  unit?: string;
  physical?: readonly [number | string, number | string];
  digital?: readonly [number | string, number | string];
  perRecord: number | string;
  /** Digital values, all records; or the bytes of each record's annotation lists. */
  samples?: readonly number[];
  tals?: readonly string[];
}

export interface FakeEdf {
  version?: string;
  reserved?: string;
  recording?: string;
  records?: number | string;
  recordS?: number | string;
  signals: readonly FakeSignal[];
  bytesPerSample?: 2 | 3;
}

const pad = (text: string | number, width: number): string => String(text).padEnd(width);

export function edfBytes(edf: FakeEdf): Buffer {
  const { signals, bytesPerSample = 2 } = edf;
  const first = signals.find((signal) => signal.samples !== undefined);
  const records = Number(
    first === undefined
      ? (signals[0]?.tals?.length ?? 0)
      : (first.samples?.length ?? 0) / Number(first.perRecord),
  );
  const limit = 2 ** (bytesPerSample * 8 - 1);
  const each = (width: number, of: (signal: FakeSignal) => string | number): string =>
    signals.map((signal) => pad(of(signal), width)).join('');
  const header =
    pad(edf.version ?? '0', 8) +
    pad('X X X X', 80) +
    pad(edf.recording ?? 'Startdate 01-JAN-2026 X X X', 80) +
    pad('01.01.26', 8) +
    pad('10.00.00', 8) +
    pad(256 * (signals.length + 1), 8) +
    pad(edf.reserved ?? 'EDF+C', 44) +
    pad(edf.records ?? records, 8) +
    pad(edf.recordS ?? 1, 8) +
    pad(signals.length, 4) +
    each(16, (s) => s.label) +
    each(80, () => '') +
    each(8, (s) => s.unit ?? (s.tals === undefined ? 'uV' : '')) +
    each(8, (s) => s.physical?.[0] ?? -limit) +
    each(8, (s) => s.physical?.[1] ?? limit - 1) +
    each(8, (s) => s.digital?.[0] ?? -limit) +
    each(8, (s) => s.digital?.[1] ?? limit - 1) +
    each(80, () => '') +
    each(8, (s) => s.perRecord) +
    each(32, () => '');
  const parts: Buffer[] = [Buffer.from(header, 'latin1')];
  for (let r = 0; r < records; r++) {
    for (const signal of signals) parts.push(recordBytes(signal, r, bytesPerSample));
  }
  return Buffer.concat(parts);
}

function recordBytes(signal: FakeSignal, record: number, size: 2 | 3): Buffer {
  const n = Number(signal.perRecord);
  const out = Buffer.alloc(n * size);
  if (signal.tals !== undefined) {
    out.write(signal.tals[record] ?? '', 'utf8');
    return out;
  }
  for (let i = 0; i < n; i++) out.writeIntLE(signal.samples?.[record * n + i] ?? 0, i * size, size);
  return out;
}

/** A time-keeping list and annotations: `tal(2, ['3.5', '1', 'blink'])`. */
export function tal(recordS: number, ...notes: (readonly [string, string, string])[]): string {
  const lists = notes.map(([onset, duration, text]) => {
    const span = duration === '' ? '' : `\u0015${duration}`;
    return `+${onset}${span}\u0014${text}\u0014\u0000`;
  });
  return `+${recordS}\u0014\u0014\u0000${lists.join('')}`;
}

export function ramp(count: number, step = 1): number[] {
  return Array.from({ length: count }, (_, i) => i * step);
}
