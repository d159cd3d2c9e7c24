/** A Cyton on its dongle, after docs.openbci.com ("Cyton Data Format", "Cyton SDK"). */
import { FakeBoard, putInt16, putInt24 } from './fake-board.js';

const gains = [1, 2, 4, 6, 8, 12, 24];
const channelNames = '12345678QWERTYUI';
const rates = [16000, 8000, 4000, 2000, 1000, 500, 250];

export class FakeCyton extends FakeBoard {
  framesHz = 250;
  /** A Daisy is on the board. */
  daisy = false;
  sixteen = false;
  firmware: string | undefined = 'v3.1.1';
  /** Answer anything else than an OpenBCI board would. */
  greeting: string | undefined;
  /** Of each input, as set by the host. */
  readonly gain = new Array<number>(16).fill(24);
  readonly leadOff = new Array<string>(16).fill('00');
  mode = '0';
  stamped = false;
  /** Value of input `channel` at sample `n`, in counts. */
  signal: (n: number, channel: number) => number = (n, channel) => n * 16 + channel;
  /** Of each electrode; the lead-off current makes a tone of it. */
  readonly ohms = new Array<number>(16).fill(5000);
  readonly heard: string[] = [];
  #command = '';

  protected override hear(bytes: Uint8Array): void {
    for (const byte of bytes) this.#character(String.fromCharCode(byte));
  }

  #character(character: string): void {
    if (!this.powered) {
      // The dongle answers for a board that does not.
      if (character === 'v') {
        this.say('Failure: Communications timeout - Device failed to poll Host$$$');
      }
      return;
    }
    this.#command += character;
    const command = this.#command;
    if (/^[xz]/.test(command) && !/[XZ]$/.test(command)) return;
    if (/^[~/]$/.test(command)) return;
    this.#command = '';
    this.heard.push(command);
    this.#obey(command);
  }

  #obey(command: string): void {
    if (command === 's') this.stop();
    else if (command === 'b') this.start();
    else if (command === 'v') this.#reset();
    else if (command === 'C') this.#attach();
    else if (command === 'c') this.#reply(this.#eight());
    else if (command.startsWith('x')) this.#channel(command);
    else if (command.startsWith('z')) this.#leadOff(command);
    else if (command.startsWith('~')) this.#rate(command);
    else if (command.startsWith('/')) this.#mode(command);
    else if (command === '<') {
      this.stamped = true;
      this.#reply('Time stamp ON');
    }
  }

  #reply(text: string): void {
    if (!this.streaming) this.say(`${text}$$$`);
  }

  #reset(): void {
    this.stop();
    this.sixteen = false;
    this.stamped = false;
    this.mode = '0';
    this.framesHz = 250;
    this.gain.fill(24);
    const daisy = this.daisy ? 'On Daisy ADS1299 Device ID: 0x3E\r\n' : '';
    const firmware = this.firmware === undefined ? '' : `Firmware: ${this.firmware}\r\n`;
    const text = `OpenBCI V3 8-16 channel\r\nOn Board ADS1299 Device ID: 0x3E\r\n${daisy}LIS3DH Device ID: 0x33\r\n${firmware}`;
    this.#reply(this.greeting ?? text);
    this.sixteen = this.daisy;
  }

  #eight(): string {
    this.sixteen = false;
    return 'daisy removed';
  }

  #attach(): void {
    this.sixteen = this.daisy;
    this.#reply(this.daisy ? '16' : 'no daisy to attach!8');
  }

  #channel(command: string): void {
    const channel = channelNames.indexOf(command[1] as string);
    const gain = gains[Number(command[3])];
    if (command.length !== 9 || channel < 0 || gain === undefined) {
      this.#reply('Failure: too few characters');
      return;
    }
    this.gain[channel] = gain;
    this.#reply(`Success: Channel set for ${channel + 1}`);
  }

  #leadOff(command: string): void {
    const channel = channelNames.indexOf(command[1] as string);
    this.leadOff[channel] = command.slice(2, 4);
    this.#reply(`Success: Lead off set for ${channel + 1}`);
  }

  #rate(command: string): void {
    this.framesHz = rates[Number(command[1])] as number;
    this.#reply(`Success: Sample rate is ${this.framesHz}Hz`);
  }

  #mode(command: string): void {
    this.mode = command[1] as string;
    this.#reply(
      `Success: ${['default', 'debug', 'analog', 'digital', 'marker'][Number(this.mode)]}`,
    );
  }

  #value(sample: number, input: number): number {
    if (this.leadOff[input] === '00') return this.signal(sample, input);
    const volts = 6e-9 * ((this.ohms[input] as number) + 2200);
    const counts = volts / (4.5 / (this.gain[input] as number) / (2 ** 23 - 1));
    // A Daisy pair is the mean of two samples of the tone of 8 samples a period.
    const tone = (n: number) => Math.sin((Math.PI / 4) * n);
    const level = this.sixteen ? (tone(2 * sample) + tone(2 * sample - 1)) / 2 : tone(sample);
    return Math.max(-(2 ** 23), Math.min(2 ** 23 - 1, Math.round(counts * level)));
  }

  /** Packet `n`: with a Daisy the odd ones carry inputs 1-8, the even ones 9-16. */
  protected override encode(n: number): Uint8Array {
    const half = this.sixteen && n % 2 === 0 ? 8 : 0;
    const sample = this.sixteen ? n >> 1 : n;
    const values = Array.from({ length: 8 }, (_, i) => this.#value(sample, half + i));
    const ms = this.stamped ? Math.round(this.clock.now() * 1000) % 2 ** 32 : undefined;
    const kind = this.mode === '0' ? 0xc0 : 0xc1;
    // The accelerometer is ten times slower than the EEG.
    const accel = n % 10 === 0 ? [1000, -2000, 8000] : [0, 0, 0];
    return cytonPacket({ counter: n & 255, values, aux: accel, footer: kind, ms });
  }
}

export interface PacketFields {
  readonly counter: number;
  readonly values: readonly number[];
  /** Three int16. */
  readonly aux?: readonly number[];
  readonly footer?: number;
  /** Board milliseconds: makes it a time-stamped packet. */
  readonly ms?: number | undefined;
}

export function cytonPacket(fields: PacketFields): Uint8Array {
  const bytes = new Uint8Array(33);
  bytes[0] = 0xa0;
  bytes[1] = fields.counter;
  for (const [i, value] of fields.values.entries()) putInt24(bytes, 2 + 3 * i, value);
  for (const [i, value] of (fields.aux ?? [0, 0, 0]).entries()) putInt16(bytes, 26 + 2 * i, value);
  bytes[32] = fields.footer ?? 0xc0;
  if (fields.ms !== undefined) {
    new DataView(bytes.buffer).setUint32(28, fields.ms >>> 0);
    bytes[32] = 0xc4;
  }
  return bytes;
}
