/**
 * What systemd is told of a daemon while it lives: ready, one line of status whenever it changes,
 * food for the watchdog while data flow, and that it stops.
 */
import type { DaemonSnapshot } from '../core/daemon-api.js';
import type { Clock } from '../core/time.js';
import type { Daemon } from './daemon.js';
import type { Notifier } from './notify.js';

/** The daemon is ready now; call what is returned when it begins to stop. */
export function supervise(daemon: Daemon, notifier: Notifier, clock: Clock): () => void {
  let told = statusLine(daemon.snapshot());
  notifier.ready(told);
  const subscription = daemon.events$.subscribe(({ kind }) => {
    if (kind !== 'status' && kind !== 'checkpoint') return;
    const line = statusLine(daemon.snapshot());
    if (line !== told) notifier.status(line);
    told = line;
  });
  const stopWatch = notifier.watch(() => daemon.dataFlows(), clock);
  return () => {
    subscription.unsubscribe();
    stopWatch();
    notifier.stopping();
  };
}

function statusLine({ checkpoint, trained, streams }: DaemonSnapshot): string {
  const up = streams.filter(({ state }) => state === 'streaming').length;
  const model = trained ? checkpoint : `${checkpoint} (UNTRAINED)`;
  return `serving ${model}, ${up} of ${streams.length} streams streaming`;
}
