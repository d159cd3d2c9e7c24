/** Style held by a test: sizes, names, and nothing left behind. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const fileLinesMax = 350;
const lineLengthMax = 100;
/** Pure data tables may be long. */
const tables = new Set(['src/signal/electrode-table.ts']);
const bannedNames = /(^|[-/])(utils?|helpers?|managers?|misc|common)(\.|[-/]|$)/;

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((name) => name !== '');

describe('tidy', () => {
  test('finds the sources', () => expect(files.length).toBeGreaterThan(5));

  test.each(files)('%s', (name) => {
    expect(name, 'a name that says what is in it').not.toMatch(bannedNames);
    const text = readFileSync(name, 'utf8');
    const lines = text.split('\n');
    if (!tables.has(name))
      expect(lines.length, 'lines of the file').toBeLessThanOrEqual(fileLinesMax);
    for (const [i, line] of lines.entries()) {
      const long = line.length > lineLengthMax && !/https?:|`|'|\/\//.test(line);
      expect(long, `${name}:${i + 1} is over ${lineLengthMax} columns`).toBe(false);
    }
    if (name !== 'test/tidy.test.ts') {
      expect(text).not.toMatch(/\bTODO\b|\bFIXME\b|\bXXX\b|@ts-ignore|@ts-nocheck/);
      expect(text, 'a test that is alone').not.toMatch(/\b(test|it|describe)\.only\(/);
    }
  });
});
