/** The daemon as adaptation sees it, with a stream whose time a test moves. */
import { Subject } from 'rxjs';
import type {
  AdaptationHost,
  LabelledSource,
  ServingBase,
} from '../../src/adaptation/adaptation-host.js';
import { EegError } from '../../src/core/errors.js';
import type { AdaptationUpdate, CheckpointChange, DaemonEvent } from '../../src/core/events.js';
import type { EncodedPack } from '../../src/model/pack-checkpoint.js';
import type { FakeClock } from './fake-clock.js';

export class FakeHost implements AdaptationHost {
  readonly events$ = new Subject<DaemonEvent>();
  readonly updates: AdaptationUpdate[] = [];
  readonly activated: { pack: EncodedPack; metrics: Record<string, number> }[] = [];
  serves = 'base@1';
  failure: EegError | undefined;
  readonly clock: FakeClock;
  readonly startS: number;

  constructor(clock: FakeClock) {
    this.clock = clock;
    this.startS = clock.now();
  }

  source(stream: string | undefined): LabelledSource {
    if (stream !== undefined && stream !== 'amp')
      throw new EegError('EEG_STREAM_UNKNOWN', `expected amp, got "${stream}"`);
    const { startS, clock } = this;
    return {
      id: 'amp',
      channels: ['C3', 'C4'],
      positions: new Float32Array(12).fill(0.5),
      get nextSample() {
        return Math.floor((clock.now() - startS) * 200);
      },
      get firstSample() {
        return Math.max(0, Math.floor((clock.now() - startS - 60) * 200));
      },
      stampS: (index) => startS + index / 200,
      copy: (start, end) => {
        const samples = end - start;
        const data = Float32Array.from({ length: 2 * samples }, (_, i) => start + (i % samples));
        return { data, valid: new Uint8Array(2 * samples).fill(1) };
      },
      scaleAt: () => 10,
      reference: () => undefined,
      rawChannels: ['C3', 'C4'].map((label) => ({ label, kind: 'eeg' as const, unit: 'uV' })),
      rawRateHz: 250,
    };
  }

  serving(): string {
    return this.serves;
  }

  async base(): Promise<ServingBase> {
    return { id: 'base@1', folder: '/nowhere', tasks: [], hasExperts: true };
  }

  async activate(pack: EncodedPack, metrics: Record<string, number>): Promise<CheckpointChange> {
    if (this.failure !== undefined) throw this.failure;
    this.activated.push({ pack, metrics });
    const previous = this.serves;
    this.serves = `base@1+${pack.name}@${this.activated.length}`;
    return { kind: 'checkpoint', phase: 'active', checkpoint: this.serves, previous };
  }

  async rollback(): Promise<CheckpointChange> {
    const previous = this.serves;
    this.serves = 'base@1';
    return { kind: 'checkpoint', phase: 'rolled_back', checkpoint: this.serves, previous };
  }

  keepRaw(): void {}

  emit(update: AdaptationUpdate): void {
    this.updates.push(update);
  }
}
