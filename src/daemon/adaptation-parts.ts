/** The daemon as online adaptation sees it: signals, what serves, packs stored and swapped in. */
import { join } from 'node:path';
import type { AdaptationHost, LabelledSource, ServingBase } from '../adaptation/adaptation-host.js';
import { RawRing } from '../adaptation/raw-ring.js';
import type { CheckpointChange } from '../core/events.js';
import { type EncodedPack, publishPack } from '../model/pack-checkpoint.js';
import type { SignalPath } from '../signal/path.js';
import type { CheckpointStore } from './checkpoint-store.js';
import type { Daemon } from './daemon.js';

export function adaptationHost(daemon: Daemon, store: CheckpointStore): AdaptationHost {
  const serving = () => daemon.snapshot().checkpoint;
  let kept: { readonly stream: string; readonly ring: RawRing } | undefined;
  daemon.driverTap = (stream, event) => {
    if (kept?.stream === stream) kept.ring.take(event);
  };
  return {
    events$: daemon.events$,
    source(stream) {
      const { id, path } = daemon.signalOf(stream);
      return sourceOf(id, path, kept?.stream === id ? kept.ring : undefined);
    },
    serving,
    base: () => baseOf(store, serving()),
    activate: (pack, metrics) => activate(daemon, store, pack, metrics),
    rollback: () => daemon.rollback(),
    keepRaw(stream) {
      if (stream === kept?.stream) return;
      kept = undefined;
      if (stream === undefined) return;
      const { rateHz } = daemon.signalOf(stream).path.info;
      kept = { stream, ring: new RawRing(rateHz) };
    },
    emit: (update) => daemon.tell(update),
  };
}

function sourceOf(id: string, path: SignalPath, raw: RawRing | undefined): LabelledSource {
  const { ring } = path;
  return {
    id,
    channels: path.channels.map(({ label }) => label),
    positions: path.electrodes,
    firstSample: ring.firstIndex,
    nextSample: ring.nextIndex,
    stampS: (index) => path.stampS(index),
    copy: (start, end) => ring.copy(start, end),
    scaleAt: (channel, end) => ring.scaleAt(channel, end),
    reference: (index) => path.covariance.at(index),
    rawChannels: path.info.channels,
    rawRateHz: path.info.rateHz,
    raw(start, end) {
      const [from, to] = [path.frameAt(start), path.frameAt(end)];
      return from === undefined || to === undefined ? undefined : raw?.cut(from, to);
    },
  };
}

async function baseOf(store: CheckpointStore, serving: string): Promise<ServingBase> {
  const { id, folder, manifest } = await store.find(serving.split('+')[0] as string);
  const { tasks, moe } = manifest.architecture;
  return { id, folder, tasks: tasks as ServingBase['tasks'], hasExperts: moe !== null };
}

/** Beside the other packs that serve; an older release of the same one is replaced. */
async function activate(
  daemon: Daemon,
  store: CheckpointStore,
  pack: EncodedPack,
  metrics: Record<string, number>,
): Promise<CheckpointChange> {
  const [baseId = '', ...attached] = daemon.snapshot().checkpoint.split('+');
  const releases = [...(await store.packs()).keys()]
    .filter((id) => id.startsWith(`${pack.name}@`))
    .map((id) => Number(id.split('@')[1]) || 0);
  const release = String(1 + Math.max(0, ...releases));
  const id = `${pack.name}@${release}`;
  await publishPack(join(store.packFolder, id), pack, { release, trained: true, metrics });
  const others = attached.filter((other) => !other.startsWith(`${pack.name}@`));
  return await daemon.activate([baseId, ...others, id].join('+'));
}
