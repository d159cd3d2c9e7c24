import { Subject } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import { readChannels } from '../../drivers/lsl/channels.js';
import type { OutletDescription } from '../../drivers/lsl/outlet.js';
import { parseStreamInfo } from '../../drivers/lsl/stream-info.js';
import type { DaemonEvent } from '../../src/core/events.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import type { LslValues, OpenOutlet } from '../../src/sinks/lsl-outlet.js';
import { type LslSinkOptions, lslSink } from '../../src/sinks/lsl-sink.js';
import {
  hasLiblsl,
  LiblslPeer,
  loopbackSettings,
  type Pulled,
  until,
} from '../support/liblsl-process.js';

const task: TaskSpec = {
  ...{ name: 'seizure', classes: ['calm', 'ictal'], windowS: 10, hopS: 1, contextWindows: 0 },
  ...{ minValid: 0.5, temperature: 1, smoothing: 1 },
};
const windowOf = { stream: 's1', task: 'seizure', seq: 0, windowStartS: 90, startSample: 0 };

function prediction(windowEndS: number, ictal: number): DaemonEvent {
  return {
    ...windowOf,
    kind: 'prediction',
    ...{ windowEndS, endSample: 2000, validity: 1, label: 'calm', checkpoint: 'a@1' },
    probabilities: { ictal, calm: 1 - ictal },
    smoothed: { ictal: 0.5, calm: 0.5 },
    trained: true,
    latency: { queueMs: 0, runMs: 0, totalMs: 0 },
  };
}

const nothing: DaemonEvent = {
  ...windowOf,
  ...{ kind: 'no_prediction', windowEndS: 101, endSample: 2200, validity: 0.1, reason: 'gap' },
};

const quality: DaemonEvent = {
  ...{ kind: 'quality', stream: 's1', stampS: 100 },
  channels: ['C3', 'C4'].map((label) => ({
    label,
    state: 'good' as const,
    rmsUv: 1,
    mainsRatio: 0,
  })),
};

const block: DaemonEvent = {
  ...{ kind: 'signal', stream: 's1', index: 0, stampS: 100, samples: 3, channels: 2 },
  data: Float32Array.of(1, 2, 3, -1, Number.NaN, -3),
};

const begin: DaemonEvent = {
  ...{ kind: 'event', stream: 's1', task: 'seizure', id: 1, phase: 'begin' },
  ...{ label: 'ictal', stampS: 100.5, peak: 0.9 },
};

