/** The page in a real browser: driven by hand and keyboard, a swap made from it, nothing leaked. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, openBrowser, watchPage } from '../support/browser.js';
import { builtPage } from '../support/built-page.js';
import { fakePrediction, fakeStatus } from '../support/fake-daemon.js';
import { FakeSession } from '../support/fake-session.js';
import { type TestServer, testServer, tokenFile } from '../support/test-client.js';

if (!hasChromium) console.warn('SKIPPED: the dashboard tests need /usr/bin/chromium');

describe.skipIf(!hasChromium)('the dashboard', { timeout: 120_000 }, () => {
  let dashboardDir: string;
  let browser: BrowserContext;
  let page: Page;
  let host: TestServer;
  let session: FakeSession;
  let faults: string[];

  beforeAll(async () => {
    dashboardDir = await builtPage();
    browser = await openBrowser(1280, 1000);
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    host = await testServer({ dashboardDir });
    session = new FakeSession(host.daemon);
    session.pastNight(1);
    page = await browser.newPage();
    faults = watchPage(page, () => host.server.address);
  });
  afterEach(async () => {
    await page.close();
    await host.server.close();
    expect(faults, 'errors, policy breaks and foreign requests').toEqual([]);
  });

  /** Opens the page and runs the session until its first frame of signal is drawn. */
  async function open(): Promise<void> {
    await page.goto(host.server.address);
    await page.locator('.traces .labels li').first().waitFor();
    await page.getByRole('cell').first().waitFor();
    for (let i = 0; i < 60; i++) session.step();
    await page.locator('.traces .empty').waitFor({ state: 'hidden' });
  }

  /** What was asked of the daemon besides listing. */
  const changes = () =>
    host.daemon.calls
      .filter(({ name }) => name !== 'devices' && name !== 'adapt')
      .map(({ name, args }) => [name, ...args]);

  /** Each strip of the traces that shows: where it lies in the plot, and a sum of its pixels. */
  const strips = (): Promise<{ from: number; to: number; colors: number; sum: number }[]> =>
    page.evaluate(`(() => {
    const plot = document.querySelector('.strips').getBoundingClientRect();
    return [...document.querySelectorAll('.strips canvas')].flatMap((canvas) => {
      const box = canvas.getBoundingClientRect();
      const from = Math.max(0, box.left - plot.left);
      const to = Math.min(plot.width, box.right - plot.left);
      if (to - from < 4) return [];
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const pixels = new Uint32Array(data.buffer);
      const sum = pixels.reduce((all, pixel) => (31 * all + pixel) >>> 0, 0);
      return [{ from, to, colors: new Set(pixels).size, sum }];
    });
  })()`);
  const drawn = () =>
    expect.poll(async () => (await strips()).some(({ colors }) => colors > 8)).toBe(true);

  test('shows signal, quality, tasks, hypnogram, experts and devices', async () => {
    await open();
    await drawn();
    expect(await page.locator('.labels li').count()).toBe(32);
    expect(await page.locator('.labels li[data-state="flat"]').textContent()).toBe('T8flat');
    await page.getByText('1:00 h').waitFor();
    expect(await page.locator('.now article').count()).toBe(4);
    await page.locator('.now li.top', { hasText: 'Left' }).waitFor();
    expect(await page.locator('.routing td[aria-label]').count()).toBe(2 * 4 * 8);
    expect(await page.locator('.devices').textContent()).toContain('OpenBCI');
    expect(await page.locator('.untrained').isVisible()).toBe(false);
  });

  test('traces that move on cover the plot, and a paused picture can still be scaled', async () => {
    await open();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await page.locator('.traces output', { hasText: '2 s' }).waitFor();
    const timer = setInterval(() => session.step(), 50);
    await page.waitForTimeout(3_000);
    clearInterval(timer);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.waitForTimeout(200);
    const held = await strips();
    const width = await page.locator('.strips').evaluate((plot) => plot.clientWidth);
    const covered = held.reduce((sum, { from, to }) => sum + to - from, 0);
    expect(covered).toBeGreaterThan(width - 10);
    expect(held.every(({ colors }) => colors > 8)).toBe(true);
    for (let i = 0; i < 600; i++) session.step();
    await page.waitForTimeout(200);
    expect(await strips(), 'new signal leaves it as it is').toEqual(held);
    await page.getByRole('button', { name: 'Larger traces' }).click();
    await expect.poll(async () => (await strips())[3]?.sum).not.toBe(held[3]?.sum);
    expect((await strips()).every(({ colors }) => colors > 8)).toBe(true);
  });

  test('a swap and a roll-back made from it reach the daemon', async () => {
    await open();
    await page.getByRole('button', { name: 'Swap in base@2' }).click();
    await page.getByText('base@2 serves, base@1 is kept').waitFor();
    await page.locator('[data-checkpoint="base@2"] .tag.active').waitFor();
    await page.locator('.masthead', { hasText: 'base@2' }).waitFor();
    await page.getByRole('button', { name: 'Roll back' }).first().click();
    await page.locator('[data-checkpoint="base@1"] .tag.active').waitFor();
    expect(changes()).toEqual([['load', 'base@2', {}], ['activate', 'base@2'], ['rollback']]);
  });

  test('a refused swap says why, and the old one serves on', async () => {
    host.daemon.installed.push('bad@1');
    await open();
    host.daemon.installed.pop();
    await page.getByRole('button', { name: 'Swap in bad@1' }).click();
    await page.locator('.checkpoints [data-kind="failed"]', { hasText: 'no checkpoint' }).waitFor();
    await page.locator('[data-checkpoint="base@1"] .tag.active').waitFor();
  });

  test('connects and disconnects a device', async () => {
    await open();
    await page.getByRole('button', { name: 'Connect OpenBCI' }).click();
    await page.getByText('OpenBCI is connected as openbci_1').waitFor();
    host.daemon.emit(fakeStatus({ stream: 'openbci_1', name: 'OpenBCI' }));
    await page.getByRole('button', { name: 'Disconnect OpenBCI' }).click();
    await page.getByText('openbci_1 is disconnected').waitFor();
    expect(changes()).toEqual([
      ['connect', 'lsl:openbci_1'],
      ['disconnect', 'openbci_1'],
    ]);
  });

  test('a recording is started and stopped from it, or by others, and the log has it', async () => {
    await open();
    await page.getByRole('button', { name: 'Record ActiCap 32' }).click();
    await page.getByText('recording to r1').waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Stop recording ActiCap 32' }).click();
    await page.getByText('recorded 500 samples to r1').waitFor();
    await page.getByRole('button', { name: 'Record ActiCap 32' }).waitFor();
    expect(changes()).toEqual([
      ['startRecording', 's1', 'xdf'],
      ['stopRecording', 'r1'],
    ]);
    await host.daemon.startRecording('s1', 'edf');
    await page.getByRole('button', { name: 'Stop recording ActiCap 32' }).waitFor();
    const full = { code: 'EEG_STORE_NO_SPACE', detail: 'the disk is full' };
    const failed = { kind: 'recording', stream: 's1', id: 'r2', phase: 'failed' } as const;
    host.daemon.emit({ ...failed, samples: 7, ...full });
    await page.getByText('the recording failed: the disk is full').waitFor();
    await page.getByRole('button', { name: 'Record ActiCap 32' }).waitFor();
    expect(await page.locator('.log li').allTextContents()).toEqual([
      expect.stringContaining('r2 failed the disk is full'),
      expect.stringContaining('r2 started'),
      expect.stringContaining('r1 stopped'),
    ]);
  });

  test('untrained weights cannot be missed', async () => {
    await open();
    host.daemon.emit(fakePrediction({ trained: false }));
    const banner = page.getByRole('alert');
    await banner.waitFor();
    expect(await banner.textContent()).toContain('UNTRAINED');
    const box = await banner.boundingBox();
    expect(box?.width).toBe(1280);
  });

  test('a seizure shows while it lasts and in the log', async () => {
    await open();
    const event = {
      kind: 'event',
      stream: 's1',
      task: 'seizure',
      id: 9,
      label: 'seizure',
    } as const;
    host.daemon.emit({ ...event, phase: 'begin', stampS: 1, peak: 0.9 });
    await page.locator('.event.alarm', { hasText: 'Seizure now' }).waitFor();
    host.daemon.emit({ ...event, phase: 'end', stampS: 2, peak: 0.9 });
    await page.locator('.event:not(.alarm)', { hasText: '1 so far' }).waitFor();
    expect(await page.locator('.log li').allTextContents()).toEqual([
      expect.stringContaining('Seizure ends'),
      expect.stringContaining('Seizure begins'),
    ]);
  });

  test('names with markup stay text', async () => {
    const evil = '<img src=x onerror="document.title=1">';
    host.daemon.emit(fakeStatus({ name: evil, channels: [evil, 'Cz'] }));
    await page.goto(host.server.address);
    await page.locator('.labels', { hasText: evil }).waitFor();
    await page.locator('.devices', { hasText: evil }).waitFor();
    expect(await page.locator('main img').count()).toBe(0);
    expect(await page.title()).toBe('eegd');
  });

  test('the keyboard pauses, scales and reaches every control', async () => {
    await open();
    const scale = page.locator('.traces output').first();
    const before = await scale.textContent();
    await page.keyboard.press('ArrowUp');
    expect(await scale.textContent()).not.toBe(before);
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    const reached = new Set<string>();
    for (let i = 0; i < 30; i++) {
      await page.keyboard.press('Tab');
      reached.add(String(await page.evaluate('document.activeElement.textContent')));
    }
    for (const name of ['Resume', 'Swap in', 'Connect', 'Record', 'Start'])
      expect([...reached], name).toContain(name);
  });

  test('labels while teaching go to the daemon, by button and by key', async () => {
    await open();
    host.daemon.adapt = async (name, args) => {
      host.daemon.calls.push({ name: 'adapt', args: [name, args] });
      return { state: 'collecting', labels: { left: 3, rest: 2 }, progress: 0.25 };
    };
    await page.getByLabel('Task', { exact: true }).fill('fists');
    await page.getByLabel('Classes').fill('left, rest');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('button', { name: 'Left' }).click();
    await page.getByText('marked left').waitFor();
    await page.keyboard.press('Alt+2');
    await page.getByText('marked rest').waitFor();
    expect(await page.locator('.counts').textContent()).toBe('Left3Rest2');
    const adapt = host.daemon.calls.filter(({ name }) => name === 'adapt').map(({ args }) => args);
    expect(adapt.filter(([name]) => name !== 'status')).toEqual([
      ['start', { task: 'fists', classes: ['left', 'rest'], stream: 's1' }],
      ['label', { label: 'left', stream: 's1' }],
      ['label', { label: 'rest', stream: 's1' }],
    ]);
  });

  test('on a phone nothing is wider than the screen', async () => {
    await page.setViewportSize({ width: 360, height: 780 });
    await open();
    const width = await page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBeLessThanOrEqual(360);
  });

  test('asks for the token where the server does, and keeps it out of the address', async () => {
    await host.server.close();
    const secret = 'correct-horse-battery';
    host = await testServer({ dashboardDir, tokenFile: tokenFile(`${secret}\n`) });
    await page.goto(host.server.address);
    await page.getByLabel('Token').last().fill(secret);
    await page.getByRole('button', { name: 'Connect' }).last().click();
    await page.locator('[data-checkpoint="base@1"]').waitFor();
    expect(page.url()).not.toContain(secret);
  });
});
