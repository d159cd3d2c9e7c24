import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readToken } from '../../src/cli/token.js';

const folder = mkdtempSync(join(tmpdir(), 'eegd-token-'));
afterAll(() => rmSync(folder, { recursive: true }));

function given(text: string): string {
  const file = join(folder, 'token');
  writeFileSync(file, text);
  return file;
}

test.each([
  ['the token alone', 'secret-of-sixteen\n'],
  [
    "the daemon's own file",
    '# the lab\nread,operate secret-of-sixteen until=2027-01-31\ntrain b\n',
  ],
  ['a digest before it', `sha256:${'0'.repeat(64)}\nsecret-of-sixteen\n`],
])('a command takes %s', (_, text) => {
  expect(readToken(given(text))).toBe('secret-of-sixteen');
});

test('a file without a token, and none at all, are told', () => {
  const digest = `read sha256:${'0'.repeat(64)}\n`;
  expect(() => readToken(given(digest))).toThrow(/expected a token in .*, found none/);
  expect(() => readToken(join(folder, 'none'))).toThrow(/cannot be read/);
});
