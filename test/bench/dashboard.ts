/**
 * `npm run bench:dashboard`: what a frame of the page costs with 32 channels, all tasks and an
 * open seizure plot, in headless Chromium, drawn in software where there is no GPU. Last line with
 * `--json`: {framesPerS, scriptMs, scriptMsP99, paintMs, rasterMs, threadMs}.
 */
import { silentLogger } from '../../src/core/log.js';
import { startServer } from '../../src/server/server.js';
import { openBrowser } from '../support/browser.js';
import { builtPage } from '../support/built-page.js';
import { FakeDaemon } from '../support/fake-daemon.js';
import { FakeSession } from '../support/fake-session.js';
import { frameCost } from '../support/frame-cost.js';

const watchS = Number(process.env.BENCH_S ?? 10);
const daemon = new FakeDaemon();
const server = await startServer(
  daemon,
  { port: 0, dashboardDir: await builtPage() },
  silentLogger,
);
const session = new FakeSession(daemon);
session.pastNight(6);
for (let i = 0; i < 20 * 60; i++) session.step();
const timer = setInterval(() => session.step(), 50);
const browser = await openBrowser(1440, 1000);
const page = browser.pages()[0] ?? (await browser.newPage());
await page.goto(server.address);
await page.waitForTimeout(12_000);
const { frames, ...cost } = await frameCost(browser, page, watchS);
const ms = (value: number) => value.toFixed(2);
console.log(
  `${cost.framesPerS.toFixed(1)} frames/s; a frame: script ${ms(cost.scriptMs)} ms ` +
    `(p99 ${ms(cost.scriptMsP99)}), style, layout and paint ${ms(cost.paintMs)} ms, ` +
    `main thread ${ms(cost.threadMs)} ms, raster ${ms(cost.rasterMs)} ms`,
);
if (process.argv.includes('--json')) console.log(JSON.stringify(cost));
await browser.close();
clearInterval(timer);
await server.close();
process.exit(0);
