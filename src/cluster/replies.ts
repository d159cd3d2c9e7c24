/** Request and reply in JSON, with an error as the other side has it. */
import { EegError, type ErrorCode, errorTable, toEegError } from '../core/errors.js';
import type { Link } from './connection.js';

const replyMsMax = 25_000;

/** Undefined where it is no JSON. */
export function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8'));
  } catch {
    return undefined;
  }
}

export async function replyOf(perform: () => Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify({ result: (await perform()) ?? null });
  } catch (error) {
    const { code, message, hint } = toEegError(error);
    return JSON.stringify({ error: { code, message, hint } });
  }
}

/** Rejects with the other side's own error, or `EEG_CLUSTER_UNREACHABLE`. */
export async function ask<T>(
  link: Link,
  { who, subject, timeoutMs = replyMsMax }: { who: string; subject: string; timeoutMs?: number },
  asked: object,
): Promise<T> {
  let text: string;
  try {
    const options = { timeout: timeoutMs };
    text = (await link.nats.request(subject, JSON.stringify(asked), options)).string();
  } catch (cause) {
    throw new EegError('EEG_CLUSTER_UNREACHABLE', `${who} did not answer`, { cause });
  }
  const reply = JSON.parse(text) as {
    result: T;
    error?: { code: string; message: string; hint: string };
  };
  if (reply.error === undefined) return reply.result;
  const { code, message, hint } = reply.error;
  throw new EegError((code in errorTable ? code : 'EEG_INTERNAL') as ErrorCode, message, { hint });
}
