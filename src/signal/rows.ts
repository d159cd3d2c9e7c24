/** Signals of many channels, and which of the channels an operation is on. */

/** Channels `from .. to`. */
export interface Channels {
  readonly from: number;
  readonly to: number;
}

/** One row a channel: `data[c * width + i]`. */
export interface Rows {
  readonly data: Float64Array;
  readonly width: number;
}

/** One frame a source sample: `data[(offset + i) * width + c]` is sample i of channel c. */
export interface Frames extends Rows {
  readonly offset: number;
}

/** Outputs `first .. first + count`, counted from the stream's first sample. */
export type Outputs = readonly [first: number, count: number];
