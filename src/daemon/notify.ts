/**
 * Tells systemd how the service is doing: sd_notify(3) of libsystemd through koffi, so that nothing
 * is compiled. Without NOTIFY_SOCKET, or without the library, every call does nothing.
 */
import koffi from 'koffi';
import type { Logger } from '../core/log.js';
import type { Clock } from '../core/time.js';

/** The event loop may lag this much before the watchdog is left to bite, ms. */
const loopLagMsMax = 1_000;

export interface Notifier {
  /** False: nobody listens. */
  readonly active: boolean;
  ready(status: string): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  stopping(): void;
  /**
   * Feed the watchdog at a third of its period while `dataFlows()` holds and the event loop keeps
   * up. `dataFlows` is true where no stream is expected, the last window is recent, or a
   * reconnect is under way. Returns how to stop; does nothing where the unit has no watchdog.
   */
  watch(dataFlows: () => boolean, clock: Clock): () => void;
}

/** sd_notify: negative = an errno. */
export type SdNotify = (text: string) => number;

export function createNotifier(
  log: Logger,
  env: NodeJS.ProcessEnv = process.env,
  load: (log: Logger) => SdNotify | undefined = loadSdNotify,
): Notifier {
  const send = env.NOTIFY_SOCKET === undefined ? undefined : load(log);
  const say = (text: string) => {
    const sent = send?.(text) ?? 0;
    if (sent < 0) log.warn({ errno: -sent }, 'sd_notify failed');
  };
  return {
    active: send !== undefined,
    ready: (status) => say(`READY=1\nSTATUS=${oneLine(status)}`),
    status: (text) => say(`STATUS=${oneLine(text)}`),
    stopping: () => say('STOPPING=1'),
    watch(dataFlows, clock) {
      const periodMs = send === undefined ? undefined : watchdogMs(env);
      if (periodMs === undefined) return () => {};
      return feed(() => say('WATCHDOG=1'), periodMs / 3, dataFlows, clock, log);
    },
  };
}

function feed(
  say: () => void,
  everyMs: number,
  dataFlows: () => boolean,
  clock: Clock,
  log: Logger,
): () => void {
  let stopTimer = () => {};
  let fed = true;
  const next = () => {
    const dueS = clock.now() + everyMs / 1000;
    stopTimer = clock.setTimeout(() => {
      const lagMs = (clock.now() - dueS) * 1000;
      const well = lagMs < loopLagMsMax && dataFlows();
      if (well) say();
      else if (fed) log.error({ lagMs: Math.round(lagMs) }, 'data do not flow: watchdog not fed');
      fed = well;
      next();
    }, everyMs);
  };
  say();
  next();
  return () => stopTimer();
}

/** The unit's WatchdogSec, where it is meant for this process; see sd_watchdog_enabled(3). */
function watchdogMs(env: NodeJS.ProcessEnv): number | undefined {
  const usec = Number(env.WATCHDOG_USEC);
  const pid = env.WATCHDOG_PID;
  if (!(usec > 0) || (pid !== undefined && Number(pid) !== process.pid)) return undefined;
  return usec / 1000;
}

function loadSdNotify(log: Logger): SdNotify | undefined {
  try {
    const library = koffi.load('libsystemd.so.0');
    const sdNotify = library.func('int sd_notify(int unset_environment, const char *state)');
    return (text) => sdNotify(0, text) as number;
  } catch (error) {
    log.warn({ err: error }, 'NOTIFY_SOCKET is set but libsystemd.so.0 cannot be loaded');
    return undefined;
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 500);
}
