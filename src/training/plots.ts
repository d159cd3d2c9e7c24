/** Plots as SVG text, without a library: lines of learning curves, and tables as heat maps. */

const colours = ['#3366cc', '#dc3912', '#ff9900', '#109618', '#990099', '#0099c6', '#dd4477'];

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export function linePlot(title: string, lines: readonly Line[], yName: string): string {
  const all = lines.flatMap(({ points }) => points).filter(([, y]) => Number.isFinite(y));
  if (all.length === 0) return '';
  const [width, height, left, bottom] = [560, 300, 50, 40];
  const xMax = Math.max(...all.map(([x]) => x));
  const yMin = Math.min(...all.map(([, y]) => y));
  const yMax = Math.max(...all.map(([, y]) => y));
  const px = (x: number) => left + (x / (xMax || 1)) * (width - left - 10);
  const py = (y: number) =>
    height - bottom - ((y - yMin) / (yMax - yMin || 1)) * (height - bottom - 30);
  const parts = [
    text(width / 2, 16, title, 'middle', 13),
    text(width / 2, height - 6, 'step', 'middle'),
    text(4, 26, yName),
    text(left - 4, py(yMin), yMin.toFixed(2), 'end'),
    text(left - 4, py(yMax) + 4, yMax.toFixed(2), 'end'),
    text(px(xMax), height - bottom + 14, String(xMax), 'end'),
    `<path d="M${left} 30V${height - bottom}H${width - 10}" stroke="#888" fill="none"/>`,
  ];
  for (const [i, { name, points }] of lines.entries()) {
    const colour = colours[i % colours.length];
    const path = points
      .filter(([, y]) => Number.isFinite(y))
      .map(([x, y], k) => `${k === 0 ? 'M' : 'L'}${px(x).toFixed(1)} ${py(y).toFixed(1)}`)
      .join('');
    parts.push(`<path d="${path}" stroke="${colour}" fill="none" stroke-width="1.5"/>`);
    parts.push(text(left + 8, 42 + 13 * i, name, 'start', 11, colour));
  }
  return svg(width, height, parts);
}

/** Values 0..1, or scaled to the largest. */
export function heatMap(
  title: string,
  rows: readonly string[],
  columns: readonly string[],
  values: readonly (readonly number[])[],
): string {
  const [cell, left, top] = [46, 120, 44];
  const largest = Math.max(1e-9, ...values.flat().filter(Number.isFinite));
  const parts = [text(8, 16, title, 'start', 13)];
  for (const [c, name] of columns.entries())
    parts.push(text(left + c * cell + cell / 2, top - 6, name, 'middle', 10));
  for (const [r, name] of rows.entries()) {
    parts.push(text(left - 6, top + r * 24 + 16, name, 'end'));
    for (const [c] of columns.entries()) {
      const value = values[r]?.[c] ?? Number.NaN;
      const depth = Number.isFinite(value) ? value / largest : 0;
      const shade = Math.round(255 - 190 * depth);
      const x = left + c * cell;
      const y = top + r * 24;
      parts.push(
        `<rect x="${x}" y="${y}" width="${cell - 1}" height="23" fill="rgb(${shade},${shade},255)"/>`,
      );
      const shown = Number.isInteger(value) ? String(value) : value.toFixed(2);
      parts.push(text(x + cell / 2, y + 16, shown, 'middle', 10, depth > 0.7 ? '#fff' : '#000'));
    }
  }
  return svg(left + columns.length * cell + 10, top + rows.length * 24 + 10, parts);
}

function text(
  x: number,
  y: number,
  value: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
  size = 11,
  fill = '#222',
): string {
  const safe = value.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}"`;
  return `<text ${place} text-anchor="${anchor}" font-size="${size}" fill="${fill}">${safe}</text>`;
}

function svg(width: number, height: number, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `width="${width}" height="${height}" font-family="sans-serif">` +
    `<rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>`
  );
}
