/** What `eegd doctor` looks at on the network and in libraries: LSL, multicast, liblsl, engines. */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { LslConfig } from '../../drivers/lsl/config.js';
import { loadLslConfig } from '../../drivers/lsl/config.js';
import {
  closeUdp,
  familyOf,
  type Interface,
  isMulticast,
  listInterfaces,
  openUdp,
} from '../../drivers/lsl/network.js';
import { type CheckLine, fail, ok, warn } from './doctor-checks.js';

/** Settings of LSL; undefined where they cannot be read, and then multicast is not tried. */
export function checkLslSettings(load: () => LslConfig = loadLslConfig): {
  line: CheckLine;
  config?: LslConfig;
} {
  try {
    const config = load();
    const from = config.path ?? 'defaults (no lsl_api.cfg)';
    const last = config.basePort + config.portRange - 1;
    const detail = `${from}: session ${config.sessionId}, ports ${config.basePort}-${last}`;
    return { line: ok('lsl', detail), config };
  } catch (error) {
    const mend = 'correct the line, or remove the file';
    return { line: fail('lsl', (error as Error).message, mend) };
  }
}

const probeMs = 500;

/** Does a datagram to LSL's group, sent on each interface, come back? It never leaves the machine. */
export async function checkMulticast(config: LslConfig): Promise<CheckLine[]> {
  const interfaces = listInterfaces(config).filter((one) => one.family === 4);
  const group = config.addresses.find((one) => isMulticast(one) && familyOf(one) === 4);
  if (group === undefined)
    return [warn('multicast', 'lsl_api.cfg asks for none', 'other machines need [lab] KnownPeers')];
  if (interfaces.every((one) => one.isLoopback))
    return [
      warn('multicast', 'no network interface is up', 'connect one, or use this machine only'),
    ];
  const mend = 'allow UDP 16571-16604 and TCP 16572-16604, or set [lab] KnownPeers in lsl_api.cfg';
  return await Promise.all(
    interfaces
      .filter((one) => !one.isLoopback)
      .map(async (one) => {
        const fault = await probe(one, group);
        const name = `${one.name} (${one.address})`;
        if (fault === undefined) return ok('multicast', `${name} carries ${group}`);
        return warn('multicast', `${name}: ${fault}`, mend);
      }),
  );
}

/** Undefined = it came back; else why not. */
export async function probe(one: Interface, group: string): Promise<string | undefined> {
  const receiver = await openUdp({ family: 4, address: '0.0.0.0', port: 0 });
  const sender = await openUdp({ family: 4, address: one.address, port: 0 });
  try {
    receiver.addMembership(group, one.address);
    sender.setMulticastInterface(one.address);
    sender.setMulticastTTL(0);
    sender.setMulticastLoopback(true);
    const token = `eegd doctor ${process.pid} ${one.address}`;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(`nothing came back of ${group}`), probeMs);
      receiver.on('message', (message) => {
        if (message.toString() !== token) return;
        clearTimeout(timer);
        resolve(undefined);
      });
      sender.send(token, receiver.address().port, group, () => undefined);
    });
  } catch (error) {
    return `it has no multicast (${(error as Error).message})`;
  } finally {
    closeUdp(receiver);
    closeUdp(sender);
  }
}

const libraryFolders = [
  ...['/usr/lib', '/usr/local/lib', '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'],
  ...['/opt/homebrew/lib', '/opt/homebrew/opt/lsl/lib'],
];

/** liblsl is not needed; where it is installed its version helps to explain other programs. */
export async function checkLiblsl(folders: readonly string[] = libraryFolders): Promise<CheckLine> {
  const found = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .find((path) => /\/liblsl\.(so|dylib)[.0-9]*$/.test(path));
  if (found === undefined) return ok('liblsl', 'not installed, and not needed');
  try {
    const { default: koffi } = await import('koffi');
    const version = koffi.load(found).func('int lsl_library_version()')() as number;
    return ok('liblsl', `${(version / 100).toFixed(2)} at ${found} (eegd does not need it)`);
  } catch (error) {
    const detail = `${found} cannot be loaded: ${(error as Error).message.split('\n')[0]}`;
    return warn('liblsl', detail, 'install it again; eegd itself does not need it');
  }
}

export async function checkEngines(): Promise<CheckLine[]> {
  return [await checkOnnx(), checkTfjs()];
}

async function checkOnnx(): Promise<CheckLine> {
  try {
    const { listSupportedBackends } = await import('onnxruntime-node');
    const names = listSupportedBackends().map((one) => one.name);
    return ok('engine', `ONNX Runtime ${versionOf('onnxruntime-node')}: ${names.join(', ')}`);
  } catch (error) {
    const detail = `ONNX Runtime cannot be loaded: ${(error as Error).message.split('\n')[0]}`;
    return fail('engine', detail, 'install again: npm i onnxruntime-node');
  }
}

function checkTfjs(): CheckLine {
  const names = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node', '@tensorflow/tfjs'];
  const found = names.find((name) => versionOf(name) !== undefined);
  if (found === undefined) return ok('engine', 'TensorFlow.js is not installed, and not needed');
  return ok('engine', `TensorFlow.js ${versionOf(found)} (${found})`);
}

function versionOf(name: string): string | undefined {
  try {
    const require = createRequire(import.meta.url);
    return (require(`${name}/package.json`) as { version: string }).version;
  } catch {
    return undefined;
  }
}
