/**
 * Reads the configuration: YAML, then the environment over it, then every check in one pass. All
 * mistakes come in one `EEG_CONFIG_INVALID`, one a line: file:line, path, expected, got.
 */
import { readFileSync } from 'node:fs';
import { closest } from 'fastest-levenshtein';
import { isMap, isNode, LineCounter, type ParsedNode, parseDocument } from 'yaml';
import type { z } from 'zod';
import { EegError } from '../core/errors.js';
import { isScalar, keysAt, leaves } from './leaves.js';
import { type Config, configSchema } from './schema.js';

export interface ConfigMistake {
  /** `eegd.yaml:3`, or the name of an environment variable. */
  readonly where: string;
  /** `server.port`; empty for mistakes of the file's syntax. */
  readonly path: string;
  readonly message: string;
}

type Environment = Readonly<Record<string, string | undefined>>;
/** What the command line says: by variable, the flag's name and value. */
type Flags = Readonly<
  Record<string, { readonly flag: string; readonly value: string | undefined }>
>;
type Path = readonly PropertyKey[];
type Document = ReturnType<typeof parseDocument<ParsedNode>>;

const fileBytesMax = 1 << 20;
const aliasesMax = 16;
/** Names that other parts of the program read. */
const foreignVariables = new Set(['EEGD_DATA', 'EEGD_CONFIG', 'EEGD_TOKEN', 'EEGD_URL']);

/**
 * Without `file`: defaults and the environment only. `flags` go over both, by the name of their
 * variable; a mistake names the flag.
 */
export function loadConfig(
  file: string | undefined,
  environment: Environment = {},
  flags: Flags = {},
): Config {
  const text = file === undefined ? '' : readConfig(file);
  return parseConfig(text, file ?? 'defaults', environment, flags);
}

export function parseConfig(
  text: string,
  file: string,
  environment: Environment = {},
  flags: Flags = {},
): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false }) as Document;
  const lineOf = (offset: number) => `${file}:${lines.linePos(offset).line}`;
  const mistakes: ConfigMistake[] = document.errors.map((error) => ({
    where: lineOf(error.pos[0]),
    path: '',
    message: error.message.split('\n')[0] ?? error.message,
  }));
  const tree = mistakes.length > 0 ? {} : treeOf(document, file, mistakes);
  const given = Object.entries(flags).filter(([, { value }]) => value !== undefined);
  const values = Object.fromEntries(given.map(([name, { value }]) => [name, value]));
  const variables = overlay(tree, { ...environment, ...values }, mistakes);
  const nameOf = (variable = '') =>
    (flags[variable]?.value && flags[variable].flag) || variable || undefined;
  const result = configSchema.safeParse(tree);
  const whereOf = (path: Path) =>
    nameOf(variables.get(path.join('.'))) ?? lineOf(offsetOf(document, path) ?? 0);
  if (!result.success)
    mistakes.push(...result.error.issues.flatMap((issue) => mistakesOf(issue, tree, whereOf)));
  else mistakes.push(...crossChecks(result.data, whereOf));
  if (mistakes.length > 0) throw invalid(mistakes);
  return deepFreeze(configSchema.parse(tree));
}

function readConfig(file: string): string {
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EegError('EEG_CONFIG_UNREADABLE', `expected a readable file: ${reason}`, { cause });
  }
  if (text.length > fileBytesMax)
    throw new EegError('EEG_CONFIG_UNREADABLE', `expected at most 1 MiB, got ${text.length} bytes`);
  return text.toString('utf8');
}

function treeOf(document: Document, file: string, mistakes: ConfigMistake[]): object {
  try {
    const tree: unknown = document.toJS({ maxAliasCount: aliasesMax });
    if (tree === null || tree === undefined) return {};
    if (typeof tree === 'object' && !Array.isArray(tree)) return tree;
    mistakes.push({ where: `${file}:1`, path: '', message: 'expected keys and values' });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    mistakes.push({ where: file, path: '', message });
  }
  return {};
}

