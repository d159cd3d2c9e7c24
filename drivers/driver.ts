import type { Observable } from 'rxjs';
import type { DriverEvent } from '../src/core/stream.js';

/**
 * The contract of every driver. The constructor does nothing but keep its options: no port is
 * opened, no socket bound, no file read before `open`.
 */
export interface Driver {
  /**
   * Cold: subscribing connects, unsubscribing or `signal` closes everything. Faults are values
   * (`status`, `gap`, `discarded`), so the observable errors only where the stream can never
   * deliver again (an `EegError`); it completes after `ended`. A device driver reconnects by
   * itself and says so by `status`.
   */
  open(signal: AbortSignal): Observable<DriverEvent>;
}
