/**
 * A gateway: what a cluster does, as the `DaemonApi` that server, dashboard and metrics know. Puts
 * each stream's answers back in order, turns them into decisions as the daemon does, and passes
 * commands on to the edges.
 */
import { Subject } from 'rxjs';
import type {
  CheckpointListing,
  DaemonApi,
  DaemonSnapshot,
  DeviceListing,
  RecordingListing,
} from '../core/daemon-api.js';
import { EegError } from '../core/errors.js';
import type { CheckpointChange, DaemonEvent, StreamStatus } from '../core/events.js';
import type { Logger } from '../core/log.js';
import type { TaskSpec } from '../core/tasks.js';
import { localClock } from '../core/time.js';
import { Predictor } from '../daemon/predictor.js';
import type { EngineInfo } from '../engine/engine.js';
import { staleAfterS } from '../windows/urgency.js';
import { type Activation, changeOf } from './activation.js';
import { askEdge } from './commands.js';
import type { Link } from './connection.js';
import type { Counters } from './counters.js';
import { type Heard, hearEvents } from './event-relay.js';
import { GatewayStream } from './gateway-stream.js';
import type { Roster } from './membership.js';
import type { BoardState, ModelBoard } from './model-board.js';
import { addressOf, type StreamAddress, shownId, subjects } from './names.js';
import { followResults } from './result-feed.js';
import { decodeResult, type Result } from './result-message.js';
import { decodeStep, type Step } from './step-message.js';
import { Teaching } from './teaching.js';
import { wallNowS } from './wall-time.js';

export interface GatewayOptions {
  readonly link: Link;
  readonly sites: readonly string[];
  readonly board: ModelBoard;
  readonly roster: Roster;
  readonly activation: Activation;
  /** Ids of the checkpoints that the cluster has, with how many parameters each. */
  readonly shelved: () => Promise<readonly Omit<CheckpointListing, 'active' | 'previous'>[]>;
  readonly counters: Counters;
  readonly log: Logger;
  readonly version: string;
  readonly staleAfterS?: (task: TaskSpec) => number;
}

/** How much longer than a window may age an answer may be on its way. */
const graceS = 1;
const tickMs = 50;
/** An edge that says nothing for so long has no link, s. */
const silentEdgeS = 4;

interface EdgeSeen {
  readonly site: string;
  readonly edge: string;
  heardS: number;
  counters: Readonly<Record<string, number>>;
}

