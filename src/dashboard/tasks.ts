/**
 * How a task is shown follows from what it is: one that declares events as a probability over time,
 * one of long windows as a hypnogram, any other as bars. Tasks of the user's own need no code.
 */
import type { Snapshot } from '../client/client.js';

export type Task = Snapshot['tasks'][number];
export type View = 'stages' | 'events' | 'bars';

export function viewOf(task: Task): View {
  if (task.event !== undefined) return 'events';
  return task.hopS >= 10 ? 'stages' : 'bars';
}

const stageOrder = ['wake', 'w', 'rem', 'r', 'n1', 'n2', 'n3'];

/** Sleep stages as a hypnogram has them, deep sleep at the bottom; others as they come. */
export function stageRank(classes: readonly string[]): string[] {
  const rank = (name: string) => {
    const at = stageOrder.indexOf(name.toLowerCase().replace(/^sleep[ _]stage[ _]/, ''));
    return at < 0 ? stageOrder.length : at;
  };
  return [...classes].sort((a, b) => rank(b) - rank(a));
}
