/**
 * An engine on a device that may be lost, with a warm one on the CPU beside it: when the device
 * fails, what was in flight is computed again on the CPU, and so is everything from then on.
 */
import type { Engine, EngineInfo, TaskBatch, TaskResult, TrunkBatch } from './engine.js';
import type { WorkerEngine } from './worker-engine.js';

export class FallbackEngine implements Engine {
  readonly #device: WorkerEngine;
  readonly #cpu: Promise<Engine>;
  readonly #onDegraded: (reason: string) => void;
  #info: EngineInfo;
  #degraded = false;
  /** Once it is there. */
  #degradedTo: Engine | undefined;

  /** `cpu` may still be opening; the device serves meanwhile. */
  constructor(
    device: WorkerEngine,
    cpu: Promise<Engine>,
    onDegraded: (reason: string) => void = () => undefined,
  ) {
    this.#device = device;
    this.#cpu = cpu;
    this.#onDegraded = onDegraded;
    this.#info = device.info;
    // Whoever needs it awaits it.
    cpu.catch(() => undefined);
  }

  get info(): EngineInfo {
    return this.#info;
  }

  get parallel(): number {
    return this.#degradedTo?.parallel ?? 1;
  }

  trunk(batch: TrunkBatch): Promise<Float32Array> {
    return this.#run((engine) => engine.trunk(batch));
  }

  tasks(batch: TaskBatch): Promise<TaskResult> {
    return this.#run((engine) => engine.tasks(batch));
  }

  serve(): void {
    this.#device.serve();
    // Told once it is there; whoever needs it awaits it.
    this.#cpu.then(
      (cpu) => cpu.serve?.(),
      () => undefined,
    );
  }

  async close(): Promise<void> {
    await this.#device.close();
    await this.#cpu.then(
      (engine) => engine.close(),
      () => undefined,
    );
  }

  async #run<T>(compute: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.#degraded) return compute(await this.#cpu);
    try {
      return await compute(this.#device);
    } catch (error) {
      await this.#degrade(error instanceof Error ? error.message : String(error));
      return compute(await this.#cpu);
    }
  }

  /** A device that failed once is not trusted again: the CPU always answers. */
  async #degrade(reason: string): Promise<void> {
    if (this.#degraded) return;
    this.#degraded = true;
    const { engine } = this.#device.info;
    const degraded = `${engine} was lost (${reason}), the CPU goes on`;
    void this.#device.close();
    this.#degradedTo = await this.#cpu;
    this.#info = { ...this.#degradedTo.info, degraded };
    this.#onDegraded(degraded);
  }
}
