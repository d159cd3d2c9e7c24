/**
 * Which workers live, and so which partitions are whose. Workers tell of themselves ten times a
 * second; each deals the partitions out among those it has heard lately, by rendezvous hashing
 * (Thaler and Ravishankar 1998), so that all come to the same and a death moves only the dead
 * one's share. Two that disagree for a moment do no harm: both pull from the same queue.
 */
import type { Subscription } from '@nats-io/transport-node';
import { BehaviorSubject, type Observable } from 'rxjs';
import { localClock } from '../core/time.js';
import type { Link } from './connection.js';
import { fnv, subjects } from './names.js';

export interface Beat {
  readonly worker: string;
  /** Process start: a worker that restarted is another one. */
  readonly since: number;
  readonly leaving?: true;
  readonly counters: Readonly<Record<string, number>>;
}

export const beatEveryMs = 100;
const silentAfterS = 0.5;

/** Hears who lives; gateways and operators have one too. */
export class Roster {
  readonly #link: Link;
  readonly #heard = new Map<string, { beat: Beat; atS: number }>();
  readonly #live = new BehaviorSubject<readonly string[]>([]);
  #subscription: Subscription | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Names of the workers that live, sorted. */
  get live$(): Observable<readonly string[]> {
    return this.#live;
  }

  get live(): readonly string[] {
    return this.#live.value;
  }

  beats(): Beat[] {
    return [...this.#heard.values()].map(({ beat }) => beat);
  }

  start(): void {
    this.#subscription = this.#link.nats.subscribe(subjects.allBeats, {
      callback: (error, message) => {
        if (error === null) this.#hear(message.data);
      },
    });
    this.#timer = setInterval(() => this.#count(), beatEveryMs);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#subscription?.unsubscribe();
  }

  #hear(data: Uint8Array): void {
    let beat: Beat;
    try {
      beat = JSON.parse(Buffer.from(data).toString('utf8')) as Beat;
    } catch {
      return;
    }
    if (beat.leaving) this.#heard.delete(beat.worker);
    else this.#heard.set(beat.worker, { beat, atS: localClock() });
    this.#count();
  }

  #count(): void {
    const nowS = localClock();
    for (const [worker, { atS }] of this.#heard)
      if (nowS - atS > silentAfterS) this.#heard.delete(worker);
    const live = [...this.#heard.keys()].sort();
    if (live.join() !== this.#live.value.join()) this.#live.next(live);
  }
}

/** Tells that this worker lives, until it leaves. */
export class Pulse {
  readonly #link: Link;
  readonly #beat: () => Omit<Beat, 'since'>;
  readonly #since = Date.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(link: Link, beat: () => Omit<Beat, 'since'>) {
    this.#link = link;
    this.#beat = beat;
  }

  start(): void {
    this.#send();
    this.#timer = setInterval(() => this.#send(), beatEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#send({ leaving: true });
  }

  #send(more: { leaving?: true } = {}): void {
    const { nats } = this.#link;
    // A beat that waits for a reconnect would be a lie about the past.
    if (nats.isClosed()) return;
    const beat = { ...this.#beat(), since: this.#since, ...more };
    nats.publish(subjects.beat(beat.worker), JSON.stringify(beat));
  }
}

/** Who of `workers` owns the partition; undefined where there is none. */
export function ownerOf(
  site: string,
  partition: number,
  workers: readonly string[],
): string | undefined {
  let owner: string | undefined;
  let most = -1;
  for (const worker of workers) {
    const weight = hash(`${site}/${partition}/${worker}`);
    if (weight > most) [owner, most] = [worker, weight];
  }
  return owner;
}

/** With the finaliser of MurmurHash3: names that differ in one letter lie far apart. */
function hash(text: string): number {
  let h = fnv(text);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
