/** What a recording format must do: turn what happens into bytes to append. Pure, no files. */
import type { Prediction, TaskEvent } from '../core/events.js';
import type { Chunk, Marker } from '../core/stream.js';

/** Bytes for the end of the file, or for a place `at` which holds others already. */
export interface Write {
  readonly bytes: Uint8Array;
  readonly at?: number;
}

export interface RecordingEncoder {
  /** What the file begins with. */
  begin(): Write[];
  /** `stamps`: LSL seconds of every frame. */
  chunk(stream: string, chunk: Chunk, stamps: Float64Array): Write[];
  marker(stream: string, marker: Marker): Write[];
  prediction(prediction: Prediction): Write[];
  event(event: TaskEvent): Write[];
  /** Called about once a second. */
  tick(nowS: number): Write[];
  /** What the file ends with. */
  end(): Write[];
}
