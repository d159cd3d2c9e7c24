/**
 * The little XML that XDF and LSL headers use: elements, text, attributes skipped, five entities
 * and character references. No DTD: a document that declares one is refused, so nothing expands.
 */

export interface XmlElement {
  readonly name: string;
  /** Text directly inside, joined and trimmed. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

const depthMax = 32;
const elementsMax = 100_000;

interface Open {
  name: string;
  text: string;
  children: XmlElement[];
}

/** The root element, or undefined where the text is not well-formed (or over the limits). */
export function parseXml(text: string): XmlElement | undefined {
  const stack: Open[] = [{ name: '', text: '', children: [] }];
  let position = 0;
  let elements = 0;
  while (position < text.length) {
    const top = stack.at(-1) as Open;
    const open = text.indexOf('<', position);
    top.text += decodeEntities(text.slice(position, open < 0 ? undefined : open));
    if (open < 0) break;
    const special = skipSpecial(text, open, top);
    if (special !== undefined) {
      if (special < 0) return undefined;
      position = special;
      continue;
    }
    const close = endOfTag(text, open);
    if (close < 0) return undefined;
    const tag = text.slice(open + 1, close);
    position = close + 1;
    if (tag.startsWith('/')) {
      if (stack.length < 2 || tag.slice(1).trim() !== top.name) return undefined;
      stack.pop();
      (stack.at(-1) as Open).children.push({ ...top, text: top.text.trim() });
      continue;
    }
    const name = /^[^\s/<>&"']+/.exec(tag)?.[0];
    if (name === undefined || ++elements > elementsMax || stack.length > depthMax) return undefined;
    if (tag.endsWith('/')) top.children.push({ name, text: '', children: [] });
    else stack.push({ name, text: '', children: [] });
  }
  const root = stack[0];
  if (stack.length !== 1 || root?.children.length !== 1 || root.text.trim() !== '')
    return undefined;
  return root.children[0];
}

/** Past a comment, CDATA section or processing instruction; -1 = not well-formed or a DTD. */
function skipSpecial(text: string, open: number, top: Open): number | undefined {
  const past = (end: string): number => {
    const at = text.indexOf(end, open);
    return at < 0 ? -1 : at + end.length;
  };
  if (text.startsWith('<?', open)) return past('?>');
  if (text.startsWith('<!--', open)) return past('-->');
  if (text.startsWith('<![CDATA[', open)) {
    const end = past(']]>');
    if (end > 0) top.text += text.slice(open + 9, end - 3);
    return end;
  }
  return text.startsWith('<!', open) ? -1 : undefined;
}

/** The `>` that ends a tag, quotes respected. */
function endOfTag(text: string, open: number): number {
  let quote = '';
  for (let i = open + 1; i < text.length; i++) {
    const c = text[i] as string;
    if (quote !== '') {
      if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if (c === '>') return i;
    else if (c === '<') return -1;
  }
  return -1;
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};

function decodeEntities(text: string): string {
  return text.replace(/&(#x[0-9a-f]{1,6}|#\d{1,7}|\w{1,8});/gi, (whole, name: string) => {
    if (!name.startsWith('#')) return entities[name] ?? whole;
    const code = Number(/^#x/i.test(name) ? `0x${name.slice(2)}` : name.slice(1));
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

export function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 has no place for them
  const clean = text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, ' ');
  return clean.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** The first element at a path such as `desc/channels`. */
export function at(element: XmlElement | undefined, path: string): XmlElement | undefined {
  let here = element;
  for (const name of path.split('/')) here = here?.children.find((child) => child.name === name);
  return here;
}

export function textAt(element: XmlElement | undefined, path: string): string {
  return at(element, path)?.text ?? '';
}
