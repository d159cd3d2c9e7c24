/**
 * `node --import tsx test/support/screenshot.ts FOLDER [URL]`: pictures of the page, light, dark and
 * on a phone, with its cost of a frame. Without a URL: of a made-up session.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { silentLogger } from '../../src/core/log.js';
import { startServer } from '../../src/server/server.js';
import { openBrowser, watchPage } from './browser.js';
import { FakeDaemon } from './fake-daemon.js';
import { FakeSession } from './fake-session.js';

const [folder = '.', url] = process.argv.slice(2);
const watchedMs = Number(process.env.WATCHED_MS ?? 14_000);
const shots = [
  { name: 'light', width: 1440, height: 1000, colorScheme: 'light' },
  { name: 'dark', width: 1440, height: 1000, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
] as const;
const frameTimes = `new Promise((resolve) => {
  const times = [];
  const take = (at) => (times.push(at) < 60 ? requestAnimationFrame(take) : resolve(times));
  requestAnimationFrame(take);
})`;

mkdirSync(folder, { recursive: true });
const made = url === undefined ? await madeUp() : undefined;
const address = url ?? made?.address ?? '';
const only = process.env.SHOTS?.split(',');
for (const { name, width, height, colorScheme } of shots) {
  if (only?.includes(name) === false) continue;
  const browser = await openBrowser(width, height, { colorScheme, deviceScaleFactor: 1.5 });
  const page = browser.pages()[0] ?? (await browser.newPage());
  const faults = watchPage(page, () => new URL(address).origin);
  await page.goto(address);
  await page.waitForTimeout(watchedMs);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  console.log(name, await cost(browser, page), faults);
  await browser.close();
}
await made?.close();

async function madeUp() {
  const daemon = new FakeDaemon();
  const server = await startServer(daemon, { port: 0 }, silentLogger);
  const session = new FakeSession(daemon);
  session.pastNight(6);
  for (let i = 0; i < 20 * 310; i++) session.step();
  const timer = setInterval(() => session.step(), 50);
  const close = async () => {
    clearInterval(timer);
    await server.close();
  };
  return { address: server.address, close };
}

async function cost(browser: BrowserContext, page: Page): Promise<string> {
  const cdp = await browser.newCDPSession(page);
  await cdp.send('Performance.enable');
  const busy = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    const at = (name: string) => metrics.find((each) => each.name === name)?.value ?? 0;
    return { script: at('ScriptDuration'), task: at('TaskDuration') };
  };
  const before = await busy();
  const times = (await page.evaluate(frameTimes)) as number[];
  const after = await busy();
  const frames = times.length - 1;
  const rateHz = (1000 * frames) / ((times.at(-1) ?? 0) - (times[0] ?? 0));
  const ms = (key: 'script' | 'task') => ((1000 * (after[key] - before[key])) / frames).toFixed(2);
  return `${rateHz.toFixed(1)} frames/s; a frame: script ${ms('script')} ms, thread ${ms('task')} ms`;
}
