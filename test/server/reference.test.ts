/** Documentation, table and wire say the same: what is generated is up to date, and it is valid. */
import { existsSync, readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import { describe, expect, test } from 'vitest';
import { errorTable } from '../../src/core/errors.js';
import { asyncApi } from '../../src/server/asyncapi.js';
import { limits } from '../../src/server/limits.js';
import { commands, wireError } from '../../src/server/protocol.js';
import { references } from '../support/reference.js';

describe('what npm run docs writes is committed', () => {
  test.each(Object.entries(references()))('%s', (file, text) => {
    expect(existsSync(file) ? readFileSync(file, 'utf8') : '', 'run npm run docs').toBe(text);
  });
});

describe('AsyncAPI', () => {
  test('is valid by its own parser', async () => {
    const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncApi('1.2.3')));
    expect(diagnostics.filter(({ severity }) => severity <= 1)).toEqual([]);
    expect(document?.info().version()).toBe('1.2.3');
    const received = document?.operations().filterByReceive() ?? [];
    const names = received.flatMap((each) =>
      each
        .messages()
        .all()
        .map((message) => message.name()),
    );
    expect(names.sort()).toEqual(['auth', ...Object.keys(commands)].sort());
  }, 60_000);
});

test('errors: table, wire and documentation hold the same codes', () => {
  const codes = Object.keys(errorTable);
  expect([...wireError.shape.code.options]).toEqual(codes);
  const page = readFileSync('docs/errors.md', 'utf8');
  expect([...page.matchAll(/^\| `(EEG_\w+)`/gm)].map(([, code]) => code)).toEqual(codes);
});

test('API.md names every command and the figures of the limits', () => {
  const page = readFileSync('API.md', 'utf8');
  for (const name of Object.keys(commands)) expect(page, name).toContain(`| \`${name}\``);
  expect(page).toContain(`${limits.payloadBytesMax / 1024} KiB, ${limits.fragmentsMax} fragments`);
  expect(page).toContain(
    `${limits.messagesPerS} a second after a burst of ${limits.messagesBurst}`,
  );
  expect(page).toContain(`| ${limits.clientsMax}; ${limits.clientsPerIpMax} of one address |`);
  expect(page).toContain(`a ping every ${limits.pingMs / 1000} s`);
  expect(page).toContain(`after ${limits.slowMsMax / 1000} s of that it is closed with 4408`);
});
