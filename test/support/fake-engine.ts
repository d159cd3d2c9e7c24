/**
 * An engine whose answers can be computed by hand: a second's latents are sums over its good
 * channels, a window's logits are sums over its usable seconds. Rows never touch each other.
 */
import type { TaskSpec } from '../../src/core/tasks.js';
import type {
  Engine,
  EngineInfo,
  TaskBatch,
  TaskResult,
  TrunkBatch,
} from '../../src/engine/engine.js';

export function taskSpec(name: string, fields: Partial<TaskSpec> = {}): TaskSpec {
  return {
    name,
    classes: ['no', 'yes'],
    windowS: 4,
    hopS: 1,
    contextWindows: 0,
    minValid: 0.5,
    temperature: 1,
    smoothing: 1,
    ...fields,
  };
}

export const threeTasks: readonly TaskSpec[] = [
  taskSpec('sleep', { windowS: 30, hopS: 30, contextWindows: 2, classes: ['W', 'N1', 'N2'] }),
  taskSpec('seizure', { windowS: 10, hopS: 1 }),
  taskSpec('motor_imagery', { windowS: 4, hopS: 0.25, classes: ['left', 'right', 'feet'] }),
];

const latents = 2;
const width = 3;

export class FakeEngine implements Engine {
  readonly info: EngineInfo;
  readonly gain: number;
  trunkRows = 0;
  trunkRuns = 0;
  taskRows = 0;
  taskRuns = 0;
  /** Called before each run; throw to make it fail, wait to make it slow. */
  before: (graph: 'trunk' | 'tasks') => Promise<void> | void = () => undefined;
  closed = false;
  parallel = 1;

  constructor(tasks: readonly TaskSpec[] = threeTasks, checkpoint = 'fake@1', gain = 1) {
    this.gain = gain;
    this.info = {
      checkpoint,
      trained: true,
      tasks,
      latents,
      width,
      moeBlocks: 1,
      experts: 2,
      engine: 'fake',
    };
  }

  async trunk(batch: TrunkBatch): Promise<Float32Array> {
    await this.before('trunk');
    this.trunkRuns++;
    this.trunkRows += batch.rows;
    const floats = latents * width;
    const out = new Float32Array(batch.rows * floats);
    for (let r = 0; r < batch.rows; r++) {
      for (let c = 0; c < batch.channels; c++) {
        if (batch.mask[r * batch.channels + c] === 0) continue;
        const at = (r * batch.channels + c) * 200;
        for (let i = 0; i < 200; i++)
          out[r * floats + (i % floats)] += (this.gain * batch.patches[at + i]) / 200;
      }
    }
    return out;
  }

  async tasks(batch: TaskBatch): Promise<TaskResult> {
    await this.before('tasks');
    this.taskRuns++;
    this.taskRows += batch.rows;
    const classes = this.info.tasks.reduce((sum, task) => sum + task.classes.length, 0);
    const floats = latents * width;
    const logits = new Float32Array(batch.rows * classes);
    for (let r = 0; r < batch.rows; r++) {
      for (let s = 0; s < batch.seconds; s++) {
        if (batch.mask[r * batch.seconds + s] === 0) continue;
        const weight = 1 + 0.01 * batch.times[r * batch.seconds + s];
        for (let i = 0; i < floats; i++) {
          const value = batch.latents[(r * batch.seconds + s) * floats + i];
          logits[r * classes + (i % classes)] += weight * value;
        }
      }
    }
    return { logits, routing: new Float32Array(batch.rows * 2).fill(0.5) };
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
