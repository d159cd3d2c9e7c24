/** The ablation's plots: learning curves, routing, confusion; and the page that shows them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { heatMap, type Line, linePlot } from '../plots.js';
import { type AblationReport, ablationMarkdown, routingOf, variantsOf } from './report.js';
import type { VariantName } from './variants.js';

export interface Plot {
  /** A file name without its ending. */
  readonly name: string;
  readonly svg: string;
}

/** `folder` holds the runs' metrics. */
export function ablationPlots(report: AblationReport, folder: string): Plot[] {
  const { tasks, moe, runs } = report;
  const names = tasks.map(({ name }) => name);
  const plots: Plot[] = [];
  for (const task of names) {
    const lines = variantsOf(report).flatMap((variant) => curves(report, folder, variant, task));
    const title = `validation, ${task}, seed ${report.seeds[0]}`;
    plots.push({ name: `curve-${task}`, svg: linePlot(title, lines, 'balanced accuracy') });
  }
  const experts = Array.from({ length: moe.experts }, (_, e) => `e${e}`);
  for (const run of runs.filter(({ variant }) => variant === 'f'))
    for (const [b, rows] of routingOf(report, run).entries()) {
      const title = `routing of f, block ${moe.blocks[b]}, seed ${run.seed}`;
      const name = `routing-${moe.blocks[b]}-${run.seed}`;
      plots.push({ name, svg: heatMap(title, names, experts, rows) });
    }
  for (const { name, classes } of tasks) {
    const run = runs.find((one) => one.variant === 'f' && one.scores[name] !== undefined);
    const table = run?.scores[name]?.confusion;
    if (table === undefined) continue;
    const title = `confusion of f, ${name} (rows truth)`;
    plots.push({ name: `confusion-${name}`, svg: heatMap(title, classes, classes, table) });
  }
  return plots.filter(({ svg }) => svg !== '');
}

export function ablationHtml(report: AblationReport, plots: readonly Plot[]): string {
  const text = ablationMarkdown(report).replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return (
    '<!doctype html><meta charset="utf-8"><title>Ablation</title>' +
    '<style>body{font-family:sans-serif;max-width:72em;margin:2em auto}pre{overflow:auto}</style>' +
    `${plots.map(({ svg }) => svg).join('\n')}<pre>${text}</pre>\n`
  );
}

function curves(
  report: AblationReport,
  folder: string,
  variant: VariantName,
  task: string,
): Line[] {
  const [seed] = report.seeds;
  const name = variant === 'b' || variant === 'c' ? `${variant}-${task}` : variant;
  const points: (readonly [number, number])[] = [];
  try {
    const text = readFileSync(join(folder, `${name}-${seed}`, 'metrics.jsonl'), 'utf8');
    for (const line of text.trim().split('\n')) {
      const { step, validation } = JSON.parse(line) as {
        step: number;
        validation?: { figures: Record<string, number> };
      };
      const value = validation?.figures[`${task}.balancedAccuracy`];
      if (value !== undefined && value !== null) points.push([step, value]);
    }
  } catch {
    // A run without its metrics (moved away) has no curve; its scores are in the report.
    return [];
  }
  return [{ name: variant, points }];
}
