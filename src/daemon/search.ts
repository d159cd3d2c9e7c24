/**
 * Finds headsets by itself: LSL streams of EEG as they appear, and serial ports whose USB ids say
 * what they most likely are. A port is asked once and then left alone until it was unplugged:
 * bytes sent again and again to a stranger's device help nobody.
 */
import type { DeviceListing } from '../core/daemon-api.js';
import { toEegError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { type Clock, systemClock } from '../core/time.js';

export interface SearchOptions {
  readonly everyS: number;
  devices(): Promise<readonly DeviceListing[]>;
  /** Rejects where nothing came. */
  connect(address: string): Promise<{ stream: string }>;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Files and test signals are named by the user, never found. */
const neverFound = new Set(['replay', 'synthetic']);

/** The outlets of a daemon (src/sinks/lsl-sink.ts) are what it made of a headset, not one. */
function mayBeFound({ driver, name }: DeviceListing): boolean {
  return !neverFound.has(driver) && !(driver === 'lsl' && name.startsWith('eegd '));
}

/** Searches at once and then every `everyS` until the returned function is called. */
export function searchStreams(options: SearchOptions): () => void {
  const { everyS, log, clock = systemClock } = options;
  const asked = new Set<string>();
  let stopped = false;
  let stop = () => {};

  const ask = async ({ address, driver }: DeviceListing): Promise<void> => {
    asked.add(address);
    try {
      const { stream } = await options.connect(address);
      log.info({ stream, address }, 'stream found and connected');
      // It reconnects by itself; once it was closed, it may be found again.
      if (driver === 'lsl') asked.delete(address);
    } catch (error) {
      log.warn({ address }, toEegError(error).line);
    }
  };

  const search = async (): Promise<void> => {
    try {
      const found = await options.devices();
      const here = new Set(found.map(({ address }) => address));
      for (const address of asked) if (!here.has(address)) asked.delete(address);
      for (const device of found)
        if (!device.connected && !asked.has(device.address) && mayBeFound(device)) void ask(device);
    } catch (error) {
      log.warn(toEegError(error).line);
    }
    if (!stopped) stop = clock.setTimeout(() => void search(), everyS * 1000);
  };
  void search();
  return () => {
    stopped = true;
    stop();
  };
}
