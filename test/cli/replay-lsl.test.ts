/** `eegd replay --lsl`: a foreign program reads the signal, and often nothing but the signal. */
import { copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LslDriver } from '../../drivers/lsl/driver.js';
import { replayToLsl } from '../../src/cli/replay-lsl.js';
import { packageRoot } from '../../src/core/paths.js';
import { loopbackSettings } from '../support/liblsl-process.js';

test('whoever reads the signal alone gets it without a reader of the markers', async () => {
  const { config } = loopbackSettings();
  const texts: string[] = [];
  // A name of its own: another test plays the same session on this network.
  const session = join(mkdtempSync(join(tmpdir(), 'eegd-lsl-')), 'unmarked.edf');
  copyFileSync(join(packageRoot(), 'models', 'demo', 'session.edf'), session);
  const played = replayToLsl([session], {
    ...{ config, speed: 400, waitS: 60, delayS: 0 },
    onText: (text) => texts.push(text),
  });
  const stop = new AbortController();
  const first = new Promise<void>((resolve, reject) => {
    new LslDriver('lsl:?name=unmarked', { config }).open(stop.signal).subscribe({
      next: (event) => event.kind === 'chunk' && resolve(),
      error: reject,
    });
  });
  await first;
  stop.abort();
  expect(texts).toContain('nobody reads the markers');
  expect((await played).samples).toBeGreaterThan(70_000);
}, 60_000);
