/**
 * What a frame of the page costs, by the browser's own trace: script, and style, layout and paint
 * on the main thread; and what rastering takes on the compositor's threads, which is the machine's
 * affair (a GPU's, where there is one).
 */
import type { BrowserContext, Page } from 'playwright-core';

export interface FrameCost {
  readonly frames: number;
  readonly framesPerS: number;
  /** Means of one frame, ms. */
  readonly scriptMs: number;
  readonly paintMs: number;
  readonly rasterMs: number;
  /** All tasks of the main thread. */
  readonly threadMs: number;
  /** Of the animation callbacks, ms. */
  readonly scriptMsP99: number;
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly dur?: number;
}

const paints = new Set([
  'UpdateLayoutTree',
  'Layout',
  'PrePaint',
  'Paint',
  'Layerize',
  'UpdateLayer',
  'Commit',
]);

export async function frameCost(
  browser: BrowserContext,
  page: Page,
  watchS: number,
): Promise<FrameCost> {
  const cdp = await browser.newCDPSession(page);
  const events: TraceEvent[] = [];
  cdp.on('Tracing.dataCollected', ({ value }) => {
    for (const event of value as unknown as TraceEvent[]) events.push(event);
  });
  const complete = new Promise((resolve) => cdp.once('Tracing.tracingComplete', resolve));
  await cdp.send('Performance.enable');
  const busy = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    const at = (name: string) => metrics.find((each) => each.name === name)?.value ?? 0;
    return { script: at('ScriptDuration'), task: at('TaskDuration') };
  };
  await cdp.send('Tracing.start', {
    traceConfig: {
      includedCategories: ['devtools.timeline', 'disabled-by-default-devtools.timeline'],
    },
    transferMode: 'ReportEvents',
  });
  const before = await busy();
  const startedMs = performance.now();
  await page.waitForTimeout(watchS * 1000);
  const elapsedS = (performance.now() - startedMs) / 1000;
  const after = await busy();
  await cdp.send('Tracing.end');
  await complete;
  const spans = events.filter(({ ph }) => ph === 'X');
  const animations = spans.filter(({ name }) => name === 'FireAnimationFrame');
  const frames = animations.length;
  const perFrameMs = (wanted: (name: string) => boolean) =>
    spans.reduce((sum, { name, dur = 0 }) => sum + (wanted(name) ? dur : 0), 0) / 1000 / frames;
  const sorted = animations.map(({ dur = 0 }) => dur / 1000).sort((a, b) => a - b);
  return {
    frames,
    framesPerS: frames / elapsedS,
    scriptMs: (1000 * (after.script - before.script)) / frames,
    paintMs: perFrameMs((name) => paints.has(name)),
    rasterMs: perFrameMs((name) => name === 'RasterTask'),
    threadMs: (1000 * (after.task - before.task)) / frames,
    scriptMsP99: sorted[Math.floor(0.99 * frames)] ?? Number.NaN,
  };
}
