/** An evaluation as text: a table for people (Markdown, so that a card can hold it as it is). */
import type { Evaluation, SetReport } from './evaluate.js';
import { szcoreRules } from './seizure-events.js';
import type { Interval } from './statistics.js';

export function evaluationText(evaluation: Evaluation, details = true): string {
  const lines = [
    '| task | set | side | people | windows | balanced accuracy | kappa | macro-F1 | AUROC | ECE |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...evaluation.sets.map(row),
  ];
  if (evaluation.alarms.length > 0) lines.push('', ...alarmTable(evaluation));
  if (details) for (const report of evaluation.sets) lines.push('', ...detailsOf(report));
  return `${lines.join('\n')}\n`;
}

function row(report: SetReport): string {
  const { pooled } = report;
  const cells = [
    report.task,
    report.set,
    report.side,
    report.people,
    pooled.windows,
    interval(report.balancedAccuracy),
    interval(report.kappa),
    interval(report.macroF1),
    interval(report.auroc),
    number(pooled.calibrationError),
  ];
  return `| ${cells.join(' | ')} |`;
}

function alarmTable(evaluation: Evaluation): string[] {
  const { toleranceBeforeS, toleranceAfterS, mergeUnderS, splitOverS } = szcoreRules;
  return [
    `Events (SzCORE: any overlap, ${toleranceBeforeS} s before, ${toleranceAfterS} s after, ` +
      `merged under ${mergeUnderS} s, split over ${splitOverS} s):`,
    '',
    '| task | set | hours | events | sensitivity | precision | F1 | false alarms per 24 h |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...evaluation.alarms.map(({ task, set, figures }) => {
      const cells = [
        task,
        set,
        figures.hours.toFixed(2),
        figures.reference,
        number(figures.sensitivity),
        number(figures.precision),
        number(figures.f1),
        figures.falseAlarmsPer24h.toFixed(1),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ];
}

function detailsOf(report: SetReport): string[] {
  const { classes, pooled } = report;
  const lines = [
    `${report.task} on ${report.set}: confusion (rows truth), ${report.itr.toFixed(1)} bits/min`,
    '',
    `| | ${classes.join(' | ')} | recall |`,
    `| --- |${' --- |'.repeat(classes.length + 1)}`,
  ];
  for (const [k, counts] of pooled.confusion.entries()) {
    const total = counts.reduce((a, b) => a + b, 0);
    const recall = total === 0 ? 'no case' : number(counts[k] / total);
    lines.push(`| ${classes[k]} | ${counts.join(' | ')} | ${recall} |`);
  }
  if (report.people < 2) return lines;
  lines.push('', '| subject | windows | balanced accuracy | kappa | macro-F1 |');
  lines.push('| --- | --- | --- | --- | --- |');
  for (const { subject, figures } of report.bySubject) {
    const { windows, balancedAccuracy, kappa, macroF1 } = figures;
    const cells = [subject, windows, number(balancedAccuracy), number(kappa), number(macroF1)];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines;
}

function interval({ value, low, high }: Interval): string {
  if (Number.isNaN(value)) return 'n/a';
  return Number.isNaN(low) ? number(value) : `${number(value)} (${number(low)}-${number(high)})`;
}

function number(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3) : 'n/a';
}
