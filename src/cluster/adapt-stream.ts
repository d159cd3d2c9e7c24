/**
 * One stream as adaptation sees it on a worker: its signal, followed by a plain subscription
 * whoever answers its windows, and its edge's markers. What is learned serves its person.
 */
import { join } from 'node:path';
import { Subject } from 'rxjs';
import type { AdaptationHost, LabelledSource, ServingBase } from '../adaptation/adaptation-host.js';
import { EegError } from '../core/errors.js';
import type { AdaptationUpdate, CheckpointChange, DaemonEvent } from '../core/events.js';
import { gridSamples, modelRateHz } from '../core/tasks.js';
import type { CheckpointStore } from '../daemon/checkpoint-store.js';
import type { EngineInfo } from '../engine/engine.js';
import { type EncodedPack, publishPack } from '../model/pack-checkpoint.js';
import type { Link } from './connection.js';
import type { Counters } from './counters.js';
import { hearEvents } from './event-relay.js';
import type { ModelBoard, PersonPack } from './model-board.js';
import { addressOf, keyOf, type StreamAddress, subjects } from './names.js';
import { readAgain } from './partition-feed.js';
import { RemoteStream, replaces } from './remote-stream.js';
import type { Shelf } from './shelf.js';
import { decodeStep, endSampleOf, type Step } from './step-message.js';
import { toLslS, wallNowS } from './wall-time.js';

export interface AdaptStreamOptions {
  readonly link: Link;
  readonly address: StreamAddress;
  /** Whose packs are made of it. */
  readonly person: string;
  readonly board: ModelBoard;
  readonly shelf: Shelf;
  readonly store: CheckpointStore;
  /** As an engine tells of a checkpoint of the shelf, verified. */
  readonly describe: (checkpoint: string) => Promise<EngineInfo>;
  readonly counters: Counters;
}

/** What may be labelled after the fact, from before the session. */
const historyMs = 40_000;

export class AdaptStream implements AdaptationHost {
  readonly events$ = new Subject<DaemonEvent>();
  readonly #options: AdaptStreamOptions;
  #stop: (() => void)[] = [];
  #stream: RemoteStream | undefined;
  #last: Step | undefined;
  /** What served the person before each exchange, to go back to. */
  readonly #before: (PersonPack | undefined)[] = [];

  constructor(options: AdaptStreamOptions) {
    this.#options = options;
  }

  /** Resolves when the signal of the last seconds is here. */
  async start(): Promise<void> {
    const { link, address, counters } = this.#options;
    const filter = subjects.stepsOf(address);
    const early: Step[] = [];
    let take = (step: Step): void => {
      early.push(step);
    };
    const decode = (subject: string, data: Uint8Array) =>
      counters.read(subject, () => decodeStep(data, addressOf(subject)));
    const live = link.nats.subscribe(filter, {
      callback: (error, { subject, data }) => {
        const step = error === null ? decode(subject, data) : undefined;
        if (step !== undefined) take(step);
      },
    });
    const events = hearEvents(link, address.site, counters, (heard) => {
      if (heard.edge !== address.edge) return;
      for (const event of heard.events)
        if (event.kind === 'marker' && event.stream === address.stream) this.events$.next(event);
    });
    this.#stop = [() => live.unsubscribe(), () => events.unsubscribe()];
    const since = { filter, sinceMs: historyMs };
    await readAgain(link, address.site, since, ({ subject, data }) => {
      const step = decode(subject, data);
      if (step !== undefined) this.#apply(step);
    });
    for (const step of early) this.#apply(step);
    take = (step) => this.#apply(step);
  }

  close(): void {
    for (const stop of this.#stop.splice(0)) stop();
    this.events$.complete();
  }

  source(): LabelledSource {
    const [stream, last] = [this.#stream, this.#last];
    if (stream === undefined || last === undefined)
      throw new EegError('EEG_STREAM_UNKNOWN', `no signal of ${keyOf(this.#options.address)} came`);
    return {
      id: keyOf(this.#options.address),
      channels: stream.labels,
      positions: stream.positions,
      firstSample: stream.oldestSample(),
      nextSample: stream.nextSample,
      stampS: (index) => toLslS(last.stampWallS) - (endSampleOf(last) - index) / modelRateHz,
      copy: (start, end) => stream.ring.copy(start, end),
      scaleAt: (channel, end) => stream.ring.scaleAt(channel, end),
      reference: (index) => stream.referenceAt(index),
      // The amplifier's own samples stay at the edge.
      rawChannels: [],
      rawRateHz: modelRateHz,
    };
  }

  serving(): string {
    const { board, person } = this.#options;
    return board.modelAt(wallNowS(), person)?.checkpoint ?? 'none@0';
  }

  async base(): Promise<ServingBase> {
    const { shelf } = this.#options;
    const { id, folder, manifest } = await shelf.get(this.serving().split('+')[0] as string);
    const { tasks, moe } = manifest.architecture;
    return { id, folder, tasks: tasks as ServingBase['tasks'], hasExperts: moe !== null };
  }

  /** Beside the person's other packs; an older one of the same name is replaced. */
  async activate(pack: EncodedPack, metrics: Record<string, number>): Promise<CheckpointChange> {
    const { board, shelf, store, person, describe } = this.#options;
    const previous = this.serving();
    const [base = '', ...attached] = previous.split('+');
    // Nobody else counts releases for all workers.
    const release = String(Math.floor(wallNowS()));
    const id = `${pack.name}@${release}`;
    await publishPack(join(store.packFolder, id), pack, { release, trained: true, metrics });
    const others = attached.filter((other) => !other.startsWith(`${pack.name}@`));
    const checkpoint = [base, ...others, id].join('+');
    await shelf.put(checkpoint);
    const info = await describe(checkpoint);
    this.#before.push(board.state.people.get(person));
    await board.assign({ person, checkpoint, info });
    const tasks = info.tasks.map(({ name }) => name);
    return { kind: 'checkpoint', phase: 'active', checkpoint, tasks, previous };
  }

  async rollback(): Promise<CheckpointChange> {
    const { board, person } = this.#options;
    if (this.#before.length === 0)
      throw new EegError('EEG_MODEL_NOT_FOUND', 'expected a pack of this session that serves');
    const previous = this.serving();
    const before = this.#before.pop();
    if (before === undefined) await board.unassign(person);
    else await board.assign(before);
    const checkpoint = before?.checkpoint ?? (previous.split('+')[0] as string);
    return { kind: 'checkpoint', phase: 'rolled_back', checkpoint, previous };
  }

  keepRaw(): void {}

  /** Gateways ask. */
  emit(_: AdaptationUpdate): void {}

  #apply(step: Step): void {
    if (this.#stream === undefined || replaces(step, this.#stream))
      this.#stream = new RemoteStream(step);
    else if (step.epoch < this.#stream.epoch) return;
    this.#stream.apply(step);
    if (endSampleOf(step) >= this.#stream.nextSample - gridSamples) this.#last = step;
  }
}
