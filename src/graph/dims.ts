/**
 * Dimensions known when the graph is built (numbers) or when it runs (names and products of names,
 * written canonically: `4*channels*rows`). What cannot be written so is a name of its own.
 */
export type Dim = number | string;

/** Product of dimensions, canonical, so that equal products are equal strings. */
export function times(...dims: readonly Dim[]): Dim {
  let coefficient = 1;
  const names: string[] = [];
  for (const dim of dims) {
    for (const factor of typeof dim === 'number' ? [dim] : dim.split('*')) {
      const value = Number(factor);
      if (Number.isNaN(value)) names.push(factor as string);
      else coefficient *= value;
    }
  }
  if (names.length === 0) return coefficient;
  names.sort();
  return (coefficient === 1 ? names : [String(coefficient), ...names]).join('*');
}

export function isKnown(dim: Dim): dim is number {
  return typeof dim === 'number';
}

export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

export function showShape(shape: readonly Dim[]): string {
  return `[${shape.join(', ')}]`;
}

/** Shape of an elementwise result, by NumPy's rules. */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new Error(`shapes ${showShape(a)} and ${showShape(b)} do not broadcast`);
    out.push(x === 1 ? y : x);
  }
  return out;
}

/** Axis counted from the front; negative axes count from the back. */
export function axisOf(axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank) throw new Error(`axis ${axis} of rank ${rank}`);
  return positive;
}
