/** Guided calibration in a real browser, its time run forward by the test. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EegError } from '../../src/core/errors.js';
import { hasChromium, openBrowser, watchPage } from '../support/browser.js';
import { builtPage } from '../support/built-page.js';
import { FakeSession } from '../support/fake-session.js';
import { type TestServer, testServer } from '../support/test-client.js';

if (!hasChromium) console.warn('SKIPPED: the dashboard tests need /usr/bin/chromium');

describe.skipIf(!hasChromium)('the guide', { timeout: 120_000 }, () => {
  let dashboardDir: string;
  let browser: BrowserContext;
  let page: Page;
  let host: TestServer;
  let faults: string[];
  const marked: Readonly<Record<string, unknown>>[] = [];
  let failure: EegError | undefined;

  beforeAll(async () => {
    dashboardDir = await builtPage();
    browser = await openBrowser(1280, 1000);
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    marked.length = 0;
    failure = undefined;
    host = await testServer({ dashboardDir });
    host.daemon.adapt = async (name, args) => {
      if (name === 'label') {
        if (failure !== undefined) throw failure;
        marked.push(args);
      }
      const count = (label: string) => marked.filter((one) => one.label === label).length;
      const labels = { left: count('left'), right: count('right') };
      const needed = { left: Math.max(0, 2 - labels.left), right: Math.max(0, 2 - labels.right) };
      return { state: 'collecting', classes: ['left', 'right'], labels, needed };
    };
    page = await browser.newPage();
    faults = watchPage(page, () => host.server.address);
    await page.clock.install();
    await page.goto(host.server.address);
    new FakeSession(host.daemon).step();
    await page.getByRole('button', { name: 'Guide me' }).waitFor();
    // From here on only the test moves the page's time.
    await page.clock.pauseAt(await page.evaluate<number>('Date.now() + 1000'));
    await page.getByRole('button', { name: 'Guide me' }).click();
  });
  afterEach(async () => {
    await page.close();
    await host.server.close();
    expect(faults, 'errors, policy breaks and foreign requests').toEqual([]);
  });

  const phase = () => dialog().getAttribute('data-phase');
  const dialog = () => page.getByRole('dialog', { name: 'Guided calibration' });

  test('cues, marks what begins, lets rest, and is balanced after each block', async () => {
    await dialog().getByText('still needed: Left 2, Right 2').waitFor();
    for (let trial = 1; trial <= 4; trial++) {
      await dialog().getByText('Get ready').waitFor();
      const cued = (await dialog().locator('.what').textContent())?.toLowerCase();
      expect(marked.length).toBe(trial - 1);
      await page.clock.runFor(1600);
      await dialog().getByText('Now', { exact: true }).waitFor();
      await expect.poll(() => marked.length).toBe(trial);
      expect(marked.at(-1)).toEqual({ label: cued, durationS: 4 });
      await page.clock.runFor(4000);
      await dialog().getByText('Rest').waitFor();
      for (let i = 0; i < 40 && (await phase()) === 'rest'; i++) await page.clock.runFor(100);
    }
    expect(marked.map(({ label }) => label).sort()).toEqual(['left', 'left', 'right', 'right']);
    await dialog().getByText('enough').waitFor();
    await dialog().getByRole('button', { name: 'Stop' }).click();
    await page.getByText('the guide was stopped; labels are kept').waitFor();
    await page.clock.runFor(30_000);
    expect(marked.length).toBe(4);
  });

  test('ends where a label is refused, and says why', async () => {
    failure = new EegError('EEG_ADAPT_STATE', 'no task is being taught');
    await page.clock.runFor(1600);
    await dialog().waitFor({ state: 'hidden' });
    await page.locator('.adaptation', { hasText: 'no task is being taught' }).waitFor();
  });

  test('is left by the Escape key', async () => {
    await page.keyboard.press('Escape');
    await dialog().waitFor({ state: 'hidden' });
    await page.clock.runFor(10_000);
    expect(marked).toEqual([]);
  });
});
