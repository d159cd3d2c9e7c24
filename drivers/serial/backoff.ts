/** When to try again: 0.25 s doubling to 5 s, +-20 %, and at once when the port returns. */
import { access } from 'node:fs/promises';
import type { Clock } from '../../src/core/time.js';

export type Exists = (path: string) => Promise<boolean>;

export const pathExists: Exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

const firstMs = 250;
const jitter = 0.2;
/** How often a missing port is looked for; well within the 3 s in which a stream must return. */
const lookMs = 250;

export class Backoff {
  ceilingMs = 5000;
  readonly #world: { readonly clock: Clock; readonly exists: Exists; random(): number };
  readonly #path: string;
  readonly #signal: AbortSignal;
  #nextMs = firstMs;

  constructor(
    world: { readonly clock: Clock; readonly exists: Exists; random(): number },
    path: string,
    signal: AbortSignal,
  ) {
    this.#world = world;
    this.#path = path;
    this.#signal = signal;
  }

  reset(): void {
    this.#nextMs = firstMs;
  }

  async wait(): Promise<void> {
    const { clock, exists, random } = this.#world;
    const ms = Math.min(this.#nextMs, this.ceilingMs) * (1 - jitter + 2 * jitter * random());
    this.#nextMs = Math.min(2 * this.#nextMs, this.ceilingMs);
    const limit = clock.now() + ms / 1000;
    let there = await exists(this.#path);
    for (;;) {
      const left = (limit - clock.now()) * 1000;
      if (left <= 0 || this.#signal.aborted) return;
      await this.#sleep(there ? left : Math.min(left, lookMs));
      if (there) continue;
      there = await exists(this.#path);
      // It came back: try now. Its udev rules may need a moment, which the next try allows.
      if (there) {
        this.reset();
        return;
      }
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#world.clock.setTimeout(done, ms);
      this.#signal.addEventListener('abort', done, { once: true });
    });
  }
}
