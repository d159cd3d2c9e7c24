/** What the system says of a port, as errors with a code and a mend. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openingError, openSerialPort } from '../../../drivers/serial/port.js';
import { isEegError } from '../../../src/core/errors.js';

const handlers = { bytes: () => undefined, closed: () => undefined };

describe('opening a port', () => {
  test('that is not there', async () => {
    const failed = openSerialPort('/dev/ttyUSB_none', 115200, handlers);
    await expect(failed).rejects.toSatisfy((error) => isEegError(error, 'EEG_DEVICE_UNAVAILABLE'));
    await expect(failed).rejects.toThrow(/there is no port \/dev\/ttyUSB_none/);
  });

  test('that is a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eegd-port-'));
    const path = join(folder, 'file');
    writeFileSync(path, 'x');
    const failed = openSerialPort(path, 115200, handlers);
    await expect(failed).rejects.toThrow(/cannot be opened/);
    rmSync(folder, { recursive: true });
  });

  // The words are those of the system's strerror, as serialport passes them on.
  test.each([
    ['Error: Permission denied, cannot open /dev/null', 'EEG_DEVICE_PERMISSION', /usermod -aG \w+/],
    ['Error Resource temporarily unavailable Cannot lock port', 'EEG_DEVICE_BUSY', /fuser/],
    ['Error: Device or resource busy, cannot open /dev/null', 'EEG_DEVICE_BUSY', /ModemManager/],
    ['Error: No such file or directory, cannot open /dev/null', 'EEG_DEVICE_UNAVAILABLE', /plug/],
    ['Error: Input/output error', 'EEG_DEVICE_UNAVAILABLE', /cable/],
  ])('%s', async (message, code, hint) => {
    const error = await openingError('/dev/null', new Error(message));
    expect(error.code).toBe(code);
    expect(error.hint).toMatch(hint);
    expect(error.line.split('\n').length).toBe(1);
  });
});
