/** Starts the foreign LSL peer (`liblsl-peer.ts`), and settings that keep both ends on 127.0.0.1. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type LslConfig, parseLslConfig } from '../../drivers/lsl/config.js';
import { forkProcess } from '../../src/core/spawn.js';
import { findLiblsl } from './liblsl-binding.js';
import type { PeerOutlet, PeerRequest } from './liblsl-peer.js';

export const hasLiblsl = findLiblsl() !== undefined;

export interface Loopback {
  readonly text: string;
  readonly config: LslConfig;
}

/** Ports of its own for each caller, so that tests that run at the same time do not meet. */
export function loopbackSettings(): Loopback {
  const base = 20_000 + Math.floor(Math.random() * 199) * 64;
  const text = [
    '[ports]',
    'IPv6=disable',
    `MulticastPort=${base}`,
    `BasePort=${base + 1}`,
    'PortRange=60',
    '[multicast]',
    'ResolveScope=machine',
    'Interfaces={127.0.0.1}',
    '[lab]',
    'KnownPeers={127.0.0.1}',
    '[log]',
    'level=-2',
  ].join('\n');
  return { text, config: parseLslConfig(text) };
}

/**
 * A library from a newer system needs that system's C library: where its loader lies beside it
 * (`sid-liblsl.sh`), node itself is started by that loader.
 */
function foreignLoader(path: string): { execPath?: string; execArgv?: string[] } {
  const folder = dirname(path);
  const loader = join(folder, 'ld-linux-x86-64.so.2');
  if (!process.env.EEGD_LIBLSL || !existsSync(loader)) return {};
  return { execPath: loader, execArgv: ['--library-path', folder, process.execPath] };
}

export interface Pulled<T> {
  readonly values: T;
  readonly stamps: Float64Array;
}

export class LiblslPeer {
  readonly process: ChildProcess;
  readonly #folder: string;
  #nextId = 1;
  readonly #waiting = new Map<number, (reply: { value?: unknown; error?: string }) => void>();

  private constructor(settings: Loopback) {
    this.#folder = mkdtempSync(join(tmpdir(), 'eegd-liblsl-'));
    writeFileSync(join(this.#folder, 'lsl_api.cfg'), settings.text);
    const url = new URL('./liblsl-peer.js', import.meta.url);
    this.process = forkProcess(url, [this.#folder], {
      ...foreignLoader(findLiblsl() ?? ''),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'ignore', 'ipc'],
    });
    this.process.on('message', (reply: { id: number; value?: unknown; error?: string }) => {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
    this.process.once('exit', () => {
      for (const one of this.#waiting.values()) one({ error: 'the peer has ended' });
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  static async start(settings: Loopback): Promise<LiblslPeer> {
    const peer = new LiblslPeer(settings);
    await new Promise<void>((resolve, reject) => {
      peer.#waiting.set(0, (reply) => (reply.error ? reject(new Error(reply.error)) : resolve()));
    });
    return peer;
  }

  call<T>(method: PeerRequest['method'], ...args: readonly unknown[]): Promise<T> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (reply) => {
        if (reply.error === undefined) resolve(reply.value as T);
        else reject(new Error(reply.error));
      });
      this.process.send({ id, method, args } as PeerRequest);
    });
  }

  makeOutlet(spec: PeerOutlet): Promise<number> {
    return this.call('makeOutlet', spec);
  }

  async close(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGCONT');
    this.process.kill('SIGKILL');
    await ended;
  }
}

/** Wait until `condition` holds; fails loudly when it never does. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 10_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
