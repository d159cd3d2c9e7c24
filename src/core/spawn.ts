import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Start a module of ours as a worker thread or a child process, from the build (`.js`) or, in
 * development and tests, from the source (`.ts`, through tsx). `url` is made by
 * `new URL('./worker.js', import.meta.url)`: always `.js`, as in an import.
 */
export function spawnWorker(url: URL, options: WorkerOptions = {}): Worker {
  if (!fromSource()) return new Worker(url, options);
  // A worker has no --import of its own before it starts, so a line of code registers tsx there.
  const code = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(sourceOf(url).href)}); });`;
  return new Worker(code, { ...options, eval: true });
}

export function forkProcess(
  url: URL,
  args: string[] = [],
  options: ForkOptions = {},
): ChildProcess {
  if (!fromSource()) return fork(fileURLToPath(url), args, options);
  const execArgv = [...(options.execArgv ?? []), '--import', 'tsx'];
  return fork(fileURLToPath(sourceOf(url)), args, { ...options, execArgv });
}

function fromSource(): boolean {
  return import.meta.url.endsWith('.ts');
}

function sourceOf(url: URL): URL {
  return new URL(url.href.replace(/\.js$/, '.ts'));
}
