/**
 * Prometheus metrics (names: prometheus.io/docs/practices/naming). Labels are bounded: streams,
 * tasks, checkpoints, reasons and experts, never a person. The daemon may observe stages of its
 * own by `stage`.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DaemonApi } from '../core/daemon-api.js';
import type { DaemonEvent, StreamStatus } from '../core/events.js';
import type { Clock } from '../core/time.js';
import { Durations } from './durations.js';

type Stage = 'arrival' | 'conditioned' | 'window' | 'queue' | 'run' | 'send';

export class Metrics {
  readonly registry = new Registry();
  readonly #clock: Clock;
  readonly #seen = new Map<string, StreamStatus>();
  readonly #loading = new Map<string, number>();
  #daemon: DaemonApi | undefined;
  #epochs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly #stage = this.#durations(
    'eegd_stage_seconds',
    'Time in each stage of the path',
    'stage',
  );
  /** By task. */
  readonly sampleToClient = this.#durations(
    'eegd_sample_to_client_seconds',
    "Last sample's arrival to the socket's write",
    'task',
  );
  readonly clients = this.#gauge('eegd_ws_clients', 'Connected WebSocket clients');
  readonly sent = this.#counter('eegd_ws_sent_total', 'Messages sent to clients');
  readonly dropped = this.#counter('eegd_ws_dropped_total', 'Messages left out', ['reason']);
  readonly rejected = this.#counter('eegd_ws_rejected_total', 'Connects refused or closed', [
    'reason',
  ]);
  readonly #inference = this.#durations('eegd_inference_seconds', 'One run of the engine', 'task');
  readonly #pending = this.#gauge(
    'eegd_inference_pending',
    'Seconds and windows that wait for the engine',
  );
  readonly #steps = this.#counter(
    'eegd_finetune_steps_total',
    'Epochs of the learner of new experts',
  );
  readonly #predictions = this.#counter('eegd_predictions_total', 'Predictions', [
    'stream',
    'task',
  ]);
  readonly #noWindow = this.#counter('eegd_window_dropped_total', 'Windows without a prediction', [
    'reason',
  ]);
  readonly #up = this.#gauge('eegd_stream_up', '1 while samples arrive', ['stream']);
  readonly #rate = this.#gauge('eegd_stream_rate_hertz', 'Estimated sampling rate', ['stream']);
  readonly #samples = this.#counter('eegd_stream_samples_total', 'Samples received', ['stream']);
  readonly #lost = this.#counter('eegd_stream_gap_samples_total', 'Samples lost', ['stream']);
  readonly #discarded = this.#counter(
    'eegd_stream_discarded_bytes_total',
    'Bytes that belonged to no valid frame',
    ['stream'],
  );
  readonly #age = this.#gauge('eegd_stream_last_sample_age_seconds', 'Age of the last sample', [
    'stream',
  ]);
  readonly #clockOffset = this.#gauge(
    'eegd_stream_clock_offset_seconds',
    "This machine's clock minus the source's, where it has one",
    ['stream'],
  );
  readonly #bad = this.#gauge('eegd_channel_bad', 'Channels that cannot be used', [
    'stream',
    'reason',
  ]);
  readonly #events = this.#counter('eegd_task_events_total', 'Onsets declared', ['task', 'label']);
  readonly #swaps = this.#counter('eegd_swap_total', 'Checkpoint changes', ['result']);
  readonly #swapTime = new Durations({
    name: 'eegd_swap_seconds',
    help: 'Loading to active',
    registry: this.registry,
    boundsS: [0.5, 1, 2, 5, 10, 20, 60],
  });
  readonly #model = this.#gauge('eegd_model_info', 'The checkpoint that serves', [
    'name',
    'version',
    'trained',
    'engine',
  ]);
  readonly #experts = this.#gauge('eegd_expert_token_share', "Share of a task's tokens", [
    'block',
    'task',
    'expert',
  ]);

  /** Time spent in a stage of the path from the amplifier to the client. */
  stage(stage: Stage, seconds: number): void {
    this.#stage.add(stage, seconds);
  }

  /** Begin to follow a daemon; returns how to stop. */
  follow(daemon: DaemonApi): () => void {
    collectDefaultMetrics({ register: this.registry });
    const { version } = daemon.snapshot();
    const build = this.#gauge('eegd_build_info', 'Version', ['version', 'node']);
    build.set({ version, node: process.version }, 1);
    this.#daemon = daemon;
    const subscription = daemon.events$.subscribe((event) => this.#count(event));
    const times = daemon.stageTimes$?.subscribe(({ stage, seconds }) => this.stage(stage, seconds));
    return () => {
      subscription.unsubscribe();
      times?.unsubscribe();
    };
  }

  /** The exposition text; what is a state rather than a count is read from the daemon now. */
  async text(): Promise<string> {
    if (this.#daemon !== undefined) this.#collect(this.#daemon);
    return this.registry.metrics();
  }

  #collect(daemon: DaemonApi): void {
    const { checkpoint, trained, engine, routing, tasks, streams } = daemon.snapshot();
    const [name = '', version = ''] = checkpoint.split('@');
    this.#pending.set(daemon.pending ?? 0);
    this.#model.reset();
    this.#model.set({ name, version, trained: String(trained), engine }, 1);
    this.#experts.reset();
    for (const [block, byTask] of routing.entries())
      for (const [t, byExpert] of byTask.entries())
        for (const [expert, share] of byExpert.entries())
          this.#experts.set({ block, task: tasks[t]?.name ?? `${t}`, expert }, finite(share));
    this.#up.reset();
    this.#age.reset();
    this.#clockOffset.reset();
    for (const status of streams) {
      this.#up.set({ stream: status.stream }, status.state === 'streaming' ? 1 : 0);
      const ageS = this.#clock.now() - status.lastSampleS;
      const { stream, clockOffsetS } = status;
      if (clockOffsetS !== undefined) this.#clockOffset.set({ stream }, finite(clockOffsetS));
      if (status.samples > 0) this.#age.set({ stream: status.stream }, finite(ageS));
    }
  }

  #count(event: DaemonEvent): void {
    switch (event.kind) {
      case 'prediction': {
        const { task, stream, latency } = event;
        this.#predictions.inc({ stream, task });
        this.#inference.add(task, latency.runMs / 1000);
        this.stage('queue', latency.queueMs / 1000);
        this.stage('run', latency.runMs / 1000);
        break;
      }
      case 'no_prediction':
        this.#noWindow.inc({ reason: event.reason });
        break;
      case 'event':
        if (event.phase === 'begin') this.#events.inc({ task: event.task, label: event.label });
        break;
      case 'status':
        this.#status(event);
        break;
      case 'quality': {
        const { stream } = event;
        for (const reason of ['flat', 'railed', 'mains', 'gap', 'nan', 'noisy']) {
          const count = event.channels.filter((channel) => channel.state === reason).length;
          this.#bad.set({ stream, reason }, count);
        }
        break;
      }
      case 'adaptation':
        this.#learned(event.body.epochs);
        break;
      case 'checkpoint':
        this.#swap(event.phase, event.checkpoint);
        break;
      default:
    }
  }

  #status(status: StreamStatus): void {
    const { stream } = status;
    const before = this.#seen.get(stream);
    this.#seen.set(stream, status);
    this.#rate.set({ stream }, finite(status.rateHz));
    const grown = (key: 'samples' | 'lostSamples' | 'discardedBytes') =>
      Math.max(0, finite(status[key] - (before?.[key] ?? 0)));
    this.#samples.inc({ stream }, grown('samples'));
    this.#lost.inc({ stream }, grown('lostSamples'));
    this.#discarded.inc({ stream }, grown('discardedBytes'));
  }

  /** `epochs` of the session so far; a new session begins at none. */
  #learned(epochs: unknown): void {
    if (typeof epochs !== 'number') return;
    this.#steps.inc(Math.max(0, epochs < this.#epochs ? epochs : epochs - this.#epochs));
    this.#epochs = epochs;
  }

  #swap(phase: string, checkpoint: string): void {
    if (phase === 'loading') this.#loading.set(checkpoint, this.#clock.now());
    if (phase !== 'active' && phase !== 'failed' && phase !== 'rolled_back') return;
    this.#swaps.inc({ result: phase });
    const began = this.#loading.get(checkpoint);
    this.#loading.delete(checkpoint);
    if (phase === 'active' && began !== undefined)
      this.#swapTime.add('', this.#clock.now() - began);
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #durations(name: string, help: string, label: string): Durations {
    return new Durations({ name, help, label, registry: this.registry });
  }
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
