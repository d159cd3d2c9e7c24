/** Real nats-server processes on loopback, alone or as a cluster, with what tests do to them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConsumerInfo,
  jetstreamManager,
  type PeerInfo,
  type StreamInfo,
} from '@nats-io/jetstream';
import { connect, nanos } from '@nats-io/transport-node';

/** Debian puts it where only root looks. */
export const natsProgram = [
  '/usr/sbin/nats-server',
  '/usr/local/bin/nats-server',
  '/usr/bin/nats-server',
].find((path) => existsSync(path));
export const hasNats =
  natsProgram !== undefined &&
  spawnSync(natsProgram, ['--version'], { stdio: 'ignore' }).status === 0;
if (!hasNats)
  console.warn('SKIPPED: tests of the cluster need nats-server (apt install nats-server)');

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Node {
  readonly name: string;
  readonly port: number;
  readonly config: string;
  process: ChildProcess | undefined;
}

export class NatsCluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'eegd-nats-'));
  readonly nodes: Node[] = [];
  readonly #more: string;

  /** `more` is added to each server's configuration: accounts, TLS. */
  private constructor(more: string) {
    this.#more = more;
  }

  static async start(size: number, more = ''): Promise<NatsCluster> {
    const cluster = new NatsCluster(more);
    const ports = await Promise.all(Array.from({ length: 2 * size }, freePort));
    const routes = ports.slice(size).map((port) => `nats-route://127.0.0.1:${port}`);
    for (let i = 0; i < size; i++) cluster.#define(`n${i + 1}`, ports[i] as number, routes, i);
    for (const node of cluster.nodes) cluster.#launch(node);
    return cluster;
  }

  /** For `servers` of a configuration. */
  get urls(): string[] {
    return this.nodes.map(({ port }) => `nats://127.0.0.1:${port}`);
  }

  /** Resolves when JetStream answers, with all nodes where there are several. */
  async ready(options: object = {}): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        const nats = await connect({ servers: this.urls, timeout: 1000, ...options });
        try {
          const manager = await jetstreamManager(nats, { timeout: 1000 });
          const name = `probe-${tries}`;
          const many = this.nodes.length;
          await manager.streams.add({ name, subjects: [name], num_replicas: many });
          await manager.streams.delete(name);
          return;
        } finally {
          await nats.close();
        }
      } catch (error) {
        if (tries > 150) throw error;
        await pause(100);
      }
    }
  }

  /** Name of the node that leads a stream. */
  async leaderOf(stream: string): Promise<string | undefined> {
    const nats = await connect({ servers: this.urls });
    try {
      const manager = await jetstreamManager(nats, { checkAPI: false });
      return (await manager.streams.info(stream)).cluster?.leader;
    } finally {
      await nats.close();
    }
  }

  /** Resolves when all copies of the streams, and of their consumers that are named, agree. */
  async settled(consumersOf: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const nats = await connect({ servers: this.urls });
    const isWhole = ({ cluster }: StreamInfo | ConsumerInfo) => {
      const { leader, replicas = [] } = cluster ?? {};
      // A copy that has just died is called current until it is missed.
      const isHere = ({ current, offline, active }: PeerInfo) =>
        current && !offline && active < nanos(1500);
      return leader && replicas.length === this.nodes.length - 1 && replicas.every(isHere);
    };
    try {
      const manager = await jetstreamManager(nats, { checkAPI: false, timeout: 1000 });
      const look = async ([name, consumers]: [string, readonly string[]]) => {
        const asked = consumers.map((each) => manager.consumers.info(name, each));
        return (await Promise.all([manager.streams.info(name), ...asked])).every(isWhole);
      };
      const all = Object.entries(consumersOf);
      await until(
        // A server just revived takes connections before it answers for JetStream.
        () =>
          Promise.all(all.map(look)).then(
            (seen) => seen.every(Boolean),
            () => false,
          ),
        'all copies of the streams to agree',
        60_000,
      );
    } finally {
      await nats.close();
    }
  }

  async kill(name: string): Promise<void> {
    const node = this.#node(name);
    const { process: child } = node;
    node.process = undefined;
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  revive(name: string): void {
    this.#launch(this.#node(name));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ name }) => this.kill(name)));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #define(name: string, port: number, routes: readonly string[], i: number): void {
    const config = join(this.folder, `${name}.conf`);
    const cluster =
      routes.length === 1
        ? ''
        : `cluster { name: test, listen: "127.0.0.1:${routes[i]?.split(':').at(-1)}",
           routes: [${routes.map((route) => `"${route}"`).join(', ')}] }`;
    writeFileSync(
      config,
      `server_name: ${name}\nlisten: "127.0.0.1:${port}"
       jetstream { store_dir: "${join(this.folder, name)}", max_memory_store: 512MB }
       ${cluster}\n${this.#more}\n`,
    );
    this.nodes.push({ name, port, config, process: undefined });
  }

  #launch(node: Node): void {
    node.process = spawn(natsProgram as string, ['-c', node.config], {
      stdio: process.env.NATS_LOG ? 'inherit' : 'ignore',
    });
  }

  #node(name: string): Node {
    const node = this.nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when it holds; rejects with `what` after so many ms. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  // A machine that does much else besides is slow.
  msMax = 60_000,
): Promise<void> {
  const endMs = Date.now() + msMax;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error(`waited ${msMax} ms: ${what}`);
    await pause(20);
  }
}
