/** The bundled recordings as streams, in a loop and at real time. */
import { join } from 'node:path';
import type { StreamConfig } from '../config/schema.js';
import { packageRoot } from '../core/paths.js';

export function demoStreams(): StreamConfig[] {
  return ['imagery.edf', 'arithmetic.edf'].map((name) => {
    const file = join(packageRoot(), 'models', 'demo', name);
    return { address: `replay:${file}?loop=1`, mainsHz: 'auto' };
  });
}
