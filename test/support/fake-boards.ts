/** Fake boards of the families that are not a Cyton, each after its public protocol. */
import { FakeBoard, putInt16, putInt24 } from './fake-board.js';

/** One channel, 512 samples a second; once a second a packet with the slow values. */
export class FakeThinkGear extends FakeBoard {
  readonly framesHz = 512;
  /** Behind an RF dongle that waits to be told to connect. */
  standby = false;
  signal: (n: number) => number = (n) => (n % 4000) - 2000;

  protected override boot(): void {
    if (!this.standby) this.start();
    else this.#wait();
  }

  #wait(): void {
    if (!this.standby) return;
    this.say(thinkgearPacket([0xd4, 1, 0]));
    this.clock.setTimeout(() => this.#wait(), 200);
  }

  protected override hear(bytes: Uint8Array): void {
    if (!this.standby || !bytes.includes(0xc2)) return;
    this.standby = false;
    this.start();
  }

  protected override encode(n: number): Uint8Array {
    const raw = new Uint8Array(2);
    putInt16(raw, 0, this.signal(n));
    const packet = thinkgearPacket([0x80, 2, ...raw]);
    if (n % 512 !== 511) return packet;
    const powers = new Array<number>(24).fill(7);
    const slow = thinkgearPacket([0x02, 26, 0x83, 24, ...powers, 0x04, 53, 0x05, 61]);
    return Buffer.concat([packet, slow]);
  }
}

export function thinkgearPacket(payload: readonly number[]): Uint8Array {
  const sum = payload.reduce((total, byte) => total + byte, 0);
  return Uint8Array.of(0xaa, 0xaa, payload.length, ...payload, ~sum & 0xff);
}

/** Six channels, streaming from power-up. */
export class FakeOpenEeg extends FakeBoard {
  framesHz = 256;
  version = 2;
  switches = 15;
  /** 10-bit counts. */
  signal: (n: number, channel: number) => number = (n, channel) => (n + 100 * channel) & 1023;

  protected override boot(): void {
    this.start();
  }

  protected override hear(): void {}

  protected override encode(n: number): Uint8Array {
    const values = Array.from({ length: 6 }, (_, i) => this.signal(n, i));
    return this.version === 2 ? p2Packet(n, values, this.switches) : p3Packet(n, values);
  }
}

export function p2Packet(n: number, values: readonly number[], switches = 15): Uint8Array {
  const bytes = new Uint8Array(17);
  bytes.set([0xa5, 0x5a, 2, n & 255]);
  for (const [i, value] of values.entries()) putInt16(bytes, 4 + 2 * i, value);
  bytes[16] = switches;
  return bytes;
}

export function p3Packet(n: number, values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(11);
  bytes[0] = (n & 63) << 1;
  for (let pair = 0; pair < 3; pair++) {
    const [even, odd] = [values[2 * pair] as number, values[2 * pair + 1] as number];
    bytes[2 + 3 * pair] = even & 127;
    bytes[3 + 3 * pair] = odd & 127;
    bytes[4 + 3 * pair] = ((even >> 7) << 4) | (odd >> 7);
  }
  bytes[10] = (bytes[10] as number) | 128;
  return bytes;
}

/** 32 channels, streaming from power-up. */
export class FakeFreeEeg32 extends FakeBoard {
  framesHz = 512;
  /** Of a frame; firmwares differ. */
  frameBytes = 105;
  signal: (n: number, channel: number) => number = (n, channel) => (n * 64 + channel) % 4e6;

  protected override boot(): void {
    this.start();
  }

  protected override hear(): void {}

  protected override encode(n: number): Uint8Array {
    const values = Array.from({ length: 32 }, (_, i) => this.signal(n, i));
    return freeEegFrame(n, values, this.frameBytes);
  }
}

export function freeEegFrame(n: number, values: readonly number[], frameBytes = 105): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  bytes[0] = 0xa0;
  bytes[1] = n & 255;
  for (const [i, value] of values.entries()) putInt24(bytes, 2 + 3 * i, value);
  for (let i = 0; i < 3; i++) putInt16(bytes, 98 + 2 * i, 100 * (i + 1));
  bytes[frameBytes - 1] = 0xc0;
  return bytes;
}

/** An Arduino with the Chords firmware; opening its port resets it. */
export class FakeChords extends FakeBoard {
  board = 'UNO-R4';
  channels = 6;
  framesHz = 500;
  bootMs = 1500;
  signal: (n: number, channel: number) => number = (n, channel) => (n * 3 + channel) & 16383;
  #line = '';
  #ready = false;

  protected override boot(): void {
    this.#ready = false;
    this.#line = '';
    this.clock.setTimeout(() => {
      this.#ready = true;
    }, this.bootMs);
  }

  override unplug(): void {
    super.unplug();
    this.stop();
  }

  protected override hear(bytes: Uint8Array): void {
    if (!this.#ready || !this.powered) return;
    for (const byte of bytes) {
      const character = String.fromCharCode(byte);
      if (character !== '\n') this.#line += character;
      else this.#obey(this.#line.trim());
    }
  }

  #obey(line: string): void {
    this.#line = '';
    if (line === 'WHORU') this.say(`${this.board}\r\n`);
    else if (line === 'START') this.start();
    else if (line === 'STOP') this.stop();
    else if (line === 'STATUS') this.say(this.streaming ? 'START\n' : 'STOP\n');
  }

  protected override encode(n: number): Uint8Array {
    const values = Array.from({ length: this.channels }, (_, i) => this.signal(n, i));
    return chordsPacket(n, values);
  }
}

export function chordsPacket(n: number, values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(2 * values.length + 4);
  bytes.set([0xc7, 0x7c, n & 255]);
  for (const [i, value] of values.entries()) putInt16(bytes, 3 + 2 * i, value);
  bytes[bytes.length - 1] = 0x01;
  return bytes;
}
