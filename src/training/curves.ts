/** A run's metrics as plots: the loss of every task, smoothed, and what validation found. */
import { readFileSync } from 'node:fs';
import { type Line, linePlot } from './plots.js';

interface MetricsLine {
  readonly step: number;
  readonly figures: Readonly<Record<string, number | null>>;
  readonly validation?: { readonly figures: Readonly<Record<string, number | null>> };
}

/** Weight of a new step in the smoothed loss. */
const smoothing = 0.05;

export function curvesHtml(metricsPath: string): string {
  const lines = readFileSync(metricsPath, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as MetricsLine);
  const losses = smooth(collect(lines.map(({ step, figures }) => ({ step, figures }))));
  const found = collect(
    lines.flatMap(({ step, validation }) =>
      validation === undefined ? [] : [{ step, figures: validation.figures }],
    ),
  );
  const plots = [linePlot('training loss', losses, 'loss')];
  for (const kind of [...new Set(found.map(({ name }) => name.split('.').at(-1) ?? name))])
    plots.push(
      linePlot(
        `validation: ${kind}`,
        found.filter(({ name }) => name.split('.').at(-1) === kind),
        kind,
      ),
    );
  return `<!doctype html><meta charset="utf-8"><title>Curves</title>${plots.join('\n')}\n`;
}

function collect(
  rows: readonly { step: number; figures: Readonly<Record<string, number | null>> }[],
): Line[] {
  const byName = new Map<string, [number, number][]>();
  for (const { step, figures } of rows)
    for (const [name, value] of Object.entries(figures)) {
      if (value === null) continue;
      const points = byName.get(name);
      if (points === undefined) byName.set(name, [[step, value]]);
      else points.push([step, value]);
    }
  return [...byName].map(([name, points]) => ({ name, points }));
}

function smooth(lines: readonly Line[]): Line[] {
  return lines.map(({ name, points }) => {
    let mean = points[0]?.[1] ?? 0;
    return {
      name,
      points: points.map(([step, value]) => {
        mean += smoothing * (value - mean);
        return [step, mean] as const;
      }),
    };
  });
}
