/** What a session is from its beginning: the task that is taught, the signal it is taught on. */
import { EegError } from '../core/errors.js';
import type { TaskSpec } from '../core/tasks.js';
import type { LabelledSource, ServingBase } from './adaptation-host.js';
import type { StartArguments } from './arguments.js';
import type { SessionHead } from './label-store.js';

/** Throws `EEG_ADAPT_STATE` where the base cannot be taught this. */
export function requireTeachable(base: ServingBase, { task, classes }: StartArguments): void {
  if (!base.hasExperts) {
    const what = `${base.id} has no experts to grow new ones from`;
    throw new EegError('EEG_ADAPT_STATE', what, { hint: 'upcycle it first: eegd upcycle' });
  }
  if (base.tasks.some(({ name }) => name === task)) {
    const what = `${base.id} has a task ${task} already`;
    const hint = `choose another name, with like="${task}" to start from it`;
    throw new EegError('EEG_ADAPT_STATE', what, { hint });
  }
  if (new Set(classes).size < classes.length)
    throw new EegError('EEG_ADAPT_STATE', 'expected different classes');
}

export function headOf(
  { task, classes, windowS, hopS }: StartArguments,
  source: LabelledSource,
  rest: { readonly session: string; readonly checkpoint: string; readonly wallMs: number },
): SessionHead {
  return {
    ...rest,
    ...{ stream: source.id, task, classes, windowS, hopS },
    channels: [...source.channels],
    positions: [...source.positions],
    raw: {
      rateHz: source.rawRateHz,
      channels: source.rawChannels.map(({ label, kind, unit }) => ({ label, kind, unit })),
    },
  };
}

export function taskOf({ task, classes, windowS, hopS }: SessionHead): TaskSpec {
  const plain = { contextWindows: 0, minValid: 0.75, temperature: 1, smoothing: 0.4 };
  return { name: task, classes, windowS, hopS, ...plain };
}
