/**
 * What leaves the signal path: blocks at 200 Hz, conditioned, with what is real marked. Made by
 * the same code live and for training.
 */
export interface ConditionedBlock {
  /** Index on the stream's 200 Hz grid; gaps are counted through. */
  readonly index: number;
  readonly samples: number;
  /** EEG channels only, in the stream's order. */
  readonly channels: number;
  /** `[channels, samples]`, uV; 0 where not valid. */
  readonly data: Float32Array;
  /** `[channels, samples]`, 1 = made from received samples only, the filters settled. */
  readonly valid: Uint8Array;
  /** LSL seconds of the first sample, dejittered, the filters' group delay taken off. */
  readonly stampS: number;
  /** `localClock()` when the last raw frame behind this block arrived. */
  readonly arrivalS: number;
}
