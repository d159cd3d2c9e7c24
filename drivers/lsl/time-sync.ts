/**
 * Clock offset between an outlet's machine and this one, by liblsl's exchange: eight probes over
 * UDP, the one with the shortest round trip counts. `offsetS` is what to add to the outlet's stamps.
 */
import type { Socket } from 'node:dgram';
import { type LslClock, systemLslClock } from './clock.js';
import type { LslConfig } from './config.js';
import { LslError } from './errors.js';
import { closeUdp, familyOf, isOwnAddress, openUdp } from './network.js';
import type { LslStreamInfo } from './stream-info.js';

export interface ClockEstimate {
  /** Add to the outlet's stamps, s. */
  readonly offsetS: number;
  /** Round trip of the probe it came from, s. */
  readonly uncertaintyS: number;
  /** When it was made, LSL seconds here. */
  readonly atS: number;
}

interface Probe {
  readonly rttS: number;
  readonly offsetS: number;
}

export class TimeSync {
  readonly #config: LslConfig;
  readonly #clock: LslClock;
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #isHere = false;
  #closed = false;
  #wave = 0;
  #probes: Probe[] = [];
  #latest: ClockEstimate | undefined;
  #hasWave = false;
  #lastAnswerS = Number.NEGATIVE_INFINITY;
  #waiting: ((estimate: ClockEstimate) => void)[] = [];
  readonly #cancels = new Set<() => void>();

  constructor(info: LslStreamInfo, config: LslConfig, clock: LslClock = systemLslClock) {
    this.#config = config;
    this.#clock = clock;
    const viaV4 = info.v4Address !== '' && info.v4ServicePort > 0;
    this.#host = viaV4 ? info.v4Address : info.v6Address;
    this.#port = viaV4 ? info.v4ServicePort : info.v6ServicePort;
  }

  get latest(): ClockEstimate | undefined {
    return this.#latest;
  }

  /** When the outlet's machine last answered, LSL seconds here. */
  get lastAnswerS(): number {
    return this.#lastAnswerS;
  }

  async start(): Promise<void> {
    if (this.#host === '' || this.#port === 0) return;
    this.#isHere = isOwnAddress(this.#host);
    const family = familyOf(this.#host);
    const socket = await openUdp({ family, address: family === 4 ? '0.0.0.0' : '::', port: 0 });
    if (this.#closed) return closeUdp(socket);
    this.#socket = socket;
    socket.unref();
    socket.on('message', (message) => this.#receive(message));
    this.#startWave();
  }

  /** The latest estimate of a whole wave, or the first one. Rejects with `LslError` (`timeout`). */
  estimate(timeoutMs: number): Promise<ClockEstimate> {
    if (this.#latest !== undefined && this.#hasWave) return Promise.resolve(this.#latest);
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one !== done);
        const where = `${this.#host}:${this.#port}`;
        reject(new LslError('timeout', `expected time data from ${where} in ${timeoutMs} ms`));
      }, timeoutMs);
      const done = (estimate: ClockEstimate) => {
        cancel();
        resolve(estimate);
      };
      this.#waiting.push(done);
    });
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    closeUdp(this.#socket);
    this.#socket = undefined;
  }

  #startWave(): void {
    const { timeProbeCount: count, timeProbeIntervalS, timeProbeMaxRttS } = this.#config;
    this.#wave++;
    this.#probes = [];
    const stepMs = timeProbeIntervalS * 1000;
    for (let k = 0; k < count; k++) this.#after(k * stepMs, () => this.#send());
    this.#after(count * stepMs + timeProbeMaxRttS * 1000, () => this.#endWave());
    this.#after(this.#config.timeUpdateIntervalS * 1000, () => this.#startWave());
  }

  #after(ms: number, callback: () => void): void {
    const cancel = this.#clock.setTimeout(() => {
      this.#cancels.delete(cancel);
      callback();
    }, ms);
    this.#cancels.add(cancel);
  }

  #send(): void {
    const text = `LSL:timedata\r\n${this.#wave} ${this.#clock.now().toPrecision(16)}\r\n`;
    this.#socket?.send(text, this.#port, this.#host, () => undefined);
  }

  #receive(message: Buffer): void {
    const t3 = this.#clock.now();
    const parts = message.toString('latin1').trim().split(/\s+/).map(Number);
    const [wave = -1, t0 = Number.NaN, t1 = Number.NaN, t2 = Number.NaN] = parts;
    const probe = probeOf(t0, t1, t2, t3);
    if (wave !== this.#wave || !Number.isFinite(probe.offsetS) || probe.rttS < 0) return;
    this.#lastAnswerS = t3;
    if (this.#probes.length < this.#config.timeProbeCount) this.#probes.push(probe);
    // Until the first wave has ended its best answer so far is far better than none.
    if (this.#wave === 1) this.#latest = this.#best();
  }

  #best(): ClockEstimate {
    const best = this.#probes.reduce((a, b) => (b.rttS < a.rttS ? b : a));
    // One machine has one monotonic clock: what a busy outlet adds to a probe is no offset.
    const isNone = this.#isHere && Math.abs(best.offsetS) <= best.rttS;
    return {
      offsetS: isNone ? 0 : best.offsetS,
      uncertaintyS: best.rttS,
      atS: this.#clock.now(),
    };
  }

  #endWave(): void {
    if (this.#probes.length < this.#config.timeUpdateMinProbes) return;
    const latest = this.#best();
    this.#latest = latest;
    this.#hasWave = true;
    for (const one of this.#waiting.splice(0)) one(latest);
  }
}

/** NTP's arithmetic: t0 and t3 by this clock, t1 and t2 by the outlet's. */
export function probeOf(t0: number, t1: number, t2: number, t3: number): Probe {
  return { rttS: t3 - t0 - (t2 - t1), offsetS: -(t1 - t0 + (t2 - t3)) / 2 };
}

/** An outlet's answer to a time request, or undefined where it is none. */
export function answerTime(
  request: string,
  receivedS: number,
  now: () => number,
): string | undefined {
  const match = /^LSL:timedata\s*\n\s*(-?\d{1,12})\s+(\S{1,32})/.exec(request);
  if (match === null) return undefined;
  const sent = Number(match[2]);
  if (!Number.isFinite(sent)) return undefined;
  const [t0, t1, t2] = [sent, receivedS, now()].map((one) => one.toPrecision(16));
  return ` ${match[1]} ${t0} ${t1} ${t2}`;
}
