/** The wire's schemas and the daemon's types are the same; the compiler checks it. */
import { expect, test } from 'vitest';
import type { z } from 'zod';
import type * as core from '../../src/core/events.js';
import type * as wire from '../../src/server/wire-events.js';

/** What the daemon says is what the wire says, but for read-only marks and unknown measures. */
type Loose<T> = T extends readonly (infer U)[]
  ? Loose<U>[]
  : T extends object
    ? { -readonly [K in keyof T]: Loose<T[K]> | (undefined extends T[K] ? undefined : never) }
    : T extends number
      ? number | null
      : T;
type Same<Core, Wire> =
  Loose<Core> extends Loose<Wire> ? (Loose<Wire> extends Loose<Core> ? true : never) : never;
const agree: [
  Same<core.Prediction, z.infer<typeof wire.prediction>>,
  Same<core.NoPrediction, z.infer<typeof wire.noPrediction>>,
  Same<core.TaskEvent, z.infer<typeof wire.taskEvent>>,
  Same<core.StreamStatus, z.infer<typeof wire.streamStatus>>,
  Same<core.QualityReport, z.infer<typeof wire.qualityReport>>,
  Same<core.MarkerEvent, z.infer<typeof wire.marker>>,
  Same<core.CheckpointChange, z.infer<typeof wire.checkpointChange>>,
  Same<core.AdaptationUpdate, z.infer<typeof wire.adaptationUpdate>>,
] = [true, true, true, true, true, true, true, true];

test('every event of the daemon has its schema', () => {
  expect(agree.every(Boolean)).toBe(true);
});
