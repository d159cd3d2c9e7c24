/** What all serial families share above the session: the `Driver` made of an address and a family. */
import type { Observable } from 'rxjs';
import type { ChannelInfo, DriverEvent } from '../../src/core/stream.js';
import type { Driver } from '../driver.js';
import { parseSerialAddress, type SerialAddress } from './address.js';
import { type Family, type SerialWorld, serialStream, serialWorld } from './session.js';

export interface SerialDriverSetup {
  readonly address: string;
  /** Options of the family's addresses. */
  readonly known: readonly string[];
  /** What of the world is replaced. */
  readonly world: Partial<SerialWorld>;
}

export class SerialDriver implements Driver {
  readonly #address: SerialAddress;
  readonly #family: () => Family;
  readonly #world: SerialWorld;

  /** `make` is tried at once, so that a wrong option is told before anything is opened. */
  constructor(setup: SerialDriverSetup, make: (options: SerialAddress['options']) => Family) {
    const address = parseSerialAddress(setup.address, setup.known);
    make(address.options);
    this.#address = address;
    this.#family = () => make(address.options);
    this.#world = { ...serialWorld, ...setup.world };
  }

  open(signal: AbortSignal): Observable<DriverEvent> {
    const family = this.#family();
    return serialStream({ address: this.#address, family, world: this.#world }, signal);
  }
}

/** Labels of an amplifier whose electrodes the user places: `EEG 1`, `EEG 2`, ... */
export function plainLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `EEG ${i + 1}`);
}

export function eegChannels(labels: readonly string[], fullScale: number): ChannelInfo[] {
  return labels.map((label) => ({ label, kind: 'eeg', unit: 'uV', fullScale }));
}
