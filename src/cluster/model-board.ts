/**
 * What is active in a cluster, as its key-value bucket says: the active revision, the one that is
 * being prepared, which workers are ready for it, and whose packs serve whom. A window belongs to
 * the last revision that began before its end, so that all machines flip at the same window; a
 * roll-back is a revision like any other.
 */
import type { KV, KvEntry } from '@nats-io/kv';
import { BehaviorSubject, filter, firstValueFrom, type Observable } from 'rxjs';
import { EegError, toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { EngineInfo } from '../engine/engine.js';

export interface Revision {
  readonly revision: number;
  readonly checkpoint: string;
  /** Windows that end from here on are its own, wall clock seconds. */
  readonly fromWallS: number;
  readonly info: EngineInfo;
  /** Where it takes back the one before it. */
  readonly isRollback?: true;
  /** What it replaced: serves windows that ended before, and is what a roll-back goes to. */
  readonly previous?: { readonly checkpoint: string; readonly info: EngineInfo };
}

export interface Candidate {
  readonly revision: number;
  readonly checkpoint: string;
}

/** How a worker got on with a candidate. */
export interface Readiness {
  readonly worker: string;
  readonly revision: number;
  readonly info?: EngineInfo;
  readonly error?: string;
}

export interface PersonPack {
  readonly person: string;
  /** `base@1+pack@2`. */
  readonly checkpoint: string;
  readonly info: EngineInfo;
}

export interface BoardState {
  readonly active?: Revision;
  readonly candidate?: Candidate;
  readonly ready: readonly Readiness[];
  readonly people: ReadonlyMap<string, PersonPack>;
}

const watchAgainMs = 1000;

export class ModelBoard {
  readonly #kv: KV;
  readonly #log: Logger;
  readonly #state = new BehaviorSubject<BoardState>({ ready: [], people: new Map() });
  #activeVersion = 0;
  /** The highest that was ever proposed: a number is never used twice. */
  #revisionMax = 0;
  #closed = false;
  #stopWatch: () => void = () => undefined;

  constructor(kv: KV, log: Logger) {
    this.#kv = kv;
    this.#log = log;
  }

  get state(): BoardState {
    return this.#state.value;
  }

  /** The state now, and whenever it changes. */
  get state$(): Observable<BoardState> {
    return this.#state;
  }

  /** Resolves when what is there has been read. */
  async start(): Promise<void> {
    const history = await this.#kv.history();
    for await (const entry of history) this.#take(entry);
    void this.#watch();
  }

  /** The revision's checkpoint for a window that ends then; the person's own where there is one. */
  modelAt(stampWallS: number, person = ''): { checkpoint: string; info: EngineInfo } | undefined {
    const { active, people } = this.state;
    if (active === undefined) return undefined;
    const revision = modelOf(active, stampWallS);
    const own = people.get(person);
    const base = revision.checkpoint.split('+')[0];
    return own !== undefined && own.checkpoint.split('+')[0] === base ? own : revision;
  }

  /** Resolves when something is active. */
  async hasActive(): Promise<void> {
    await firstValueFrom(this.#state.pipe(filter(({ active }) => active !== undefined)));
  }

  /** Announces what is to be warmed; an earlier candidate is replaced. */
  async propose(checkpoint: string): Promise<Candidate> {
    const candidate = { revision: this.#revisionMax + 1, checkpoint };
    await this.#kv.put('candidate', JSON.stringify(candidate));
    return candidate;
  }

  async withdraw(): Promise<void> {
    await this.#kv.delete('candidate');
  }

  async report(readiness: Readiness): Promise<void> {
    await this.#kv.put(`ready.${readiness.worker}`, JSON.stringify(readiness));
  }

  /** Refused where another revision came between. */
  async activate(revision: Revision): Promise<void> {
    const text = JSON.stringify(revision);
    try {
      if (this.#activeVersion === 0) await this.#kv.create('active', text);
      else await this.#kv.update('active', text, this.#activeVersion);
    } catch (cause) {
      const message = `expected revision ${revision.revision} to be the next one`;
      throw new EegError('EEG_CLUSTER_REFUSED', message, { cause });
    }
    await this.withdraw();
  }

  async assign(pack: PersonPack): Promise<void> {
    await this.#kv.put(`person.${pack.person}`, JSON.stringify(pack));
  }

  /** The active revision serves the person again. */
  async unassign(person: string): Promise<void> {
    await this.#kv.delete(`person.${person}`);
  }

  close(): void {
    this.#closed = true;
    this.#stopWatch();
  }

  /** A watch that broke is begun again: what was missed comes with it. */
  async #watch(): Promise<void> {
    while (!this.#closed) {
      try {
        const watch = await this.#kv.watch();
        this.#stopWatch = () => watch.stop();
        if (this.#closed) watch.stop();
        for await (const entry of watch) this.#take(entry);
      } catch (error) {
        if (!this.#closed) this.#log.warn(toEegError(error).line);
      }
      if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, watchAgainMs));
    }
  }

  #take(entry: KvEntry): void {
    try {
      this.#state.next(this.#after(entry));
    } catch (error) {
      this.#log.error({ key: entry.key }, `an entry cannot be read: ${String(error)}`);
    }
  }

  #after(entry: KvEntry): BoardState {
    const { state } = this;
    const { key, operation, revision } = entry;
    const value = operation === 'PUT' ? (JSON.parse(entry.string()) as unknown) : undefined;
    if ((key === 'active' || key === 'candidate') && value !== undefined)
      this.#revisionMax = Math.max(this.#revisionMax, (value as Candidate).revision);
    if (key === 'active' && value !== undefined) {
      this.#activeVersion = revision;
      return { ...state, active: value as Revision };
    }
    if (key === 'candidate') {
      const { candidate: _, ...rest } = state;
      return value === undefined ? rest : { ...rest, candidate: value as Candidate };
    }
    if (key.startsWith('ready.')) {
      const worker = key.slice('ready.'.length);
      const others = state.ready.filter((each) => each.worker !== worker);
      return { ...state, ready: value === undefined ? others : [...others, value as Readiness] };
    }
    if (!key.startsWith('person.')) return state;
    const people = new Map(state.people);
    if (value === undefined) people.delete(key.slice('person.'.length));
    else people.set((value as PersonPack).person, value as PersonPack);
    return { ...state, people };
  }
}

/** The checkpoint that windows which end then belong to. */
export function modelOf(active: Revision, stampWallS: number) {
  return stampWallS >= active.fromWallS ? active : (active.previous ?? active);
}

/** What others need to know: what packs add to the logits stays with the workers. */
export function plainInfo({ readouts: _, ...info }: EngineInfo): EngineInfo {
  return info;
}
