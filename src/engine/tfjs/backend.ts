/**
 * Finds TensorFlow.js: `@tensorflow/tfjs-node-gpu` and `-node` are optional peers, because their
 * install downloads libtensorflow; plain `@tensorflow/tfjs` runs on WebAssembly or JavaScript.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { EegError } from '../../core/errors.js';

export type Tf = typeof import('@tensorflow/tfjs');

export const tfjsKinds = ['tfjs-node-gpu', 'tfjs-node', 'tfjs'] as const;
export type TfjsKind = (typeof tfjsKinds)[number];

const hints: Record<TfjsKind, string> = {
  'tfjs-node-gpu':
    'npm i @tensorflow/tfjs-node-gpu (Linux x64, Node 18 or 20, CUDA 11.8 and cuDNN 8.6), or choose --engine onnx',
  'tfjs-node': 'npm i @tensorflow/tfjs-node (downloads libtensorflow), or choose --engine onnx',
  tfjs: 'npm i @tensorflow/tfjs @tensorflow/tfjs-backend-wasm, or choose --engine onnx',
};

/** The module with its fastest backend set. Throws `EEG_ENGINE_UNAVAILABLE` saying what to install. */
export async function loadTf(kind: TfjsKind): Promise<Tf> {
  const name = `@tensorflow/${kind}`;
  let tf: Tf;
  try {
    const module = (await import(name)) as Tf & { default?: Tf };
    tf = module.default ?? module;
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0];
    throw new EegError('EEG_ENGINE_UNAVAILABLE', `expected the package ${name}, but: ${reason}`, {
      hint: hints[kind],
      cause,
    });
  }
  if (kind === 'tfjs') await chooseBackend(tf);
  await tf.ready();
  return tf;
}

/** WebAssembly where its package is there (8 times JavaScript), else JavaScript. */
async function chooseBackend(tf: Tf): Promise<void> {
  const wasm = await import('@tensorflow/tfjs-backend-wasm').catch(() => undefined);
  if (wasm === undefined) {
    await tf.setBackend('cpu');
    return;
  }
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(join(dirname(entry), '/'));
  await tf.setBackend('wasm');
}
