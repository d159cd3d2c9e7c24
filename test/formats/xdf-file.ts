/** Writes XDF chunks for tests, by the specification and not by the code under test. */
const sizes = { int8: 1, int16: 2, int32: 4, int64: 8, float32: 4, double64: 8 } as const;

export function chunk(tag: number, content: Buffer): Buffer {
  const head = Buffer.alloc(7);
  head.writeUInt8(4, 0);
  head.writeUInt32LE(content.length + 2, 1);
  head.writeUInt16LE(tag, 5);
  return Buffer.concat([head, content]);
}

export function xdfBytes(...chunks: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('XDF:'), ...chunks]);
}

export function header(): Buffer {
  return chunk(1, Buffer.from('<?xml version="1.0"?><info><version>1.0</version></info>'));
}

export function boundary(): Buffer {
  return chunk(5, Buffer.from('43A546DCCBF5410FB30ED5467383CBE4', 'hex'));
}

const id4 = (id: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(id);
  return bytes;
};

export interface FakeStream {
  id: number;
  name: string;
  type: string;
  channels: number;
  rateHz: number | string;
  format: string;
  desc?: string;
}

export function streamHeader(stream: FakeStream): Buffer {
  const { id, name, type, channels, rateHz, format, desc = '' } = stream;
  const xml =
    `<?xml version="1.0"?><info><name>${name}</name><type>${type}</type>` +
    `<channel_count>${channels}</channel_count><nominal_srate>${rateHz}</nominal_srate>` +
    `<channel_format>${format}</channel_format><desc>${desc}</desc></info>`;
  return chunk(2, Buffer.concat([id4(id), Buffer.from(xml)]));
}

export function clockOffset(id: number, timeS: number, offsetS: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeDoubleLE(timeS, 0);
  bytes.writeDoubleLE(offsetS, 8);
  return chunk(4, Buffer.concat([id4(id), bytes]));
}

export function samples(
  id: number,
  format: keyof typeof sizes,
  rows: readonly (readonly [number | undefined, number[]])[],
): Buffer {
  const parts = [id4(id), Buffer.from([1, rows.length])];
  for (const [stamp, values] of rows) {
    const head = Buffer.alloc(stamp === undefined ? 1 : 9);
    if (stamp !== undefined) {
      head.writeUInt8(8);
      head.writeDoubleLE(stamp, 1);
    }
    parts.push(head, ...values.map((value) => encode(format, value)));
  }
  return chunk(3, Buffer.concat(parts));
}

function encode(format: keyof typeof sizes, value: number): Buffer {
  const bytes = Buffer.alloc(sizes[format]);
  if (format === 'float32') bytes.writeFloatLE(value);
  else if (format === 'double64') bytes.writeDoubleLE(value);
  else if (format === 'int64') bytes.writeBigInt64LE(BigInt(value));
  else bytes.writeIntLE(value, 0, sizes[format]);
  return bytes;
}
