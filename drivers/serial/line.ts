/** A port opened for a dialog of limited length: probing, measuring. The stream has `session.ts`. */
import type { EegError } from '../../src/core/errors.js';
import { Dialog } from './dialog.js';
import type { Family, SerialWorld } from './session.js';

export interface Line {
  readonly dialog: Dialog;
  /** From now on bytes go here; `undefined` gives them back to the dialog. */
  divert(to: ((bytes: Uint8Array) => void) | undefined): void;
  close(): Promise<void>;
}

export async function openLine(path: string, family: Family, world: SerialWorld): Promise<Line> {
  const stop = new AbortController();
  const early: Uint8Array[] = [];
  let diverted: ((bytes: Uint8Array) => void) | undefined;
  let dialog: Dialog | undefined;
  let gone: EegError | undefined;
  const port = await world.open(path, family.baudRate, {
    bytes(bytes) {
      if (diverted !== undefined) diverted(bytes);
      else if (dialog !== undefined) dialog.receive(bytes);
      else early.push(new Uint8Array(bytes));
    },
    closed(error) {
      gone = error;
      dialog?.fail(error);
    },
  });
  dialog = new Dialog(port, world.clock, stop.signal);
  for (const bytes of early) dialog.receive(bytes);
  if (gone !== undefined) dialog.fail(gone);
  return {
    dialog,
    divert(to) {
      diverted = to;
    },
    async close() {
      stop.abort();
      if (family.stop !== undefined) {
        await port.write(Buffer.from(family.stop, 'latin1')).catch(() => undefined);
      }
      await port.close();
    },
  };
}