export class Gateway implements DaemonApi {
  readonly events$ = new Subject<DaemonEvent>();
  readonly counters: Counters;
  readonly #options: GatewayOptions;
  readonly #streams = new Map<string, GatewayStream>();
  readonly #edges = new Map<string, EdgeSeen>();
  readonly #infos = new Map<string, EngineInfo>();
  readonly #predictor: Predictor;
  readonly #teaching: Teaching;
  readonly #recordings = new Map<string, { site: string; edge: string }>();
  #lastChange: CheckpointChange | undefined;
  /** The last revision that clients know of. */
  #revision: number | undefined;
  #stop: (() => void)[] = [];

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.counters = options.counters;
    this.#predictor = new Predictor((event) => this.#emit(event));
    const { link, roster } = options;
    const onUpdate = (update: DaemonEvent) => this.#emit(update);
    this.#teaching = new Teaching({ link, workers: () => roster.live, onUpdate });
  }

  start(): void {
    const { link, sites, board, log } = this.#options;
    const following = board.state$.subscribe((state) => this.#follow(state));
    const timer = setInterval(() => this.#tick(), tickMs);
    this.#stop = [() => following.unsubscribe(), () => clearInterval(timer)];
    for (const site of sites) {
      const steps = link.nats.subscribe(subjects.allSteps(site), {
        callback: (error, { subject, data }) => {
          if (error === null) this.#step(subject, data);
        },
      });
      const events = hearEvents(link, site, this.counters, (heard) => this.#heard(heard));
      const results = followResults(link, site, log, (subject, data) =>
        this.#result(subject, data),
      );
      this.#stop.push(
        () => steps.unsubscribe(),
        () => events.unsubscribe(),
        results,
      );
    }
  }

  async close(): Promise<void> {
    for (const stop of this.#stop.splice(0)) stop();
    this.#teaching.close();
    this.events$.complete();
  }

  snapshot(): DaemonSnapshot {
    const { board, roster, version } = this.#options;
    const { active } = board.state;
    const workers = roster.live.length;
    return {
      version,
      checkpoint: active?.checkpoint ?? 'none@0',
      trained: active?.info.trained ?? false,
      engine: `${workers} ${workers === 1 ? 'worker' : 'workers'}, ${active?.info.engine ?? 'none'}`,
      ...(workers === 0 ? { degraded: 'no worker is running' } : {}),
      tasks: active?.info.tasks ?? [],
      streams: [...this.#streams.values()].flatMap(({ status }) => status ?? []),
      routing: active === undefined ? [] : this.#predictor.routing(active.info),
      latencyMsP50: this.#predictor.latencyMsP50(),
      ...(this.#lastChange === undefined ? {} : { lastCheckpointChange: this.#lastChange }),
    };
  }

  /** Edges that were heard lately, with what they counted. */
  edges(): readonly EdgeSeen[] {
    return [...this.#edges.values()].filter(({ heardS }) => localClock() - heardS < silentEdgeS);
  }

  get workers(): readonly string[] {
    return this.#options.roster.live;
  }

  /** Addresses are EDGE/ADDRESS, with several sites SITE/EDGE/ADDRESS. */
  async devices(): Promise<DeviceListing[]> {
    const asked = this.edges().map(async ({ site, edge }) => {
      const found = await askEdge(this.#options.link, { site, edge }, { name: 'devices' });
      return found.map((device) => ({
        ...device,
        address: `${this.#prefix(site)}${edge}/${device.address}`,
        detail: `${device.detail} at ${edge}`,
      }));
    });
    const answered = await Promise.allSettled(asked);
    return answered.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  }

  async connect(address: string): Promise<{ stream: string }> {
    const seen = this.edges().find(({ site, edge }) =>
      address.startsWith(`${this.#prefix(site)}${edge}/`),
    );
    if (seen === undefined) {
      const known = this.edges().map(({ edge }) => edge);
      const message = `expected EDGE/ADDRESS with an edge of ${known.join(', ') || 'none'}`;
      throw new EegError('EEG_DEVICE_UNAVAILABLE', `${message}, got "${address}"`);
    }
    const { site, edge } = seen;
    const own = address.slice(`${this.#prefix(site)}${edge}/`.length);
    const asked = { name: 'connect', address: own } as const;
    const { stream } = await askEdge(this.#options.link, seen, asked);
    return { stream: this.#idOf({ site, edge, stream }) };
  }

  async disconnect(id: string): Promise<void> {
    const { address } = this.#known(id);
    const asked = { name: 'disconnect', stream: address.stream } as const;
    await askEdge(this.#options.link, address, asked);
  }

  async checkpoints(): Promise<CheckpointListing[]> {
    const { active } = this.#options.board.state;
    const shelved = await this.#options.shelved();
    return shelved.map((each) => ({
      ...each,
      active: each.checkpoint === active?.checkpoint,
      previous: each.checkpoint === active?.previous?.checkpoint,
    }));
  }

  async load(): Promise<CheckpointChange> {
    throw new EegError('EEG_USAGE', 'expected activate: workers warm a checkpoint as part of it');
  }

  activate(checkpoint: string): Promise<CheckpointChange> {
    return this.#options.activation.activate(checkpoint);
  }

  rollback(): Promise<CheckpointChange> {
    return this.#options.activation.rollback();
  }

  async startRecording(id: string, format: 'xdf' | 'edf'): Promise<RecordingListing> {
    const { address } = this.#known(id);
    const asked = { name: 'startRecording', stream: address.stream, format } as const;
    const listing = await askEdge(this.#options.link, address, asked);
    this.#recordings.set(listing.id, address);
    return { ...listing, stream: id };
  }

  async stopRecording(id: string): Promise<RecordingListing> {
    const where = this.#recordings.get(id);
    if (where === undefined)
      throw new EegError('EEG_USAGE', `expected a recording that began here, got "${id}"`);
    const listing = await askEdge(this.#options.link, where, { name: 'stopRecording', id });
    return { ...listing, stream: this.#idOf({ ...where, stream: listing.stream }) };
  }

  /** The edges keep them, and the site's bucket those of outages. */
  recordings(): RecordingListing[] {
    return [];
  }

  async adapt(name: string, args: Readonly<Record<string, unknown>>) {
    const [only, ...more] = this.#streams.values();
    const isPlain = args.stream === undefined && only !== undefined && more.length === 0;
    const stream = isPlain ? only : this.#known(String(args.stream ?? ''));
    return this.#teaching.command(stream, name, args);
  }

  /** For activation to say how it goes; what becomes of it the board tells, to all gateways. */
  changed(change: CheckpointChange): void {
    if (change.phase !== 'active' && change.phase !== 'rolled_back') this.#emit(change);
  }

  #follow({ active, people }: BoardState): void {
    for (const each of [active, active?.previous, ...people.values()])
      if (each !== undefined) this.#infos.set(each.checkpoint, each.info);
    if (active === undefined || active.revision === this.#revision) return;
    if (this.#revision !== undefined) this.#emit(changeOf(active));
    this.#revision = active.revision;
  }

  #prefix(site: string): string {
    return this.#options.sites.length === 1 ? '' : `${site}/`;
  }

  #idOf(address: StreamAddress): string {
    return shownId(address, this.#options.sites.length > 1);
  }

  #known(id: string): GatewayStream {
    const stream = [...this.#streams.values()].find((each) => each.id === id);
    if (stream !== undefined) return stream;
    const known = [...this.#streams.values()].map((each) => each.id).join(', ') || 'none';
    throw new EegError('EEG_STREAM_UNKNOWN', `expected one of ${known}, got "${id}"`);
  }

  #streamOf(address: StreamAddress): GatewayStream {
    const id = this.#idOf(address);
    const known = this.#streams.get(id);
    if (known !== undefined) return known;
    const stream = new GatewayStream(id, address, {
      timesOf: (task) => this.#timesOf(task),
      infoOf: (checkpoint, stampWallS) => this.#infoOf(checkpoint, stampWallS),
      onAnswer: (answer, info) => this.#predictor.take(answer, info),
      onCount: (name) => this.counters.add(name),
    });
    this.#streams.set(id, stream);
    return stream;
  }

  #timesOf(name: string): { hopS: number; waitS: number } | undefined {
    const { board, staleAfterS: ageMaxS = staleAfterS } = this.#options;
    const { active, people } = board.state;
    const all = [active?.info, active?.previous?.info, ...[...people.values()].map((p) => p.info)];
    for (const info of all) {
      const task = info?.tasks.find((each) => each.name === name);
      if (task !== undefined) return { hopS: task.hopS, waitS: ageMaxS(task) + graceS };
    }
    return undefined;
  }

  #infoOf(checkpoint: string | undefined, stampWallS: number): EngineInfo | undefined {
    const named = checkpoint === undefined ? undefined : this.#infos.get(checkpoint);
    return named ?? this.#options.board.modelAt(stampWallS)?.info;
  }

  #step(subject: string, data: Uint8Array): void {
    const step = this.counters.read(subject, () => decodeStep(data, addressOf(subject)));
    if (step === undefined) return;
    this.counters.add('steps');
    const stream = this.#streamOf(step);
    stream.asked(step, wallNowS());
    this.#emit(stream.signal(step as Step));
  }

  #result(subject: string, data: Uint8Array): void {
    const site = addressOf(subject)?.site;
    const result = this.counters.read(subject, () => decodeResult(data, site));
    if (result === undefined) return;
    this.counters.add('results');
    this.#streamOf(result).answered(result as Result, wallNowS());
  }

  #heard({ site, edge, counters, events }: Heard): void {
    this.#edges.set(`${site}/${edge}`, { site, edge, counters, heardS: localClock() });
    for (const event of events) {
      const stream = this.#streamOf({ site, edge, stream: event.stream });
      const shown = { ...event, stream: stream.id };
      if (shown.kind === 'status') this.#status(stream, shown);
      this.#emit(shown);
    }
  }

  #status(stream: GatewayStream, status: StreamStatus): void {
    stream.status = status;
    if (status.state !== 'ended' && status.state !== 'failed') return;
    stream.finish();
    this.#predictor.forget(stream.id, status.lastSampleS);
  }

  #tick(): void {
    const nowWallS = wallNowS();
    for (const stream of this.#streams.values()) {
      stream.tick(nowWallS);
      const { site, edge } = stream.address;
      const heardS = this.#edges.get(`${site}/${edge}`)?.heardS ?? 0;
      const lost = stream.lose(localClock() - heardS > silentEdgeS);
      if (lost !== undefined) this.#emit(lost);
    }
  }

  #emit(event: DaemonEvent): void {
    if (event.kind === 'checkpoint') {
      this.#lastChange = event;
      this.#options.log.info(event, `checkpoint ${event.phase}`);
    }
    this.events$.next(event);
  }
}
