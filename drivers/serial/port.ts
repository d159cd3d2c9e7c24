/**
 * The one file that imports `serialport`. A port is a pair of handlers for what comes in and three
 * methods for what goes out, so that everything above runs in tests without a device. The handlers
 * are given at opening because a lost device is only noticed while the port is being read.
 */
import { readSync, realpathSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { SerialPort } from 'serialport';
import { EegError } from '../../src/core/errors.js';

type BindingPort = Awaited<ReturnType<typeof SerialPort.binding.open>>;

export interface PortHandlers {
  /** Bytes as they come, of any length. The array may be kept by nobody after the call. */
  bytes(bytes: Uint8Array): void;
  /** The device went away. Never called for a `close` of our own. */
  closed(error: EegError): void;
}

export interface Port {
  readonly path: string;
  write(bytes: Uint8Array): Promise<void>;
  setBaudRate(baudRate: number): Promise<void>;
  /** Safe to call twice, and after the device has gone. */
  close(): Promise<void>;
}

/** Opens a port 8N1. Rejects with an `EegError` that names the cause and the mend. */
export type OpenPort = (path: string, baudRate: number, handlers: PortHandlers) => Promise<Port>;

/** Real paths of the ports this process holds: discovery must not disturb them. */
const openPaths = new Set<string>();

export function isOpenHere(path: string): boolean {
  return openPaths.has(realPath(path));
}

export const openSerialPort: OpenPort = async (path, baudRate, handlers) => {
  const binding: BindingPort = await SerialPort.binding
    .open({ path, baudRate })
    .catch(async (error: unknown) => {
      throw await openingError(path, error);
    });
  const real = realPath(path);
  openPaths.add(real);
  let open = true;
  let writing: Promise<void> = Promise.resolve();
  const close = async () => {
    if (!open) return;
    open = false;
    openPaths.delete(real);
    await binding.close().catch(() => undefined);
  };
  void readAll(binding, handlers).catch(async (error: unknown) => {
    if (!open) return;
    await close();
    handlers.closed(lostError(path, error));
  });
  return {
    path,
    write(bytes) {
      // The binding takes one write at a time.
      writing = writing
        .catch(() => undefined)
        .then(() => binding.write(Buffer.from(bytes)))
        .catch((error: unknown) => {
          throw lostError(path, error);
        });
      return writing;
    },
    setBaudRate: (rate) =>
      binding.update({ baudRate: rate }).catch((error: unknown) => {
        // A pty has no line speed to set on some kernels: the bytes pass all the same.
        if (!/ioctl|ENOTTY/i.test(messageOf(error))) throw lostError(path, error);
      }),
    close,
  };
};

interface Pollable {
  readonly fd: number | null;
  readonly poller: { once(event: 'readable', callback: (error: Error | null) => void): unknown };
}

/**
 * Reads until the port is gone, which it always throws. Not by the binding's own `read` where
 * there is a file descriptor: a tty that was hung up reads zero bytes, and serialport 13 then
 * reads again without end, at full load, and never tells that the device went away.
 */
async function readAll(binding: BindingPort, handlers: PortHandlers): Promise<never> {
  const buffer = Buffer.alloc(1 << 16);
  const unix = 'poller' in binding ? (binding as unknown as Pollable) : undefined;
  for (;;) {
    const count =
      unix === undefined
        ? (await binding.read(buffer, 0, buffer.length)).bytesRead
        : await readUnix(unix, buffer);
    if (count === 0) throw new Error('end of file');
    handlers.bytes(buffer.subarray(0, count));
  }
}

async function readUnix(port: Pollable, buffer: Buffer): Promise<number> {
  for (;;) {
    await new Promise<void>((resolve, reject) => {
      port.poller.once('readable', (error) => (error ? reject(error) : resolve()));
    });
    if (port.fd === null) throw new Error('closed');
    try {
      // The descriptor is non-blocking and has bytes: this takes microseconds.
      return readSync(port.fd, buffer);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (!['EAGAIN', 'EINTR'].includes(code)) throw error;
    }
  }
}

/** The ports the system lists, for systems without sysfs. */
export async function listSerialPorts(): Promise<
  { path: string; vendorId?: string; productId?: string; serial?: string }[]
> {
  const ports = await SerialPort.list();
  return ports.map((port) => ({
    path: port.path,
    ...(port.vendorId === undefined ? {} : { vendorId: port.vendorId.toLowerCase() }),
    ...(port.productId === undefined ? {} : { productId: port.productId.toLowerCase() }),
    ...(port.serialNumber === undefined ? {} : { serial: port.serialNumber }),
  }));
}

function lostError(path: string, cause: unknown): EegError {
  const why = cause ? `: ${messageOf(cause)}` : '';
  return new EegError('EEG_DEVICE_UNAVAILABLE', `${path} was disconnected${why}`, {
    hint: 'check the cable; eegd connects again by itself',
    cause,
  });
}

/** What `serialport` says in words, as an error with a code. Exported for its test. */
export async function openingError(path: string, cause: unknown): Promise<EegError> {
  const message = messageOf(cause);
  if (/No such file|ENOENT|no such device|ENXIO|ENODEV/i.test(message)) {
    return new EegError('EEG_DEVICE_UNAVAILABLE', `there is no port ${path}`, {
      hint: 'plug the device in; eegd devices lists the ports there are',
      cause,
    });
  }
  if (/permission denied|EACCES|EPERM|access denied/i.test(message)) {
    const group = await groupOf(path);
    return new EegError('EEG_DEVICE_PERMISSION', `no permission to open ${path}`, {
      hint: `run: sudo usermod -aG ${group} $USER, then log in again`,
      cause,
    });
  }
  if (/lock|busy|temporarily unavailable|EBUSY|EAGAIN/i.test(message)) {
    return new EegError('EEG_DEVICE_BUSY', `${path} is in use by another program`, {
      hint: `close it (fuser ${path} names it), for instance the OpenBCI GUI or ModemManager`,
      cause,
    });
  }
  return new EegError('EEG_DEVICE_UNAVAILABLE', `${path} cannot be opened: ${message}`, { cause });
}

/** The group that may open the port: `dialout` on Debian, `uucp` on Arch. */
async function groupOf(path: string): Promise<string> {
  try {
    const gid = statSync(path).gid;
    const groups = await readFile('/etc/group', 'utf8');
    const line = groups.split('\n').find((entry) => entry.split(':')[2] === String(gid));
    const name = line?.split(':')[0];
    return name === undefined || name === 'root' ? 'dialout' : name;
  } catch {
    return 'dialout';
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
