/**
 * What the daemon tells, as LSL outlets that LabRecorder and any LSL program can record: an outlet
 * of probabilities for each stream and task, one of events and markers for each stream, and, on
 * request, the conditioned signal. Stamps are those of the signal: a prediction carries the time of
 * the last sample of its window. Every outlet has a source_id that is the same after a restart.
 */
import { hostname } from 'node:os';
import type { Observable, Subscription } from 'rxjs';
import {
  describeChannels,
  element,
  type LslChannel,
  type LslConfig,
  type OutletDescription,
} from '../../drivers/lsl/index.js';
import type {
  DaemonEvent,
  MarkerEvent,
  NoPrediction,
  Prediction,
  QualityReport,
  SignalBlock,
  TaskEvent,
} from '../core/events.js';
import { modelRateHz, type TaskSpec } from '../core/tasks.js';
import { LazyOutlet, lslOpener, type OpenOutlet } from './lsl-outlet.js';

export interface LslSinkOptions {
  /** Tasks as they are served now; their classes are the channels. */
  readonly tasks: () => readonly TaskSpec[];
  /** Streams whose conditioned signal goes out too. Default none. */
  readonly signals?: 'all' | readonly string[];
  /**
   * `regular` (default): one row every hop, NaN where there is no prediction. `irregular`: a row
   * for each prediction only.
   */
  readonly predictions?: 'regular' | 'irregular' | 'none';
  /** Events and markers. Default true. */
  readonly events?: boolean;
  readonly config?: LslConfig;
  readonly open?: OpenOutlet;
  /** An outlet could not be opened; the others go on. */
  onError?(error: unknown, outlet: OutletDescription): void;
}

/** Outlets are opened as events need them; unsubscribing closes them. */
export function lslSink(events$: Observable<DaemonEvent>, options: LslSinkOptions): Subscription {
  const sink = new LslSink(options);
  const subscription = events$.subscribe((event) => sink.take(event));
  subscription.add(() => sink.close());
  return subscription;
}

class LslSink {
  readonly #options: LslSinkOptions;
  readonly #open: OpenOutlet;
  /** By source_id. */
  readonly #outlets = new Map<string, { stream: string; key: string; outlet: LazyOutlet }>();
  /** Names of the EEG channels of each stream. */
  readonly #labels = new Map<string, readonly string[]>();

  constructor(options: LslSinkOptions) {
    this.#options = options;
    this.#open = options.open ?? lslOpener(options.config);
  }

  take(event: DaemonEvent): void {
    switch (event.kind) {
      case 'prediction':
      case 'no_prediction':
        if (this.#options.predictions !== 'none') this.#prediction(event);
        return;
      case 'event':
      case 'marker':
        if (this.#options.events !== false) this.#mark(event);
        return;
      case 'signal':
        this.#signal(event);
        return;
      case 'quality':
        this.#labels.set(event.stream, labelsOf(event));
        return;
      case 'status':
        if (event.state === 'ended' || event.state === 'failed') this.#closeStream(event.stream);
    }
  }

  close(): void {
    for (const one of this.#outlets.values()) one.outlet.close();
    this.#outlets.clear();
  }

  #prediction(event: Prediction | NoPrediction): void {
    const task = this.#options.tasks().find((one) => one.name === event.task);
    const isRegular = this.#options.predictions !== 'irregular';
    if (task === undefined || (event.kind === 'no_prediction' && !isRegular)) return;
    const row = Float32Array.from(task.classes, (name) =>
      event.kind === 'prediction' ? (event.probabilities[name] ?? Number.NaN) : Number.NaN,
    );
    this.#outlet(event.stream, task.name, {
      type: 'Prediction',
      format: 'float32',
      rateHz: isRegular ? 1 / task.hopS : 0,
      channels: task.classes.map((label) => ({ label, type: 'Probability', unit: 'normalized' })),
      note: `calibrated probabilities of ${task.windowS} s windows, stamped at the window's end`,
    }).push(row, [event.windowEndS]);
  }

  #mark(event: TaskEvent | MarkerEvent): void {
    const text =
      event.kind === 'marker' ? event.text : `${event.task} ${event.label} ${event.phase}`;
    this.#outlet(event.stream, 'events', {
      type: 'Markers',
      format: 'string',
      rateHz: 0,
      channels: [{ label: 'event', type: 'Marker', unit: '' }],
      note: 'begin and end of what the model found, and markers of the amplifier',
    }).push([text], [event.stampS]);
  }

  #signal(block: SignalBlock): void {
    const { signals = [] } = this.#options;
    if (signals !== 'all' && !signals.includes(block.stream)) return;
    const { samples, channels } = block;
    const labels = this.#labels.get(block.stream);
    // The first second goes without: an outlet cannot name its channels afterwards.
    if (labels?.length !== channels) return;
    const outlet = this.#outlet(block.stream, 'signal', {
      type: 'EEG',
      format: 'float32',
      rateHz: modelRateHz,
      channels: labels.map((label) => ({ label, type: 'EEG', unit: 'microvolts' })),
      note: 'conditioned by eegd; NaN where nothing real was received',
    });
    // A block is [channels, samples]; LSL sends frame by frame.
    const frames = new Float32Array(samples * channels);
    for (let k = 0; k < channels; k++)
      for (let i = 0; i < samples; i++)
        frames[i * channels + k] = block.data[k * samples + i] ?? Number.NaN;
    outlet.push(
      frames,
      Float64Array.from({ length: samples }, (_, i) => block.stampS + i / modelRateHz),
    );
  }

  /** The outlet of a stream and a purpose; another rate or other channels make a new one. */
  #outlet(stream: string, purpose: string, shape: OutletShape): LazyOutlet {
    const sourceId = `eegd-${hostname()}-${stream}-${purpose}`;
    const key = [shape.rateHz, ...shape.channels.map((one) => one.label)].join('\n');
    const known = this.#outlets.get(sourceId);
    if (known?.key === key) return known.outlet;
    known?.outlet.close();
    const report = (error: unknown, failed: OutletDescription) =>
      this.#options.onError?.(error, failed);
    const description = describe(stream, purpose, sourceId, shape);
    const outlet = new LazyOutlet(description, this.#open, report);
    this.#outlets.set(sourceId, { stream, key, outlet });
    return outlet;
  }

  #closeStream(stream: string): void {
    for (const [sourceId, one] of this.#outlets) {
      if (one.stream !== stream) continue;
      one.outlet.close();
      this.#outlets.delete(sourceId);
    }
    this.#labels.delete(stream);
  }
}

function labelsOf(report: QualityReport): string[] {
  return report.channels.map((one) => one.label);
}

interface OutletShape extends Pick<OutletDescription, 'type' | 'format' | 'rateHz'> {
  readonly channels: readonly LslChannel[];
  readonly note: string;
}

function describe(
  stream: string,
  purpose: string,
  sourceId: string,
  { channels, note, ...shape }: OutletShape,
): OutletDescription {
  const extra = [
    element('manufacturer', 'eegd'),
    element('stream', stream),
    element('purpose', purpose),
    element('note', note),
  ];
  return {
    ...shape,
    name: `eegd ${stream} ${purpose}`,
    sourceId,
    channelCount: channels.length,
    desc: describeChannels(channels, extra),
  };
}
