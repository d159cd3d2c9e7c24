/** The token a command shows the daemon. */
import { readFileSync } from 'node:fs';
import { EegError } from '../core/errors.js';

/**
 * The first token of a file: one that holds nothing else, or the daemon's own token file. Throws
 * `EEG_FILE_NOT_FOUND`, and `EEG_USAGE` where the file has digests only.
 */
export function readToken(file: string): string {
  const lines = textOf(file).split('\n');
  for (const line of lines) {
    const words = line.trim().split(/\s+/);
    if (words.at(-1)?.startsWith('until=')) words.pop();
    const token = words.at(-1) ?? '';
    if (token !== '' && !line.trim().startsWith('#') && !token.startsWith('sha256:')) return token;
  }
  throw new EegError('EEG_USAGE', `--token-file: expected a token in ${file}, found none`, {
    hint: 'a digest opens nothing: give a file with the token itself',
  });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new EegError('EEG_FILE_NOT_FOUND', `token file ${file} cannot be read`, { cause });
  }
}
