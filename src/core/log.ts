/** Structured logs by pino on stderr; stdout is for data. Tokens never reach a log line. */
import pino, { type Logger } from 'pino';

export type { Logger };

export function createLogger(level: string, pretty = process.stderr.isTTY): Logger {
  const options = { level, redact: { paths: ['token', '*.token', 'authorization'], remove: true } };
  if (!pretty) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino({
    ...options,
    transport: { target: 'pino-pretty', options: { destination: 2, ignore: 'pid,hostname' } },
  });
}

export const silentLogger: Logger = pino({ level: 'silent' });
