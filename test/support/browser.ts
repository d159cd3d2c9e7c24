/** Debian's Chromium, headless, with a fresh profile and no network but ours. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const hasChromium = existsSync(executablePath);

export async function openBrowser(
  width: number,
  height: number,
  options: { colorScheme?: 'light' | 'dark'; deviceScaleFactor?: number } = {},
): Promise<BrowserContext> {
  return chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), 'eegd-chromium-')), {
    executablePath,
    headless: true,
    viewport: { width, height },
    ...options,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** What the page must never do: throw, break its policy, or ask elsewhere. */
export function watchPage(page: Page, origin: () => string): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().replace(/^ws/, 'http').startsWith(origin())) faults.push(request.url());
  });
  return faults;
}
