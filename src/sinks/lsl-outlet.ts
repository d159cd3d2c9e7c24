/**
 * One LSL outlet that opens when it is first needed: what is pushed until then waits, bounded, and
 * an outlet that cannot be opened is told once and then left out.
 */
import { type LslConfig, Outlet, type OutletDescription } from '../../drivers/lsl/index.js';

export type LslValues = readonly string[] | Float32Array;

export interface OutletPort {
  pushChunk(values: LslValues, stamps: ArrayLike<number>): void;
  close(): void;
}

export type OpenOutlet = (description: OutletDescription) => Promise<OutletPort>;

export function lslOpener(config?: LslConfig): OpenOutlet {
  return (description) => Outlet.open(description, config === undefined ? {} : { config });
}

/** Chunks that wait for the outlet to open. */
const waitingMax = 256;

export class LazyOutlet {
  readonly description: OutletDescription;
  #port: OutletPort | undefined;
  #waiting: [LslValues, ArrayLike<number>][] = [];
  #closed = false;

  constructor(
    description: OutletDescription,
    open: OpenOutlet,
    onError: (error: unknown, description: OutletDescription) => void,
  ) {
    this.description = description;
    open(description).then(
      (port) => this.#opened(port),
      (error: unknown) => {
        this.close();
        onError(error, description);
      },
    );
  }

  push(values: LslValues, stamps: ArrayLike<number>): void {
    if (this.#port !== undefined) this.#port.pushChunk(values, stamps);
    else if (!this.#closed) {
      this.#waiting.push([values, stamps]);
      if (this.#waiting.length > waitingMax) this.#waiting.shift();
    }
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#port?.close();
    this.#port = undefined;
  }

  #opened(port: OutletPort): void {
    if (this.#closed) {
      port.close();
      return;
    }
    this.#port = port;
    for (const [values, stamps] of this.#waiting.splice(0)) port.pushChunk(values, stamps);
  }
}
