/** The classical controls of every judged task and set, as reports beside the checkpoint's. */
import { type ControlName, runControl } from './baselines/controls.js';
import { type EvaluateOptions, reportOf, type SetReport } from './evaluate.js';

/** Spatial patterns are for imagery; band powers for everything. */
export function controlsOf(task: string): ControlName[] {
  return task === 'motor_imagery'
    ? ['majority', 'band-power-lda', 'csp-lda']
    : ['majority', 'band-power-lda'];
}

export function controlReports(
  options: Pick<EvaluateOptions, 'checkpoint' | 'recipe' | 'materials' | 'side'>,
  tasks?: readonly string[],
): Record<string, SetReport[]> {
  const { checkpoint, recipe, materials, side } = options;
  const out: Record<string, SetReport[]> = {};
  for (const [task, known] of checkpoint.arch.tasks.entries()) {
    const spec = recipe.tasks.find((one) => one.name === known.name);
    if (spec === undefined || tasks?.includes(known.name) === false) continue;
    for (const source of spec.sources) {
      const there = materials.some(({ ref }) => ref.side === side && ref.set === source.set);
      if (!source.judged || !there) continue;
      for (const name of controlsOf(known.name)) {
        const needsOwn = name === 'csp-lda';
        const learns = materials.some(
          ({ ref }) => ref.side === 'train' && (!needsOwn || ref.set === source.set),
        );
        if (!learns) continue;
        const cases = runControl(name, { spec, task, materials, side, set: source.set });
        if (cases.length === 0) continue;
        out[name] ??= [];
        out[name].push(reportOf({ ...known, temperature: 1 }, cases, source.set, side));
      }
    }
  }
  return out;
}
