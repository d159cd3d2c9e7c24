/**
 * Every bound of the server in one place. None is silent: what runs into one is answered with a
 * typed error or a close code, and counted at /metrics.
 */
export const limits = {
  /** Largest message a client may send, bytes; ws answers more with 1009. */
  payloadBytesMax: 65_536,
  /** Frames one message may be cut into. */
  fragmentsMax: 64,
  /** Network chunks kept while a message is incomplete. */
  bufferedChunksMax: 256,
  /** Bytes queued for one client before only the latest of each kind is kept. */
  queueBytesMax: 1_048_576,
  /** How long a client may stay above that before it is closed with 4408, ms. */
  slowMsMax: 3_000,
  /** How often a lagging client is looked at, ms. */
  drainMs: 100,
  /** Task events, markers and results kept for a client that lags. */
  backlogMax: 256,
  clientsMax: 500,
  clientsPerIpMax: 32,
  authMsMax: 5_000,
  /** Wrong tokens an address may send in `authWindowMs`, then its connects are refused (429). */
  authFailuresMax: 10,
  authWindowMs: 60_000,
  pingMs: 15_000,
  /** Messages a client may send: this many a second, after a burst. */
  messagesPerS: 50,
  messagesBurst: 100,
  subscriptionsMax: 64,
  /** Commands of one client that may be running at once. */
  commandsPendingMax: 16,
  /** Messages not understood before 1008. */
  strikesMax: 3,
  headersMsMax: 5_000,
  requestMsMax: 10_000,
  headerBytesMax: 8_192,
  httpConnectionsMax: 1_024,
  /** How long clients get to answer the close frame when the server stops, ms. */
  closeMsMax: 2_000,
  /** Predictions remembered for each stream and task: 17 hours of sleep epochs. */
  historyMax: 2_048,
  /** Task events and markers remembered for each stream. */
  historyEventsMax: 512,
  /** Streams and tasks remembered; the longest silent goes first. */
  historySeriesMax: 256,
  /** A stream whose last sample is older is not fresh (/readyz), s. */
  freshS: 5,
} as const;

/** Close codes of our own range (RFC 6455, 7.4.2). */
export const closeCodes = {
  goingAway: 1001,
  policy: 1008,
  unauthenticated: 4401,
  slow: 4408,
  rateLimited: 4429,
} as const;
