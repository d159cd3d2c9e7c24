/** The daemon's events as LSL streams on the network, as the configuration asks. */
import type { LslConfig } from '../../drivers/lsl/index.js';
import type { LslOutConfig } from '../config/schema.js';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { lslSink } from '../sinks/lsl-sink.js';
import type { Daemon } from './daemon.js';

/**
 * Opens outlets as events need them; `lslConfig` is that of liblsl's `lsl_api.cfg` where absent.
 * Call what is returned after the daemon was closed, so that its last events go out.
 */
export function openLslOut(
  daemon: Daemon,
  { predictions, events, signal }: LslOutConfig,
  log: Logger,
  lslConfig?: LslConfig,
): () => void {
  if (!predictions && !events && signal.length === 0) return () => undefined;
  const subscription = lslSink(daemon.events$, {
    tasks: () => daemon.snapshot().tasks,
    predictions: predictions ? 'regular' : 'none',
    events,
    signals: signal.includes('*') ? 'all' : signal,
    ...(lslConfig === undefined ? {} : { config: lslConfig }),
    onError: (error, { name }) => log.error({ outlet: name }, toEegError(error).line),
  });
  return () => subscription.unsubscribe();
}
