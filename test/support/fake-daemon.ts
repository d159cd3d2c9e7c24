/** A daemon that does what a test says: events are pushed by hand, commands are recorded. */
import { Subject } from 'rxjs';
import type {
  CheckpointListing,
  DaemonApi,
  DaemonSnapshot,
  DeviceListing,
  RecordingListing,
} from '../../src/core/daemon-api.js';
import { EegError } from '../../src/core/errors.js';
import type {
  CheckpointChange,
  DaemonEvent,
  Prediction,
  SignalBlock,
  StreamStatus,
} from '../../src/core/events.js';
import type { TaskSpec } from '../../src/core/tasks.js';
import { localClock } from '../../src/core/time.js';

const task = (name: string, classes: string[], windowS: number, hopS: number): TaskSpec => ({
  name,
  classes,
  windowS,
  hopS,
  contextWindows: 0,
  minValid: 0.5,
  temperature: 1,
  smoothing: 0.5,
});

export const fakeTasks: readonly TaskSpec[] = [
  task('sleep', ['wake', 'n1', 'n2', 'n3', 'rem'], 30, 30),
  { ...task('seizure', ['background', 'seizure'], 10, 1), event: seizureEvent() },
  task('motor_imagery', ['left', 'right', 'feet', 'rest'], 4, 0.25),
  task('workload', ['low', 'high'], 10, 1),
];

function seizureEvent() {
  return { label: 'seizure', on: 0.7, off: 0.4, hold: 2 };
}

export class FakeDaemon implements DaemonApi {
  readonly #events = new Subject<DaemonEvent>();
  readonly events$ = this.#events.asObservable();
  readonly calls: { readonly name: string; readonly args: readonly unknown[] }[] = [];
  streams: StreamStatus[] = [];
  routing: number[][][] = [0, 1].map(() => fakeTasks.map(() => new Array(8).fill(1 / 8)));
  trained = true;
  checkpoint = 'base@1';
  previous: string | undefined;
  devicesListed: DeviceListing[] = [
    {
      address: 'lsl:openbci_1',
      driver: 'lsl',
      name: 'OpenBCI',
      detail: '8 channels, 250 Hz',
      connected: false,
    },
  ];
  installed = ['base@1', 'base@2'];
  recording: RecordingListing[] = [];
  pending = 0;
  /** What the next command rejects with. */
  failure: unknown;

  emit(event: DaemonEvent): void {
    if (event.kind === 'status') {
      const others = this.streams.filter(({ stream }) => stream !== event.stream);
      this.streams = [...others, event];
    }
    this.#events.next(event);
  }

  snapshot(): DaemonSnapshot {
    return {
      version: '0.0.0-test',
      checkpoint: this.checkpoint,
      trained: this.trained,
      engine: 'onnx/cpu',
      tasks: fakeTasks,
      streams: this.streams,
      routing: this.routing,
      latencyMsP50: { sleep: 21, motor_imagery: 7.5 },
    };
  }

  async devices(): Promise<DeviceListing[]> {
    return this.#call('devices', [], this.devicesListed);
  }

  async connect(address: string): Promise<{ stream: string }> {
    this.#call('connect', [address], undefined);
    this.#setConnected(address, true);
    return { stream: 'openbci_1' };
  }

  async disconnect(stream: string): Promise<void> {
    this.#call('disconnect', [stream], undefined);
    this.#setConnected(`lsl:${stream}`, false);
  }

  async checkpoints(): Promise<CheckpointListing[]> {
    return this.installed.map((checkpoint) => ({
      checkpoint,
      trained: this.trained,
      active: checkpoint === this.checkpoint,
      previous: checkpoint === this.previous,
      tasks: fakeTasks.map(({ name }) => name),
      parameters: 8_800_000,
    }));
  }

  async load(checkpoint: string, options = {}): Promise<CheckpointChange> {
    this.#call('load', [checkpoint, options], undefined);
    if (!this.installed.includes(checkpoint))
      throw new EegError('EEG_MODEL_NOT_FOUND', `no checkpoint ${checkpoint}`);
    return this.#change({ kind: 'checkpoint', phase: 'verified', checkpoint });
  }

