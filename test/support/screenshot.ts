/**
 * `node --import tsx test/support/screenshot.ts FOLDER [URL]`: pictures of the page, light, dark and
 * on a phone, with its cost of a frame. Without a URL: of a made-up session.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../src/core/log.js';
import { startServer } from '../../src/server/server.js';
import { openBrowser, watchPage } from './browser.js';
import { FakeDaemon } from './fake-daemon.js';
import { FakeSession } from './fake-session.js';
import { frameCost } from './frame-cost.js';

const [folder = '.', url] = process.argv.slice(2);
const watchedMs = Number(process.env.WATCHED_MS ?? 14_000);
const shots = [
  { name: 'light', width: 1440, height: 1000, colorScheme: 'light' },
  { name: 'dark', width: 1440, height: 1000, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
] as const;

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
  console.log(name, await frameCost(browser, page, 3), faults);
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
