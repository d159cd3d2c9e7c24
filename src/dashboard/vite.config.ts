/** Builds the page into dist/dashboard: plain files, nothing fetched from elsewhere. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  build: {
    outDir: fileURLToPath(new URL('../../dist/dashboard', import.meta.url)),
    emptyOutDir: true,
    // The page's policy forbids data: URLs and inline scripts.
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
    // Only Node's client needs it; browsers bring their own.
    rolldownOptions: { external: ['ws'] },
  },
});
