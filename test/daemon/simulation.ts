/**
 * One simulated life of a daemon: a minute and a half of everything that can go wrong, then calm,
 * in which it must recover. Time is virtual; the seed decides all.
 */
import { silentLogger } from '../../src/core/log.js';
import { Rng } from '../../src/core/rng.js';
import { Daemon } from '../../src/daemon/daemon.js';
import { FakeClock } from '../support/fake-clock.js';
import { SimulatedAmplifier } from './simulated-amplifier.js';
import { badCheckpoints, checkpoints, type Mood, SimulatedMachine } from './simulated-engine.js';
import { check, Oracle } from './simulated-oracle.js';

const stormS = 90;
const calmS = 75;
const moods: readonly Mood[] = ['slow', 'hangs', 'fails'];

export interface Life {
  readonly answers: number;
  readonly predictions: number;
  readonly changes: number;
}

/** Rejects where an invariant broke. */
export async function live(seed: number): Promise<Life> {
  const world = await World.begin(new Rng(seed));
  const broken: unknown[] = [];
  const keep = (error: unknown) => broken.push(error);
  process.on('unhandledRejection', keep);
  process.on('uncaughtException', keep);
  try {
    await world.storm();
    await world.calm();
    await world.end();
  } finally {
    process.off('unhandledRejection', keep);
    process.off('uncaughtException', keep);
  }
  if (broken.length > 0) throw broken[0];
  const { answers, predictions, changes } = world.oracle;
  return { answers, predictions, changes };
}

class World {
  readonly oracle: Oracle;
  readonly #clock: FakeClock;
  readonly #rng: Rng;
  readonly #machine: SimulatedMachine;
  readonly #amplifiers: readonly SimulatedAmplifier[];
  readonly #daemon: Daemon;
  #refusal: unknown;
  readonly #swaps = new Set<Promise<unknown>>();

  static async begin(rng: Rng): Promise<World> {
    const clock = new FakeClock();
    const machine = new SimulatedMachine(rng, clock);
    const engine = await clock.through(machine.openEngine('a@1'));
    const ids = ['s1', 's2'].slice(0, 1 + rng.below(2));
    const amplifiers = ids.map((id) => new SimulatedAmplifier(id, rng, clock));
    const find = (address: string) => amplifiers.find(({ info }) => address === `sim:${info.id}`);
    const daemon = new Daemon(engine, undefined, {
      ...{ store: machine.store, openEngine: machine.openEngine, clock, log: silentLogger },
      driverFor: async (address) => find(address) as SimulatedAmplifier,
      discover: () => Promise.resolve([]),
      version: '0',
      pace: 'live',
    });
    return new World({ rng, clock, machine, amplifiers, daemon });
  }

  constructor(parts: {
    rng: Rng;
    clock: FakeClock;
    machine: SimulatedMachine;
    amplifiers: readonly SimulatedAmplifier[];
    daemon: Daemon;
  }) {
    this.#rng = parts.rng;
    this.#clock = parts.clock;
    this.#machine = parts.machine;
    this.#amplifiers = parts.amplifiers;
    this.#daemon = parts.daemon;
    this.oracle = new Oracle(parts.daemon, (id) => checkpoints[id] ?? []);
    for (const amplifier of this.#amplifiers) this.#connect(amplifier);
  }

  async storm(): Promise<void> {
    const endS = this.#clock.now() + stormS;
    while (this.#clock.now() < endS) {
      await this.#clock.advance(100 + this.#rng.below(4000));
      this.oracle.verify();
      this.#fault();
    }
  }

  /** Faults end; whatever was lost is connected again, and predictions must flow. */
  async calm(): Promise<void> {
    this.#machine.recover();
    this.#machine.diskFull = false;
    for (const amplifier of this.#amplifiers) {
      amplifier.flat = false;
      amplifier.loss = 0;
    }
    const beganS = this.#clock.now();
    for (let i = 0; i < calmS; i++) {
      await this.#clock.advance(1000);
      this.oracle.verify();
      this.#machine.recover();
      for (const amplifier of this.#amplifiers) this.#connect(amplifier);
    }
    const states = this.#daemon.snapshot().streams.map(({ state }) => state);
    const refusal = this.#refusal === undefined ? '' : `, last refused with ${this.#refusal}`;
    check(states.length === this.#amplifiers.length, `streams are ${states.join()}${refusal}`);
    check(this.#daemon.dataFlows(), `no data flow ${calmS} s after the last fault`);
    check(this.oracle.predictedS > beganS + calmS - 5, 'no predictions after the last fault');
  }

  async end(): Promise<void> {
    for (const { info } of this.#amplifiers) await this.#daemon.disconnect(info.id);
    await this.#clock.through(Promise.all(this.#swaps));
    await this.#clock.through(this.#daemon.idle());
    this.oracle.settled();
    const { checkpoint } = this.#daemon.snapshot();
    const { choice, engines } = this.#machine;
    check(choice === undefined || choice.active === checkpoint, `chosen is ${choice?.active}`);
    const open = engines.filter(({ closed }) => !closed).map(({ info }) => info.checkpoint);
    const candidates = open.length - open.filter((id) => id === checkpoint).length;
    check(open.includes(checkpoint) && open.length <= 2 && candidates <= 1, `open: ${open}`);
    await this.#clock.through(this.#daemon.close());
    check(
      engines.every(({ closed }) => closed),
      'an engine was left open',
    );
  }

  #connect(amplifier: SimulatedAmplifier): void {
    const { id } = amplifier.info;
    const running = this.#daemon.snapshot().streams.find(({ stream }) => stream === id);
    if (running !== undefined && running.state !== 'ended' && running.state !== 'failed') return;
    this.#daemon.connect(`sim:${id}`).then(
      () => undefined,
      (error: unknown) => {
        this.#refusal = error;
      },
    );
  }

  #fault(): void {
    const rng = this.#rng;
    const amplifier = this.#amplifiers[rng.below(this.#amplifiers.length)] as SimulatedAmplifier;
    const { id } = amplifier.info;
    const faults: readonly (() => void)[] = [
      () => amplifier.pull(0.1 + 15 * rng.uniform() ** 2),
      () => amplifier.end(),
      () => amplifier.fail(),
      () => void this.#daemon.disconnect(id).catch(() => undefined),
      () => this.#connect(amplifier),
      () => this.#connect(amplifier),
      () => {
        amplifier.flat = rng.below(2) === 0;
      },
      () => {
        amplifier.loss = rng.below(2) * 0.5 * rng.uniform();
      },
      () => {
        this.#clock.wall += (rng.uniform() - 0.5) * 7.2e6;
      },
      () => {
        this.#machine.diskFull = rng.below(2) === 0;
      },
      () => this.#machine.recover(),
      () => this.#machine.recover(),
      () => {
        this.#machine.mood = moods[rng.below(moods.length)] as Mood;
      },
      () => this.#swap(),
      () => this.#swap(),
      () => this.#swap(),
    ];
    faults[rng.below(faults.length)]?.();
  }

  #swap(): void {
    const rng = this.#rng;
    const all = [...Object.keys(checkpoints), ...badCheckpoints];
    const id = all[rng.below(all.length)] as string;
    const ways = [
      () => this.#daemon.activate(id),
      () => this.#daemon.load(id, { shadowS: rng.below(3) * 2 }),
      () => this.#daemon.rollback(),
    ];
    const swap = (ways[rng.below(ways.length)] as () => Promise<unknown>)().catch(() => undefined);
    this.#swaps.add(swap);
    void swap.then(() => this.#swaps.delete(swap));
  }
}
