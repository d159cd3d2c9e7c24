/** `node --import tsx test/support/screenshot.ts FOLDER`: pictures of the page with a made-up session. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../src/core/log.js';
import { startServer } from '../../src/server/server.js';
import { openBrowser, watchPage } from './browser.js';
import { FakeDaemon } from './fake-daemon.js';
import { FakeSession } from './fake-session.js';

const folder = process.argv[2] ?? '.';
mkdirSync(folder, { recursive: true });
const daemon = new FakeDaemon();
const server = await startServer(daemon, { port: 0 }, silentLogger);
const session = new FakeSession(daemon);
session.pastNight(6);
for (let i = 0; i < 20 * 310; i++) session.step();
const timer = setInterval(() => session.step(), 50);
const frameTimes = `new Promise((resolve) => {
  const times = [];
  const take = (at) => (times.push(at) < 300 ? requestAnimationFrame(take) : resolve(times));
  requestAnimationFrame(take);
})`;
const shots = [
  { name: 'light', width: 1440, height: 1180, colorScheme: 'light' },
  { name: 'dark', width: 1440, height: 1180, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
] as const;
for (const { name, width, height, colorScheme } of shots) {
  if (name === 'phone') daemon.trained = false;
  const browser = await openBrowser(width, height, { colorScheme, deviceScaleFactor: 1.5 });
  const page = browser.pages()[0] ?? (await browser.newPage());
  const faults = watchPage(page, () => server.address);
  await page.goto(server.address);
  await page.waitForTimeout(12_000);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  const cdp = await browser.newCDPSession(page);
  await cdp.send('Performance.enable');
  const busyS = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    const at = (name: string) => metrics.find((each) => each.name === name)?.value ?? 0;
    return { script: at('ScriptDuration'), task: at('TaskDuration') };
  };
  const before = await busyS();
  const times = (await page.evaluate(frameTimes)) as number[];
  const after = await busyS();
  const gaps = times.slice(1).map((at, i) => at - (times[i] ?? at));
  const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
  const perFrameMs = (key: 'script' | 'task') =>
    ((1000 * (after[key] - before[key])) / gaps.length).toFixed(2);
  console.log(name, 'ms a frame:', perFrameMs('script'), 'script,', perFrameMs('task'), 'thread');
  console.log(
    name,
    `${(1000 / mean).toFixed(1)} frames/s, longest ${Math.max(...gaps)} ms`,
    faults,
  );
  await browser.close();
}
clearInterval(timer);
await server.close();
