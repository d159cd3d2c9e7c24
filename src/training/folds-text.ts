/** Leave-one-out figures as a Markdown table. */
import type { FoldReport } from './folds.js';
import { meanOf } from './metrics.js';

export function foldsText(reports: readonly FoldReport[]): string {
  const lines = [
    '| task | set | by | folds | windows | balanced accuracy | kappa | AUROC | fold by fold |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...reports.map(({ task, set, by, pooled, folds }) => {
      const each = folds.map(({ balancedAccuracy }) => balancedAccuracy);
      const mean = meanOf(each);
      const spread = Math.sqrt(meanOf(each.map((x) => (x - mean) ** 2)));
      const figures = [pooled.balancedAccuracy, pooled.kappa, pooled.auroc];
      const [accuracy, kappa, auroc] = figures.map((x) =>
        Number.isFinite(x) ? x.toFixed(3) : 'n/a',
      );
      const byFold = `${mean.toFixed(3)} sd ${spread.toFixed(3)}: ${each
        .map((x) => x.toFixed(2))
        .join(' ')}`;
      const cells = [task, set, by, folds.length, pooled.windows, accuracy, kappa, auroc, byFold];
      return `| ${cells.join(' | ')} |`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}
