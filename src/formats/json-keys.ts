/** Finds keys that a JSON object holds twice; `JSON.parse` silently keeps the last. */

/** `text` must have been accepted by `JSON.parse`. Returns the first repeated key. */
export function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  // Strings (with the colon that makes one a key), and the brackets that nest.
  for (const [, quoted, colon, bracket] of text.matchAll(
    /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|([{}])/g,
  )) {
    if (bracket === '{') open.push(new Set());
    else if (bracket === '}') open.pop();
    else if (colon !== undefined && quoted !== undefined) {
      const key = JSON.parse(quoted) as string;
      const keys = open[open.length - 1];
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}
