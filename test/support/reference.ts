/**
 * The parts of the documentation that are made from the code: docs/asyncapi.json, docs/errors.md,
 * and the tables of API.md between their markers. `npm run docs` writes them; a test compares.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { errorTable } from '../../src/core/errors.js';
import { asyncApi } from '../../src/server/asyncapi.js';
import { type CommandName, commands, snapshot } from '../../src/server/protocol.js';
import { checkpointChange, topicEvents } from '../../src/server/wire-events.js';

type Schema = Readonly<Record<string, unknown>>;

/** Every generated file with the text it should have. */
export function references(): Readonly<Record<string, string>> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  return {
    'docs/asyncapi.json': `${JSON.stringify(asyncApi(version), undefined, 1)}\n`,
    'docs/errors.md': errorsPage(),
    'API.md': between(readFileSync('API.md', 'utf8'), {
      commands: commandList(),
      events: eventList(),
    }),
  };
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { exitCode, retryable, hint }]) =>
      `| \`${code}\` | ${exitCode} | ${retryable ? 'yes' : 'no'} | ${hint} |`,
  );
  return [
    '# Errors',
    '',
    'Every error a user can meet has a code, on the command line (`eegd: CODE: message (hint)`), in',
    'the log and over the WebSocket (`{"code", "message", "hint", "retryable"}`). The message says',
    'what was expected and what came; the hint is what to do, here where the place has none better.',
    'Exit codes are those of sysexits(3). This page is made by `npm run docs`.',
    '',
    '| code | exit code | try again | what to do |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function commandList(): string {
  const names = Object.keys(commands) as CommandName[];
  const rows = names.map((name) => {
    const { scope, summary, input, result } = commands[name];
    const fields = z.toJSONSchema(z.object(input), { io: 'input', unrepresentable: 'any' });
    return `| \`${name}\` | ${scope} | ${fieldsText(fields)} | ${resultText(result)} | ${summary} |`;
  });
  return ['| type | scope | fields | result | |', '| --- | --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

/** What is described elsewhere on the page is named, not repeated. */
function resultText(schema: z.ZodType): string {
  if (schema === checkpointChange) return 'a `checkpoint` event';
  if (schema === snapshot) return 'a snapshot';
  if (schema === commands.subscribe.result) return '`{subscription: int, snapshot}`';
  if (schema === commands.history.result) return '`{classes, points, events}`, see below';
  return fieldsText(z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }));
}

function fieldsText(schema: Schema): string {
  const text = outline(schema, 3);
  return text === '{}' ? '' : `\`${text.replaceAll('|', '\\|')}\``;
}

function eventList(): string {
  const blocks = Object.entries(topicEvents).map(([topic, schema]) => {
    const json = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }) as Schema;
    const kinds = (json.anyOf ?? json.oneOf ?? [json]) as Schema[];
    const lines = kinds.map((kind) => ['```ts', members(kind).join('\n'), '```'].join('\n'));
    return [`### \`${topic}\``, ...lines].join('\n\n');
  });
  return blocks.join('\n\n');
}

/** Each property on a line of its own, with its description. */
function members(schema: Schema): string[] {
  const properties = (schema.properties ?? {}) as Record<string, Schema>;
  const required = new Set((schema.required ?? []) as string[]);
  return Object.entries(properties).map(([name, property]) => {
    const note = typeof property.description === 'string' ? `  // ${property.description}` : '';
    return `${name}${required.has(name) ? '' : '?'}: ${outline(property, 3)}${note}`;
  });
}

/** A JSON schema in the words of TypeScript, `depth` levels deep. */
function outline(schema: Schema, depth: number): string {
  const choices = (schema.anyOf ?? schema.oneOf) as Schema[] | undefined;
  if (choices !== undefined) return choices.map((each) => outline(each, depth)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((each) => `"${each}"`).join(' | ');
  if (Array.isArray(schema.prefixItems))
    return `[${schema.prefixItems.map((each) => outline(each as Schema, depth)).join(', ')}]`;
  if (schema.type === 'array') return arrayOf(outline(schema.items as Schema, depth));
  if (schema.type === 'integer') return 'int';
  if (schema.type !== 'object') return String(schema.type ?? 'any');
  const properties = schema.properties as Record<string, Schema> | undefined;
  if (properties === undefined) return `{[name]: ${outline(values(schema), depth)}}`;
  if (depth === 0) return '{...}';
  const required = new Set((schema.required ?? []) as string[]);
  const fields = Object.entries(properties).map(
    ([name, each]) => `${name}${required.has(name) ? '' : '?'}: ${outline(each, depth - 1)}`,
  );
  return `{${fields.join(', ')}}`;
}

function arrayOf(item: string): string {
  return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
}

function values(schema: Schema): Schema {
  const { additionalProperties } = schema;
  return typeof additionalProperties === 'object' ? (additionalProperties as Schema) : {};
}

function between(page: string, parts: Readonly<Record<string, string>>): string {
  let text = page;
  for (const [name, part] of Object.entries(parts)) {
    const [head, rest = ''] = text.split(`<!-- ${name} -->\n`);
    const tail = rest.split(`<!-- /${name} -->`)[1];
    if (tail === undefined) throw new Error(`API.md has no markers for ${name}`);
    text = `${head}<!-- ${name} -->\n\n${part}\n\n<!-- /${name} -->${tail}`;
  }
  return text;
}
