import type { Logger } from '../core/log.js';

/** A graceful stop may take this long; then the process ends anyway. */
const stopMsMax = 5000;

/** Resolves at the first SIGTERM or SIGINT; at the second the process ends at once. */
export function stopSignal(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = (signal: NodeJS.Signals) => {
      if (asked) process.exit(1);
      asked = true;
      log.info({ signal }, 'stopping');
      setTimeout(() => {
        log.error('the stop took too long');
        process.exit(1);
      }, stopMsMax).unref();
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
