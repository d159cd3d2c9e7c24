/**
 * Every error a user can meet: one table, one class. A test holds that this table, docs/errors.md
 * and the wire protocol agree.
 */

interface ErrorKind {
  /**
   * sysexits(3): 64 usage, 65 data, 66 no input, 69 unavailable, 70 internal, 73 and 74 I/O,
   * 75 try again, 77 permission, 78 configuration.
   */
  readonly exitCode: number;
  readonly retryable: boolean;
  /** What to do next, when the thrower has nothing better. */
  readonly hint: string;
}

const kind = (exitCode: number, hint: string, retryable = false): ErrorKind => ({
  exitCode,
  retryable,
  hint,
});

export const errorTable = {
  EEG_CONFIG_INVALID: kind(78, 'correct the lines named and start again'),
  EEG_CONFIG_UNREADABLE: kind(78, 'check the path and its permissions'),
  EEG_USAGE: kind(64, 'see eegd --help'),
  EEG_FILE_NOT_FOUND: kind(66, 'check the path'),
  EEG_FILE_FORMAT: kind(65, 'the file is damaged or of another format; export it again'),
  EEG_FILE_EMPTY: kind(65, 'record again: the file holds no samples'),
  EEG_DATA_INVALID: kind(65, 'correct the data set or the recipe line named'),
  EEG_DATA_LEAKAGE: kind(65, 'put every subject and recording on one side only'),
  EEG_STREAM_FORMAT: kind(65, 'the stream cannot be used as it is; see the message'),
  EEG_STREAM_FORMAT_CHANGED: kind(65, 'connect it again as a new stream'),
  EEG_STREAM_UNKNOWN: kind(66, 'list the streams with eegd devices'),
  EEG_DEVICE_UNAVAILABLE: kind(69, 'check cable, power and radio, then run eegd doctor', true),
  EEG_DEVICE_BUSY: kind(69, 'close the other program that holds the port', true),
  EEG_DEVICE_PERMISSION: kind(77, 'add yourself to the dialout group and log in again'),
  EEG_DEVICE_PROTOCOL: kind(69, 'check the board type and its firmware'),
  EEG_LSL_LOST: kind(69, 'start the outlet again; eegd resumes by itself', true),
  EEG_LSL_AMBIGUOUS: kind(69, 'close all but one outlet, or select by source_id'),
  EEG_LSL_PROTOCOL: kind(69, 'update the program that makes the outlet'),
  EEG_MODEL_INVALID: kind(65, 'fetch the checkpoint again; it was not activated'),
  EEG_MODEL_NOT_FOUND: kind(66, 'list checkpoints with eegd checkpoints list'),
  EEG_MODEL_BUSY: kind(75, 'wait until the running swap has ended', true),
  EEG_ENGINE_UNAVAILABLE: kind(69, 'choose another engine or device; see eegd doctor'),
  EEG_ENGINE_FAILED: kind(70, 'the engine is restarted; report this if it repeats', true),
  EEG_TRAIN_DIVERGED: kind(70, 'lower the learning rate; the last good checkpoint was kept'),
  EEG_STORE_NO_SPACE: kind(74, 'free some disk space', true),
  EEG_STORE_FAILED: kind(74, 'check the disk and its permissions', true),
  EEG_WS_INVALID_MESSAGE: kind(65, 'see API.md for the messages of this version'),
  EEG_WS_UNKNOWN_COMMAND: kind(64, 'see API.md for the messages of this version'),
  EEG_WS_UNAUTHENTICATED: kind(77, 'send the token first'),
  EEG_WS_FORBIDDEN: kind(77, 'use a token of a wider scope'),
  EEG_WS_RATE_LIMITED: kind(75, 'send fewer messages', true),
  EEG_WS_LIMIT: kind(75, 'close what is not needed', true),
  EEG_WS_UNREACHABLE: kind(
    69,
    'where its certificate is your own, name it in NODE_EXTRA_CA_CERTS; else end that program',
  ),
  EEG_WS_BIND_REFUSED: kind(78, 'set a token file, or listen on 127.0.0.1'),
  EEG_CLUSTER_UNREACHABLE: kind(
    69,
    'check that nats-server runs with JetStream, and who may',
    true,
  ),
  EEG_CLUSTER_REFUSED: kind(75, 'see the log of the workers', true),
  EEG_ADAPT_STATE: kind(64, 'see eegd adapt status'),
  EEG_ADAPT_REFUSED: kind(65, 'collect more labelled trials'),
  EEG_INTERNAL: kind(70, 'this is a defect: please report it with the log'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorDetails {
  readonly hint?: string;
  /** Structured, free of secrets and of names of people. */
  readonly context?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** An error with a code of the table. `message` says what was expected and what came, in one line. */
export class EegError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'EegError';
    this.code = code;
    this.hint = details.hint ?? errorTable[code].hint;
    this.context = details.context ?? {};
  }

  get exitCode(): number {
    return errorTable[this.code].exitCode;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }

  /** The one line a user reads. */
  get line(): string {
    return `${this.code}: ${this.message} (${this.hint})`;
  }
}

export function isEegError(error: unknown, code?: ErrorCode): error is EegError {
  return error instanceof EegError && (code === undefined || error.code === code);
}

/** Narrow an unknown throw; what is no `EegError` is a defect. */
export function toEegError(error: unknown): EegError {
  if (error instanceof EegError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new EegError('EEG_INTERNAL', message, { cause: error });
}
