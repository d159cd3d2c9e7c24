/** Walks the configuration's schema: its leaves, the keys at a path, environment names. */
import { z } from 'zod';
import { configSchema } from './schema.js';

export interface Leaf {
  /** `server.port`. */
  readonly path: readonly string[];
  /** `EEGD_SERVER_PORT`. */
  readonly variable: string;
  readonly schema: z.ZodType;
  readonly describe: string;
}

/** Every key that is no object, lists included. */
export function leaves(): Leaf[] {
  return walk(configSchema, []);
}

function walk(schema: z.ZodType, path: readonly string[]): Leaf[] {
  const inner = bare(schema);
  if (inner instanceof z.ZodObject) {
    const shape = inner.shape as Record<string, z.ZodType>;
    return Object.entries(shape).flatMap(([key, value]) => walk(value, [...path, key]));
  }
  const describe = schema.description ?? inner.description ?? '';
  return [{ path, variable: variableOf(path), schema, describe }];
}

/** Keys that are allowed in the object at `path`. */
export function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: z.ZodType = configSchema;
  for (const key of path) {
    const inner = bare(schema);
    if (inner instanceof z.ZodArray) schema = inner.element as z.ZodType;
    else if (inner instanceof z.ZodObject) {
      const next = (inner.shape as Record<string, z.ZodType>)[String(key)];
      if (next === undefined) return [];
      schema = next;
    } else return [];
  }
  const inner = bare(schema);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** Without its default and optionality. */
function bare(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodOptional
  )
    inner = inner.unwrap() as z.ZodType;
  return inner;
}

export function isScalar(leaf: Leaf): boolean {
  const inner = bare(leaf.schema);
  return !(inner instanceof z.ZodArray || inner instanceof z.ZodRecord);
}

function variableOf(path: readonly string[]): string {
  const words = path.map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return `EEGD_${words.join('_')}`;
}
