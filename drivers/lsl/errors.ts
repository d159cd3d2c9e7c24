/** What can go wrong in the LSL library, as one class with a code. */

export type LslErrorCode =
  /** `lsl_api.cfg` holds something that cannot be meant. */
  | 'config'
  /** Stream metadata that is no XML, is hostile, or breaks a limit. */
  | 'metadata'
  /** A query that is outside the XPath subset. */
  | 'query'
  /** The peer does not speak LSL 1.10, or not as agreed. */
  | 'protocol'
  /** The connection or the outlet is gone. */
  | 'lost'
  /** Nothing answered in time. */
  | 'timeout'
  /** Several outlets fit, and nothing says which is meant. */
  | 'ambiguous'
  /** The outlet came back with another format, rate or number of channels. */
  | 'format_changed'
  /** The caller gave something that does not fit the stream. */
  | 'usage';

/** `message` says in one line what was expected and what came. */
export class LslError extends Error {
  readonly code: LslErrorCode;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(
    code: LslErrorCode,
    message: string,
    details: { context?: Readonly<Record<string, unknown>>; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'LslError';
    this.code = code;
    this.context = details.context ?? {};
  }
}

export function isLslError(error: unknown, code?: LslErrorCode): error is LslError {
  return error instanceof LslError && (code === undefined || error.code === code);
}