/** Put the environment's values into the tree; returns path to variable name. */
function overlay(tree: object, environment: Environment, mistakes: ConfigMistake[]) {
  const scalars = leaves().filter(isScalar);
  const used = new Map<string, string>();
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('EEGD_') || value === undefined || foreignVariables.has(name)) continue;
    const leaf = scalars.find(({ variable }) => variable === name);
    if (leaf === undefined) {
      const near = nearest(
        name,
        scalars.map(({ variable }) => variable),
      );
      mistakes.push({ where: name, path: '', message: `no such setting${near}` });
      continue;
    }
    used.set(leaf.path.join('.'), name);
    place(tree as Record<string, unknown>, leaf.path, scalarOf(value));
  }
  return used;
}

function place(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = tree;
  for (const key of path.slice(0, -1)) {
    if (typeof at[key] !== 'object' || at[key] === null) at[key] = {};
    at = at[key] as Record<string, unknown>;
  }
  at[path[path.length - 1] as string] = value;
}

function scalarOf(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function mistakesOf(
  issue: z.core.$ZodIssue,
  tree: object,
  whereOf: (path: Path) => string,
): ConfigMistake[] {
  const path = issue.path;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      where: whereOf([...path, key]),
      path: [...path, key].join('.'),
      message: `no such key${nearest(key, keysAt(path))}`,
    }));
  const got = show(valueAt(tree, path));
  const message = `${expectation(issue)}, got ${got}`;
  return [{ where: whereOf(path), path: path.join('.'), message }];
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return `expected ${issue.expected}`;
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.map(show).join(', ')}`;
  if (issue.code === 'too_small') return `expected at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `expected at most ${issue.maximum}`;
  if (issue.code === 'invalid_union') {
    const values = issue.errors.flat().flatMap((e) => (e.code === 'invalid_value' ? e.values : []));
    return `expected one of ${values.map(show).join(', ')}`;
  }
  if (issue.code === 'invalid_format' && issue.format === 'url')
    return 'expected a URL such as https://lab.example';
  return issue.message;
}

function crossChecks(config: Config, whereOf: (path: Path) => string): ConfigMistake[] {
  const mistakes: ConfigMistake[] = [];
  const seen = new Set<string>();
  for (const [i, { address }] of config.streams.entries()) {
    const path = ['streams', i, 'address'];
    if (seen.has(address))
      mistakes.push({
        where: whereOf(path),
        path: path.join('.'),
        message: `expected each address once, got ${show(address)} again`,
      });
    seen.add(address);
  }
  return mistakes;
}

function nearest(name: string, names: readonly string[]): string {
  return names.length === 0 ? '' : ` (nearest: ${closest(name, [...names])})`;
}

function valueAt(tree: unknown, path: Path): unknown {
  let at = tree;
  for (const key of path) at = (at as Record<PropertyKey, unknown> | undefined)?.[key];
  return at;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Where in the text the key at `path` stands; the nearest parent's place where it is absent. */
function offsetOf(document: Document, path: Path): number | undefined {
  for (let depth = path.length; depth > 0; depth--) {
    const parent = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
    const key = path[depth - 1];
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isNode(item.key) && item.key.toJSON() === key);
      if (isNode(pair?.key) && pair.key.range) return pair.key.range[0];
    } else {
      const node = document.getIn(path.slice(0, depth), true);
      if (isNode(node) && node.range) return node.range[0];
    }
  }
  return undefined;
}

function invalid(mistakes: readonly ConfigMistake[]): EegError {
  const count = mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`;
  const lines = mistakes.map(({ where, path, message }) =>
    path === '' ? `${where}: ${message}` : `${where}: ${path}: ${message}`,
  );
  return new EegError('EEG_CONFIG_INVALID', `${count} in the configuration\n${lines.join('\n')}`, {
    context: { mistakes },
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
