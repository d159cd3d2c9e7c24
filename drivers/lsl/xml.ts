/**
 * A small strict XML reader and writer for stream metadata. It reads elements, text, CDATA,
 * comments and the five entities of XML 1.0; attributes are checked and dropped, LSL has none.
 * What a hostile sender could use is refused: document types (and with them entities of one's
 * own), more than 256 KiB, more than 32 levels, more than 32,768 elements, control characters.
 */
import { LslError } from './errors.js';

export interface XmlElement {
  readonly name: string;
  /** Character data of this element, not of its children, trimmed where it has children. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

export const xmlLimits = { bytes: 256 * 1024, depth: 32, elements: 32_768 } as const;

export function element(
  name: string,
  content: string | number | readonly XmlElement[] = '',
): XmlElement {
  return typeof content === 'object'
    ? { name, text: '', children: content }
    : { name, text: String(content), children: [] };
}

export function child(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent?.children.find((one) => one.name === name);
}

/** Text of the child named so, or ''. */
export function childText(parent: XmlElement | undefined, name: string): string {
  return child(parent, name)?.text ?? '';
}

/** Throws `LslError` (`metadata`) with the offset at fault. */
export function parseXml(source: string | Uint8Array): XmlElement {
  const bytes = typeof source === 'string' ? Buffer.byteLength(source) : source.byteLength;
  if (bytes > xmlLimits.bytes)
    throw refused(`at most ${xmlLimits.bytes} bytes of metadata, got ${bytes}`);
  const text = typeof source === 'string' ? source : new TextDecoder().decode(source);
  return new Reader(text).document();
}

interface Open {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const nameStart = /[A-Za-z_:\u00c0-\u{effff}]/u;
const tagPattern =
  /<([A-Za-z_:\u00c0-\u{effff}][\w:.\-\u00b7-\u{effff}]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/uy;
const closePattern = /<\/([^\s<>]+)\s*>/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

class Reader {
  readonly #text: string;
  #at = 0;
  #elements = 0;
  readonly #open: Open[] = [];

  constructor(text: string) {
    this.#text = text;
    const found = control.exec(text);
    if (found) throw refused(`no control characters in metadata, got one at ${found.index}`);
  }

  document(): XmlElement {
    if (this.#text.startsWith('\ufeff')) this.#at = 1;
    let root: XmlElement | undefined;
    for (;;) {
      const closed = this.#next();
      if (closed === 'end') break;
      if (closed === undefined || this.#open.length > 0) continue;
      if (root !== undefined) throw refused('one root element, got a second');
      root = closed;
    }
    const unclosed = this.#open.at(-1);
    if (unclosed) throw refused(`</${unclosed.name}>, got the end of the text`);
    if (root === undefined) throw refused('an element, got nothing');
    return root;
  }

  /** Read one item; the element it closed, if any. */
  #next(): XmlElement | 'end' | undefined {
    const text = this.#text;
    if (this.#at >= text.length) return 'end';
    if (text[this.#at] !== '<') {
      let end = text.indexOf('<', this.#at);
      if (end < 0) end = text.length;
      this.#characters(decodeEntities(text.slice(this.#at, end), this.#at));
      this.#at = end;
      return undefined;
    }
    if (text.startsWith('<!--', this.#at)) return this.#skip('-->');
    if (text.startsWith('<?', this.#at)) return this.#skip('?>');
    if (text.startsWith('<![CDATA[', this.#at)) {
      const start = this.#at + 9;
      this.#skip(']]>');
      this.#characters(text.slice(start, this.#at - 3));
      return undefined;
    }
    if (text.startsWith('<!', this.#at))
      throw refused(`no document type in metadata, got one at ${this.#at}`);
    return text[this.#at + 1] === '/' ? this.#close() : this.#start();
  }

  #skip(terminator: string): undefined {
    const end = this.#text.indexOf(terminator, this.#at);
    if (end < 0) throw refused(`${terminator} after ${this.#at}, got the end of the text`);
    this.#at = end + terminator.length;
    return undefined;
  }

  #start(): XmlElement | undefined {
    tagPattern.lastIndex = this.#at;
    const match = tagPattern.exec(this.#text);
    if (match === null) {
      const next = this.#text[this.#at + 1] ?? '';
      throw refused(
        nameStart.test(next)
          ? `a well-formed tag at ${this.#at}`
          : `a tag at ${this.#at}, got a bare "<"`,
      );
    }
    this.#at = tagPattern.lastIndex;
    const name = match[1] ?? '';
    if (++this.#elements > xmlLimits.elements)
      throw refused(`at most ${xmlLimits.elements} elements`);
    if (match[3] === '/') return this.#attach({ name, text: '', children: [] });
    if (this.#open.length >= xmlLimits.depth)
      throw refused(`at most ${xmlLimits.depth} levels of elements`);
    this.#open.push({ name, text: '', children: [] });
    return undefined;
  }

  #close(): XmlElement {
    closePattern.lastIndex = this.#at;
    const match = closePattern.exec(this.#text);
    const open = this.#open.pop();
    if (match === null || open === undefined || match[1] !== open.name)
      throw refused(`</${open?.name ?? ''}> at ${this.#at}, got another closing tag`);
    this.#at = closePattern.lastIndex;
    const text = open.children.length > 0 ? open.text.trim() : open.text;
    return this.#attach({ name: open.name, text, children: open.children });
  }

  #attach(closed: XmlElement): XmlElement {
    this.#open.at(-1)?.children.push(closed);
    return closed;
  }

  #characters(text: string): void {
    const open = this.#open.at(-1);
    if (open) open.text += text;
    else if (text.trim() !== '') throw refused('text inside the root element only');
  }
}

const entities: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
};

function decodeEntities(text: string, at: number): string {
  if (!text.includes('&')) return text;
  return text.replace(/&([^;&\s]{0,10})(;?)/g, (whole, name: string, end: string) => {
    const value = end === ';' ? entityValue(name) : undefined;
    if (value === undefined) throw refused(`an entity of XML 1.0 near ${at}, got ${whole}`);
    return value;
  });
}

function entityValue(name: string): string | undefined {
  if (!name.startsWith('#')) return Object.hasOwn(entities, name) ? entities[name] : undefined;
  const digits = name.startsWith('#x') ? name.slice(2) : name.slice(1);
  const isNumber = (name.startsWith('#x') ? /^[0-9a-f]+$/i : /^[0-9]+$/).test(digits);
  if (!isNumber) return undefined;
  const code = Number.parseInt(digits, name.startsWith('#x') ? 16 : 10);
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  if (code > 0x10ffff || isSurrogate) return undefined;
  const character = String.fromCodePoint(code);
  return control.test(character) ? undefined : character;
}

function refused(expected: string): LslError {
  return new LslError('metadata', `metadata refused: expected ${expected}`);
}

/** Indented by tabs, as liblsl writes it. */
export function formatXml(root: XmlElement): string {
  return `<?xml version="1.0"?>\n${formatElement(root, '')}`;
}

function formatElement(one: XmlElement, indent: string): string {
  if (one.children.length === 0)
    return one.text === ''
      ? `${indent}<${one.name} />\n`
      : `${indent}<${one.name}>${escapeXml(one.text)}</${one.name}>\n`;
  const inner = one.children.map((each) => formatElement(each, `${indent}\t`)).join('');
  return `${indent}<${one.name}>${escapeXml(one.text)}\n${inner}${indent}</${one.name}>\n`;
}

/** Control characters that XML cannot carry become U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replace(new RegExp(control.source, 'g'), '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/\r/g, '&#13;');
}
