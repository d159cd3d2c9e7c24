/** The ablation as a report: means and spreads, negative transfer, routing, forgetting. */
import { meanAndSd } from '../statistics.js';
import { type ForgettingRun, ways } from './forgetting.js';
import { type VariantName, type VariantRun, variants } from './variants.js';

export interface AblationReport {
  readonly steps: number;
  readonly seeds: readonly number[];
  readonly tasks: readonly { readonly name: string; readonly classes: readonly string[] }[];
  readonly moe: {
    readonly blocks: readonly number[];
    readonly experts: number;
    readonly topK: number;
  };
  readonly runs: readonly VariantRun[];
  readonly forgetting: readonly ForgettingRun[];
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

/** Variants compared pair by pair: what learning together, experts and the task's word bring. */
export const comparisons = [
  ['d', 'c'],
  ['f', 'c'],
  ['f', 'd'],
  ['f', 'e'],
  ['d', 'a'],
] as const;

/** Balanced accuracy of `one` less that of `other`, seed by seed; below 0, `one` is worse. */
export function differenceOf(
  report: AblationReport,
  [one, other]: readonly [VariantName, VariantName],
  task: string,
): Spread {
  const differences = report.seeds.flatMap((seed) => {
    const score = (variant: VariantName) =>
      report.runs.find((run) => run.variant === variant && run.seed === seed)?.scores[task]
        ?.balancedAccuracy;
    const [a, b] = [score(one), score(other)];
    return a === undefined || b === undefined ? [] : [a - b];
  });
  return { ...meanAndSd(differences), count: differences.length };
}

/**
 * Bits that a token's expert tells of its task, tasks counted alike: 0 where all tasks use the
 * experts alike, the log of the number of tasks where no two share one.
 */
export function specialisation(rows: readonly (readonly number[])[]): number {
  const experts = rows[0]?.map((_, e) => meanAndSd(rows.map((row) => row[e])).mean) ?? [];
  const terms = rows.flatMap((row) =>
    row.map((share, e) => (share > 0 ? (share / rows.length) * Math.log2(share / experts[e]) : 0)),
  );
  return terms.reduce((a, b) => a + b, 0);
}

/** `[block][task][expert]` of one run. Experts of two seeds are not the same experts. */
export function routingOf({ moe, tasks }: AblationReport, run: VariantRun): number[][][] {
  return moe.blocks.map((_, b) =>
    tasks.map(({ name }) =>
      Array.from(
        { length: moe.experts },
        (_, e) => run.routing[name]?.[b * moe.experts + e] ?? Number.NaN,
      ),
    ),
  );
}

export function ablationMarkdown(report: AblationReport): string {
  const names = report.tasks.map(({ name }) => name);
  const { blocks, experts, topK } = report.moe;
  const lines = [
    '# Ablation',
    '',
    `${report.steps} steps a variant, seeds ${report.seeds.join(', ')}; the mixture has ${experts} ` +
      `experts in task blocks ${blocks.join(', ')}, top ${topK}. Balanced accuracy, mean and ` +
      'standard deviation over seeds; weights chosen on validation data.',
    ...unequal(report),
    '',
    ...sidesOf(report),
    '',
    ...table(
      ['variant', ...names, 'parameters', 'active', 'ms a step', 'ms a window'],
      variantsOf(report).map((variant) => row(report, variant, names)),
    ),
    '',
    '## On validation, which chose the step',
    '',
    ...table(
      ['variant', ...names],
      variantsOf(report).map((variant) => [
        variant,
        ...names.map((name) => show(validationOf(report, variant, name))),
      ]),
    ),
    '',
    '## Differences, seed by seed',
    '',
    'd - c and f - c: what learning all tasks together costs or brings against one model a task ' +
      '(negative transfer where below 0). f - d: what the mixture brings; f - e: what the task in ' +
      'the router brings; d - a: what pretraining brings.',
    '',
    ...table(
      ['', ...names],
      comparisons.map((pair) => [
        pair.join(' - '),
        ...names.map((name) => show(differenceOf(report, pair, name))),
      ]),
    ),
    '',
    ...routingText(report, names),
    ...forgettingText(report),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string[] {
  return [
    `| ${head.join(' | ')} |`,
    `| --- |${' --- |'.repeat(head.length - 1)}`,
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ];
}

/** Variants with fewer seeds than there are: time ended, or they were not asked for. */
function unequal(report: AblationReport): string[] {
  const few = variantsOf(report).flatMap((variant) => {
    const count = report.runs.filter((run) => run.variant === variant).length;
    return count < report.seeds.length ? [`${variant} (${count})`] : [];
  });
  return few.length === 0 ? [] : ['', `Of fewer seeds: ${few.join(', ')}.`];
}

/** Which people the figures are of, and how many windows. */
function sidesOf(report: AblationReport): string[] {
  const parts = report.tasks.flatMap(({ name }) => {
    const score = report.runs.find((run) => run.scores[name] !== undefined)?.scores[name];
    return score === undefined ? [] : [`${name} ${score.side} (${score.windows} windows)`];
  });
  return parts.length === 0 ? [] : [`Judged on: ${parts.join(', ')}.`];
}

function row(report: AblationReport, variant: VariantName, names: readonly string[]): unknown[] {
  const runs = report.runs.filter((run) => run.variant === variant);
  const [first] = runs;
  return [
    `${variant}: ${variants[variant]}`,
    ...names.map((name) => show(spreadOf(report, variant, name))),
    first.parameters,
    first.activeParameters,
    meanAndSd(runs.map((run) => run.msPerStep)).mean.toFixed(0),
    Math.min(...runs.map((run) => run.msPerWindow)).toFixed(1),
  ];
}

function validationOf(report: AblationReport, variant: VariantName, task: string): Spread {
  const values = report.runs
    .filter((run) => run.variant === variant)
    .flatMap((run) => run.validation[task] ?? []);
  return { ...meanAndSd(values), count: values.length };
}

function routingText(report: AblationReport, names: readonly string[]): string[] {
  const mixtures = report.runs.filter(({ variant }) => variant === 'e' || variant === 'f');
  const [first] = mixtures.filter(({ variant }) => variant === 'f');
  if (first === undefined) return [];
  const { blocks, experts } = report.moe;
  const bits = (variant: VariantName, b: number): string => {
    const own = mixtures.filter((run) => run.variant === variant);
    const values = own.map((run) => specialisation(routingOf(report, run)[b]));
    return show({ ...meanAndSd(values), count: values.length });
  };
  const lines = [
    '## Routing',
    '',
    `Bits that the expert of a token tells of its task (at most ${number(Math.log2(names.length))}):`,
    '',
    ...table(
      ['block', 'e', 'f'],
      blocks.map((block, b) => [block, bits('e', b), bits('f', b)]),
    ),
    '',
  ];
  for (const [b, rows] of routingOf(report, first).entries())
    lines.push(
      `Routing of f, block ${blocks[b]}, seed ${first.seed}: share of a task's tokens by expert`,
      '',
      ...table(
        ['', ...Array.from({ length: experts }, (_, e) => `expert ${e}`)],
        rows.map((shares, t) => [names[t], ...shares.map((value) => number(value, 2))]),
      ),
      '',
    );
  return lines;
}

function forgettingText({ forgetting }: AblationReport): string[] {
  const [first] = forgetting;
  if (first === undefined) return [];
  const names = Object.keys(first.found[0]?.old ?? {});
  const rows = forgetting.flatMap(({ seed, found }) =>
    found.map(({ way, old, added }) => [
      ways[way],
      seed,
      ...names.map((name) => `${number(old[name].before)} to ${number(old[name].after)}`),
      number(added),
    ]),
  );
  return [
    `## Forgetting: ${first.added} is added later, alone, for ${first.steps} steps`,
    '',
    ...table(['way', 'seed', ...names, first.added], rows),
  ];
}

export function variantsOf(report: AblationReport): VariantName[] {
  const there = new Set(report.runs.map((run) => run.variant));
  return (Object.keys(variants) as VariantName[]).filter((name) => there.has(name));
}

/** One seed has no spread. */
function show({ mean, sd, count }: Spread): string {
  if (count === 0) return 'n/a';
  return count === 1 ? `${number(mean)} (one seed)` : `${number(mean)} +- ${number(sd)}`;
}

function number(value: number, digits = 3): string {
  return Number.isFinite(value) ? value.toFixed(digits) : 'n/a';
}
