/** docs/faults.md names every fault once, and tests that are there. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const text = readFileSync('docs/faults.md', 'utf8');
const rows = [...text.matchAll(/^\| (([FSL]\d+)(?:, [FSL]\d+)*) \| .* \| (.*) \| (.*) \|$/gm)];

test('every fault of the list has its row', () => {
  const ids = rows.flatMap(([, named = '']) => named.split(', '));
  const all = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`);
  expect(ids).toEqual([...all('F', 17), ...all('S', 14), ...all('L', 6)]);
});

test.each(rows.map(([, id = '', , by = '', seen = '']) => [id, by, seen]))('%s', (_, by, seen) => {
  const files = [...by.matchAll(/\(\.\.\/([^)]+)\)/g)].map(([, file = '']) => file);
  for (const file of files) expect(existsSync(file), file).toBe(true);
  expect(files.length > 0 || /npm run|by hand/.test(by), by).toBe(true);
  expect(seen).not.toMatch(/^[A-Z]{4,}$|[;] [A-Z]{4,}$/);
});