  async activate(checkpoint: string): Promise<CheckpointChange> {
    this.#call('activate', [checkpoint], undefined);
    const previous = this.checkpoint;
    this.previous = previous;
    this.checkpoint = checkpoint;
    const tasks = fakeTasks.map(({ name }) => name);
    return this.#change({ kind: 'checkpoint', phase: 'active', checkpoint, previous, tasks });
  }

  async rollback(): Promise<CheckpointChange> {
    this.#call('rollback', [], undefined);
    if (this.previous === undefined)
      throw new EegError('EEG_MODEL_NOT_FOUND', 'there is no previous checkpoint');
    [this.checkpoint, this.previous] = [this.previous, this.checkpoint];
    const { checkpoint } = this;
    return this.#change({ kind: 'checkpoint', phase: 'rolled_back', checkpoint });
  }

  async startRecording(stream: string, format: 'xdf' | 'edf'): Promise<RecordingListing> {
    this.#call('startRecording', [stream, format], undefined);
    const id = `r${this.recording.length + 1}`;
    const recording = { id, stream, format, samples: 0, running: true };
    this.recording.push(recording);
    this.emit({ kind: 'recording', stream, id, phase: 'started', samples: 0 });
    return recording;
  }

  async stopRecording(id: string): Promise<RecordingListing> {
    this.#call('stopRecording', [id], undefined);
    const recording = this.recording.find((each) => each.id === id);
    if (recording === undefined) throw new EegError('EEG_STREAM_UNKNOWN', `no recording ${id}`);
    const ended = { ...recording, samples: 500, running: false };
    this.recording = this.recording.map((each) => (each.id === id ? ended : each));
    this.emit({ kind: 'recording', stream: ended.stream, id, phase: 'stopped', samples: 500 });
    return ended;
  }

  recordings(): RecordingListing[] {
    return this.recording;
  }

  async adapt(name: string, args: Readonly<Record<string, unknown>>) {
    return this.#call('adapt', [name, args], { state: 'idle', labels: {} });
  }

  #setConnected(address: string, connected: boolean): void {
    this.devicesListed = this.devicesListed.map((device) =>
      device.address === address ? { ...device, connected } : device,
    );
  }

  #change(change: CheckpointChange): CheckpointChange {
    this.emit(change);
    return change;
  }

  #call<T>(name: string, args: readonly unknown[], result: T): T {
    this.calls.push({ name, args });
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    return result;
  }
}

export function fakePrediction(over: Partial<Prediction> = {}): Prediction {
  return {
    kind: 'prediction',
    stream: 's1',
    task: 'motor_imagery',
    seq: 0,
    windowStartS: 0,
    windowEndS: 4,
    startSample: 0,
    endSample: 800,
    validity: 1,
    probabilities: { left: 0.7, right: 0.1, feet: 0.1, rest: 0.1 },
    smoothed: { left: 0.6, right: 0.2, feet: 0.1, rest: 0.1 },
    label: 'left',
    checkpoint: 'base@1',
    trained: true,
    latency: { queueMs: 1, runMs: 5, totalMs: 7 },
    ...over,
  };
}

export function fakeStatus(over: Partial<StreamStatus> = {}): StreamStatus {
  return {
    kind: 'status',
    stream: 's1',
    name: 'Fake amplifier',
    driver: 'synthetic',
    state: 'streaming',
    nominalRateHz: 250,
    rateHz: 250.01,
    channels: ['C3', 'Cz', 'C4'],
    samples: 1000,
    lostSamples: 0,
    discardedBytes: 0,
    lastSampleS: localClock(),
    ...over,
  };
}

export function fakeSignal(over: Partial<SignalBlock> = {}): SignalBlock {
  const { channels = 3, samples = 10 } = over;
  const data = Float32Array.from({ length: channels * samples }, (_, i) => Math.sin(i));
  return { kind: 'signal', stream: 's1', index: 0, stampS: 1, samples, channels, data, ...over };
}