/** Outlets that keep what they are given. */
function run(options: Partial<LslSinkOptions> = {}, hold = false) {
  const outlets: { spec: OutletDescription; rows: [number[], number[]][]; open: boolean }[] = [];
  const releases: (() => void)[] = [];
  const open: OpenOutlet = async (spec) => {
    const one = { spec, rows: [] as [number[], number[]][], open: true };
    outlets.push(one);
    if (hold) await new Promise<void>((resolve) => releases.push(resolve));
    return {
      pushChunk: (values: LslValues, stamps) =>
        one.rows.push([Array.from(values as ArrayLike<number>), Array.from(stamps)]),
      close: () => {
        one.open = false;
      },
    };
  };
  const events$ = new Subject<DaemonEvent>();
  const subscription = lslSink(events$, { tasks: () => [task], open, ...options });
  const send = async (...events: DaemonEvent[]) => {
    for (const one of events) events$.next(one);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  const release = async () => {
    for (const one of releases.splice(0)) one();
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  return { outlets, send, release, subscription };
}

describe('the LSL sink', () => {
  test('probabilities go out by class, stamped at the end of the window', async () => {
    const { outlets, send } = run();
    await send(prediction(100, 0.25), nothing, prediction(102, 0.75));
    expect(outlets).toHaveLength(1);
    expect(outlets[0]?.spec).toMatchObject({
      ...{ name: 'eegd s1 seizure', type: 'Prediction', channelCount: 2, rateHz: 1 },
      format: 'float32',
      sourceId: expect.stringMatching(/^eegd-.*-s1-seizure$/),
    });
    expect(outlets[0]?.rows).toEqual([
      [[0.75, 0.25], [100]],
      [[Number.NaN, Number.NaN], [101]],
      [[0.25, 0.75], [102]],
    ]);
  });

  test('irregular predictions leave out what is none', async () => {
    const { outlets, send } = run({ predictions: 'irregular' });
    await send(prediction(100, 0.25), nothing, prediction(102, 0.75));
    expect(outlets[0]?.spec.rateHz).toBe(0);
    expect(outlets[0]?.rows.map(([, stamps]) => stamps)).toEqual([[100], [102]]);
  });

  test('events and markers are strings', async () => {
    const { outlets, send } = run();
    await send(begin, { kind: 'marker', stream: 's1', stampS: 101, text: 'eyes closed' });
    expect(outlets[0]?.spec).toMatchObject({ type: 'Markers', format: 'string', rateHz: 0 });
    expect(outlets[0]?.rows).toEqual([
      [['seizure ictal begin'], [100.5]],
      [['eyes closed'], [101]],
    ]);
  });

  test('the signal goes out on request only, frame by frame, once its channels are known', async () => {
    const without = run();
    await without.send(quality, block);
    expect(without.outlets).toHaveLength(0);
    const { outlets, send } = run({ signals: ['s1'] });
    await send(block);
    expect(outlets).toHaveLength(0);
    await send(quality, block);
    expect(outlets[0]?.spec).toMatchObject({ type: 'EEG', rateHz: 200, channelCount: 2 });
    expect(outlets[0]?.rows).toEqual([
      [
        [1, -1, 2, Number.NaN, 3, -3],
        [100, 100.005, 100.01],
      ],
    ]);
  });

  test('what comes while an outlet opens is not lost, but for the oldest of too much', async () => {
    const { outlets, send, release } = run({}, true);
    for (let i = 0; i < 300; i++) await send(prediction(i, 0.5));
    expect(outlets[0]?.rows).toEqual([]);
    await release();
    expect(outlets[0]?.rows.map(([, stamps]) => stamps[0])).toEqual(
      Array.from({ length: 256 }, (_, i) => i + 44),
    );
  });

  test('other classes after a swap make a new outlet of the same source', async () => {
    let tasks: TaskSpec[] = [task];
    const { outlets, send } = run({ tasks: () => tasks });
    await send(prediction(100, 0.25));
    tasks = [{ ...task, classes: ['calm', 'ictal', 'artefact'] }];
    await send(prediction(101, 0.25));
    expect(outlets.map((one) => [one.open, one.spec.channelCount])).toEqual([
      [false, 2],
      [true, 3],
    ]);
    expect(outlets[0]?.spec.sourceId).toBe(outlets[1]?.spec.sourceId);
  });

  test('outlets end with their stream, and all with the subscription', async () => {
    const { outlets, send, subscription } = run();
    await send(begin, { ...begin, stream: 's2' } as DaemonEvent);
    const status = { kind: 'status', stream: 's1', state: 'ended' } as DaemonEvent;
    await send(status);
    expect(outlets.map((one) => one.open)).toEqual([false, true]);
    subscription.unsubscribe();
    expect(outlets.map((one) => one.open)).toEqual([false, false]);
  });

  test('an outlet that cannot be opened is told, and the rest goes on', async () => {
    const failed: string[] = [];
    const { send, outlets } = run({
      open: () => Promise.reject(new Error('no port')),
      onError: (error, outlet) => failed.push(`${outlet.name}: ${(error as Error).message}`),
    });
    await send(begin, prediction(100, 0.5), begin);
    expect(failed).toEqual(['eegd s1 events: no port', 'eegd s1 seizure: no port']);
    expect(outlets).toHaveLength(0);
  });
});

describe.skipIf(!hasLiblsl)('the LSL sink, read by liblsl', () => {
  let peer: LiblslPeer | undefined;
  afterEach(() => peer?.close());

  test('values, stamps and metadata are what was told', async () => {
    const settings = loopbackSettings();
    peer = await LiblslPeer.start(settings);
    const events$ = new Subject<DaemonEvent>();
    const options = { tasks: () => [task], config: settings.config };
    const subscription = lslSink(events$, options);
    events$.next(prediction(99, 0.5));
    const query = "starts-with(name,'eegd s1')";
    const [found] = await peer.call<{ handle: bigint }[]>('resolve', '', query, 1, 5);
    const inlet = await peer.call<number>('openInlet', found?.handle, 'float32', 2);
    const info = parseStreamInfo(await peer.call<string>('fullInfo', inlet));
    expect(readChannels(info)).toEqual([
      { label: 'calm', type: 'Probability', unit: 'normalized' },
      { label: 'ictal', type: 'Probability', unit: 'normalized' },
    ]);
    let got: Pulled<Float32Array> | undefined;
    // The outlet may not know of its reader yet: a row is sent until one arrives.
    await until(async () => {
      events$.next(prediction(100, 0.25));
      got = await peer?.call<Pulled<Float32Array>>('pull', inlet, 1, 0.2);
      return got?.stamps.length === 1;
    }, 'a row arrives');
    expect([...(got?.values ?? [])]).toEqual([0.75, 0.25]);
    expect(got?.stamps[0]).toBe(100);
    subscription.unsubscribe();
  });
});
