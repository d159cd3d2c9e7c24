/** The ablation as a report: means and spreads, negative transfer, routing, forgetting. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { heatMap, type Line, linePlot } from '../plots.js';
import { meanAndSd } from '../statistics.js';
import { type VariantName, type VariantRun, variants } from './variants.js';

export interface AblationReport {
  readonly steps: number;
  readonly seeds: readonly number[];
  readonly tasks: readonly { readonly name: string; readonly classes: readonly string[] }[];
  readonly moe: { readonly blocks: readonly number[]; readonly experts: number };
  readonly runs: readonly VariantRun[];
}

export interface Spread {
  readonly mean: number;
  readonly sd: number;
  readonly count: number;
}

/** Balanced accuracy of a variant on a task over the seeds. */
export function spreadOf(report: AblationReport, variant: VariantName, task: string): Spread {
  const values = report.runs
    .filter((run) => run.variant === variant)
    .flatMap((run) => run.scores[task]?.balancedAccuracy ?? [])
    .filter((value) => !Number.isNaN(value));
  return { ...meanAndSd(values), count: values.length };
}

/** What learning together costs (below 0) or brings, seed by seed: `to` minus c. */
export function transferOf(report: AblationReport, to: 'd' | 'f', task: string): Spread {
  const differences = report.seeds.flatMap((seed) => {
    const score = (variant: VariantName) =>
      report.runs.find((run) => run.variant === variant && run.seed === seed)?.scores[task]
        ?.balancedAccuracy;
    const [one, all] = [score('c'), score(to)];
    return one === undefined || all === undefined ? [] : [all - one];
  });
  return { ...meanAndSd(differences), count: differences.length };
}

/** `[block][task][expert]`, mean over the seeds of variant f. */
export function routingOf(report: AblationReport): number[][][] {
  const runs = report.runs.filter((run) => run.variant === 'f');
  const { blocks, experts } = report.moe;
  return blocks.map((_, b) =>
    report.tasks.map(({ name }) =>
      Array.from({ length: experts }, (_, e) => {
        const values = runs.flatMap((run) => run.routing[name]?.[b * experts + e] ?? []);
        return values.length === 0 ? Number.NaN : meanAndSd(values).mean;
      }),
    ),
  );
}

export function ablationMarkdown(report: AblationReport): string {
  const names = report.tasks.map(({ name }) => name);
  const present = variantsOf(report);
  const lines = [
    '# Ablation',
    '',
    `${report.steps} steps a variant, seeds ${report.seeds.join(', ')}. Balanced accuracy on the ` +
      'test side, mean and standard deviation over seeds; weights chosen on validation data.',
    '',
    `| variant | ${names.join(' | ')} | parameters | active | ms a step |`,
    `| --- |${' --- |'.repeat(names.length + 3)}`,
  ];
  for (const variant of present) {
    const runs = report.runs.filter((run) => run.variant === variant);
    const [first] = runs;
    const cells = [
      `${variant}: ${variants[variant]}`,
      ...names.map((name) => show(spreadOf(report, variant, name))),
      first.parameters,
      first.activeParameters,
      meanAndSd(runs.map((run) => run.msPerStep)).mean.toFixed(0),
    ];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  lines.push('', '## Transfer against one model a task', '');
  lines.push(`| | ${names.join(' | ')} |`, `| --- |${' --- |'.repeat(names.length)}`);
  for (const to of ['d', 'f'] as const)
    lines.push(
      `| ${to} - c | ${names.map((name) => show(transferOf(report, to, name))).join(' | ')} |`,
    );
  lines.push('', '## Routing of f: share of tokens by task and expert', '');
  for (const [b, rows] of routingOf(report).entries()) {
    lines.push(`Block ${report.moe.blocks[b]}:`, '');
    const experts = Array.from({ length: report.moe.experts }, (_, e) => `expert ${e}`);
    lines.push(`| | ${experts.join(' | ')} |`, `| --- |${' --- |'.repeat(experts.length)}`);
    for (const [t, row] of rows.entries())
      lines.push(`| ${names[t]} | ${row.map((value) => number(value, 2)).join(' | ')} |`);
    lines.push('');
  }
  const forgot = report.runs.filter((run) => run.forgetting !== undefined);
  if (forgot.length > 0) {
    lines.push('## Forgetting: the last task learned alone, all weights free', '');
    lines.push('| variant | seed | task | before | after |', '| --- | --- | --- | --- | --- |');
    for (const { variant, seed, forgetting } of forgot)
      for (const [task, { before, after }] of Object.entries(forgetting ?? {}))
        lines.push(`| ${variant} | ${seed} | ${task} | ${number(before)} | ${number(after)} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** `folder` holds the runs' metrics. */
export function ablationHtml(report: AblationReport, folder: string): string {
  const names = report.tasks.map(({ name }) => name);
  const plots: string[] = [];
  for (const task of names) {
    const lines = variantsOf(report).flatMap((variant) => curves(report, folder, variant, task));
    plots.push(linePlot(`validation, ${task}`, lines, 'balanced accuracy'));
  }
  const experts = Array.from({ length: report.moe.experts }, (_, e) => `e${e}`);
  for (const [b, rows] of routingOf(report).entries())
    plots.push(heatMap(`routing of f, block ${report.moe.blocks[b]}`, names, experts, rows));
  for (const { name, classes } of report.tasks) {
    const run = report.runs.find((one) => one.variant === 'f' && one.scores[name] !== undefined);
    const table = run?.scores[name]?.confusion;
    if (table !== undefined)
      plots.push(heatMap(`confusion of f, ${name} (rows truth)`, classes, classes, table));
  }
  const table = ablationMarkdown(report).replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return (
    '<!doctype html><meta charset="utf-8"><title>Ablation</title>' +
    '<style>body{font-family:sans-serif;max-width:72em;margin:2em auto}pre{overflow:auto}</style>' +
    `${plots.join('\n')}<pre>${table}</pre>\n`
  );
}

function variantsOf(report: AblationReport): VariantName[] {
  const there = new Set(report.runs.map((run) => run.variant));
  return (Object.keys(variants) as VariantName[]).filter((name) => there.has(name));
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

function show({ mean, sd, count }: Spread): string {
  if (count === 0) return 'n/a';
  return count === 1 ? number(mean) : `${number(mean)} +- ${number(sd)}`;
}

function number(value: number, digits = 3): string {
  return Number.isFinite(value) ? value.toFixed(digits) : 'n/a';
}
