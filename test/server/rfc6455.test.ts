/** RFC 6455 by hand over TCP: handshake, framing, control frames, close codes, UTF-8, sizes. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { closeBody, frame, opcodes, RawWebSocket } from '../support/raw-websocket.js';
import { type TestServer, testServer } from '../support/test-client.js';

let host: TestServer;
let raw: RawWebSocket;
const ping = (id: number) => JSON.stringify({ id, type: 'ping' });
const answers = (id: number) => (message: Record<string, unknown>) => message.id === id;
const { continuation, text, binary, close, ping: pingFrame, pong } = opcodes;

beforeEach(async () => {
  host = await testServer();
  ({ raw } = await RawWebSocket.open(host.server.port));
});
afterEach(async () => {
  raw.destroy();
  // Whatever one client did, the next is served.
  const after = await host.connect();
  expect(await after.call('ping')).toMatchObject({ success: true });
  await host.server.close();
});

describe('handshake (4.2)', () => {
  test('answers 101 with the accept of the key; extensions are declined', async () => {
    const offer = [
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      'Sec-WebSocket-Protocol: chat, eegd.v1',
    ];
    const { raw: other, head, accept } = await RawWebSocket.open(host.server.port, offer);
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain(`Sec-WebSocket-Accept: ${accept}`);
    expect(head).toContain('Sec-WebSocket-Protocol: eegd.v1');
    expect(head).not.toContain('Sec-WebSocket-Extensions');
    other.destroy();
  });

  test('a subprotocol that is not ours is not agreed to', async () => {
    const { raw: other, head } = await RawWebSocket.open(host.server.port, [
      'Sec-WebSocket-Protocol: mqtt',
    ]);
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).not.toContain('Sec-WebSocket-Protocol');
    other.destroy();
  });

  test.each([
    ['another version', 'Sec-WebSocket-Version: 8'],
    ['a key that is none', 'Sec-WebSocket-Key: short'],
  ])('%s is refused with 400', async (_, header) => {
    const { raw: other, head } = await RawWebSocket.open(host.server.port, [header]);
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
    other.destroy();
  });
});

describe('framing (5.2)', () => {
  test("the server's frames are unmasked, final, without reserved bits", async () => {
    const hello = await raw.next();
    expect(hello).toMatchObject({ fin: true, rsv: 0, opcode: text, masked: false });
  });

  test('a message split at every byte is one message', async () => {
    for (const byte of frame(text, ping(5))) raw.write(Buffer.from([byte]));
    expect(await raw.json(answers(5))).toMatchObject({ success: true });
  });

  test('fragments with a ping between them are one message', async () => {
    const body = ping(6);
    raw.write(frame(text, body.slice(0, 3), { fin: false }));
    raw.write(frame(pingFrame, 'mid'));
    raw.write(frame(continuation, body.slice(3, 9), { fin: false }));
    raw.write(frame(continuation, body.slice(9)));
    const first = await raw.next();
    expect(first?.opcode).toBe(text);
    const second = await raw.next();
    expect(second).toMatchObject({ opcode: pong, payload: Buffer.from('mid') });
    expect(await raw.json(answers(6))).toMatchObject({ success: true });
  });

  test('the longer forms of length are read too', async () => {
    raw.write(frame(text, ping(7), { lengthForm: 16 }));
    raw.write(frame(text, ping(8), { lengthForm: 64 }));
    expect(await raw.json(answers(7))).toMatchObject({ success: true });
    expect(await raw.json(answers(8))).toMatchObject({ success: true });
  });

  const broken: [string, Buffer][] = [
    ['a frame without mask', frame(text, ping(1), { masked: false })],
    ['reserved bit 1', frame(text, ping(1), { rsv: 4 })],
    ['reserved bit 2', frame(text, ping(1), { rsv: 2 })],
    ['reserved bit 3', frame(text, ping(1), { rsv: 1 })],
    ['data opcode 3', frame(3, 'x')],
    ['data opcode 7', frame(7, 'x')],
    ['control opcode 11', frame(11, 'x')],
    ['control opcode 15', frame(15, 'x')],
    ['a continuation of nothing', frame(continuation, 'x')],
    [
      'a new message within a message',
      Buffer.concat([frame(text, 'a', { fin: false }), frame(text, 'b')]),
    ],
    ['a fragmented ping', frame(pingFrame, 'x', { fin: false })],
    ['a ping of 126 bytes', frame(pingFrame, Buffer.alloc(126))],
    ['a close of 126 bytes', frame(close, closeBody(1000, 'x'.repeat(124)))],
    ['a close of one byte', frame(close, Buffer.from([3]))],
    ['the close code 999', frame(close, closeBody(999))],
    ['the close code 1004', frame(close, closeBody(1004))],
    ['the close code 1005', frame(close, closeBody(1005))],
    ['the close code 1006', frame(close, closeBody(1006))],
    ['the close code 1015', frame(close, closeBody(1015))],
    ['the close code 2000', frame(close, closeBody(2000))],
    ['the close code 5000', frame(close, closeBody(5000))],
  ];
  test.each(broken)('%s ends the connection with 1002', async (_, bytes) => {
    raw.write(bytes);
    expect(await raw.closeCode()).toBe(1002);
  });
});

describe('control frames (5.5)', () => {
  test('a ping is answered with its own bytes, up to 125', async () => {
    const body = Buffer.alloc(125, 0xfe);
    raw.write(frame(pingFrame, body));
    await raw.next();
    expect(await raw.next()).toMatchObject({ opcode: pong, payload: body });
  });

  test('a pong nobody asked for is taken without an answer', async () => {
    raw.write(Buffer.concat([frame(pong, 'x'), frame(text, ping(9))]));
    expect(await raw.json(answers(9))).toMatchObject({ success: true });
  });

  test.each([1000, 1001, 1003, 1007, 1011, 3000, 4999])('close %i is answered', async (code) => {
    raw.write(frame(close, closeBody(code, 'bye')));
    expect(await raw.closeCode()).toBe(code);
    expect(await raw.next()).toBeUndefined();
  });

  test('an empty close is answered with an empty one', async () => {
    raw.write(frame(close));
    expect(await raw.closeCode()).toBe(1005);
  });

  test('a connection that is cut without a close frees its place', async () => {
    raw.destroy();
    while (!(await host.server.metrics.text()).includes('eegd_ws_clients 0'))
      await new Promise(setImmediate);
  });
});

describe('UTF-8 (8.1)', () => {
  const bad: [string, number[]][] = [
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a truncated sequence', [0xe2, 0x82]],
    ['a byte that is never used', [0xff]],
  ];
  test.each(bad)('%s ends the connection with 1007', async (_, bytes) => {
    raw.write(frame(text, Buffer.from(bytes)));
    expect(await raw.closeCode()).toBe(1007);
  });

  test('in a close reason too', async () => {
    raw.write(frame(close, Buffer.concat([closeBody(1000), Buffer.from([0x80])])));
    expect(await raw.closeCode()).toBe(1007);
  });

  test('a character split between fragments is whole', async () => {
    const body = Buffer.from(JSON.stringify({ id: 11, type: 'Größe €😀' }));
    const at = body.indexOf(0xf0) + 2;
    raw.write(frame(text, body.subarray(0, at), { fin: false }));
    raw.write(frame(continuation, body.subarray(at)));
    expect(await raw.json(answers(11))).toMatchObject({
      error: { code: 'EEG_WS_UNKNOWN_COMMAND', message: expect.stringContaining('Größe €😀') },
    });
  });
});

describe('sizes', () => {
  const padded = (bytes: number) => {
    const open = JSON.stringify({ id: 12, type: 'ping' });
    return open.slice(0, -1) + ' '.repeat(bytes - open.length) + open.slice(-1);
  };

  test('64 KiB is read', async () => {
    raw.write(frame(text, padded(65_536)));
    expect(await raw.json(answers(12))).toMatchObject({ success: true });
  });

  test('one byte more ends the connection with 1009', async () => {
    raw.write(frame(text, padded(65_537)));
    expect(await raw.closeCode()).toBe(1009);
  });

  test('a header that promises 2^62 bytes is refused before them', async () => {
    const header = frame(text, '', { lengthForm: 64 });
    header.writeBigUInt64BE(2n ** 62n, 2);
    raw.write(header);
    expect(await raw.closeCode()).toBe(1009);
  });

  test('fragments that add up to more than 64 KiB: 1009', async () => {
    raw.write(frame(text, Buffer.alloc(40_000, 0x20), { fin: false }));
    raw.write(frame(continuation, Buffer.alloc(40_000, 0x20)));
    expect(await raw.closeCode()).toBe(1009);
  });

  test('a million tiny fragments are cut at the 65th', async () => {
    raw.write(frame(text, ' ', { fin: false }));
    const tiny = frame(continuation, ' ', { fin: false });
    raw.write(Buffer.concat(Array.from({ length: 20_000 }, () => tiny)));
    expect([1008, 1009, 'dropped']).toContain(await raw.closeCode());
  });

  test('binary messages are no commands', async () => {
    raw.write(frame(binary, ping(13)));
    expect(await raw.json(({ type }) => type === 'error')).toMatchObject({
      error: { code: 'EEG_WS_INVALID_MESSAGE', message: expect.stringContaining('got binary') },
    });
  });
});
