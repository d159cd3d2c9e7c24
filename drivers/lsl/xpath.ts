/**
 * Queries: the part of XPath 1.0 that LSL programs use, evaluated with <info> as context:
 * `name='x' and (starts-with(type,'E') or count(desc/channels/channel)>8) and not(desc/off)`.
 * Two numbers written differently (`100` and `100.0000000000000`) compare as equal, because old
 * inlets ask so when they recover, and each LSL version writes numbers in its own way.
 */
import { LslError } from './errors.js';
import type { XmlElement } from './xml.js';
import { type Node, parseQuery } from './xpath-parser.js';

export type Query = (context: XmlElement) => boolean;

/** Throws `LslError` (`query`). An empty query matches everything. */
export function compileQuery(text: string): Query {
  if (text.trim() === '') return () => true;
  const tree = parseQuery(text);
  return (context) =>
    asBoolean(evaluate(tree, { node: context, position: 1, size: 1, budget: { left: visitsMax } }));
}

type Value = string | number | boolean | readonly XmlElement[];

interface Context {
  readonly node: XmlElement;
  readonly position: number;
  readonly size: number;
  /** Elements that may still be visited: `//*/ /*//*` must not keep an outlet busy. */
  readonly budget: { left: number };
}

const visitsMax = 200_000;

function evaluate(tree: Node, context: Context): Value {
  switch (tree.kind) {
    case 'literal':
      return tree.value;
    case 'or':
      return asBoolean(evaluate(tree.left, context)) || asBoolean(evaluate(tree.right, context));
    case 'and':
      return asBoolean(evaluate(tree.left, context)) && asBoolean(evaluate(tree.right, context));
    case 'compare':
      return compare(tree.operator, evaluate(tree.left, context), evaluate(tree.right, context));
    case 'call':
      return call(tree.name, tree.arguments, context);
    case 'path':
      return walk(tree, context);
  }
}

function walk(path: Extract<Node, { kind: 'path' }>, context: Context): XmlElement[] {
  let nodes: XmlElement[] = [context.node];
  for (const step of path.steps) {
    const next: XmlElement[] = [];
    for (const node of nodes) {
      if (step.name === '.') next.push(node);
      else {
        const found = step.anywhere ? descendants(node) : node.children;
        context.budget.left -= found.length;
        if (context.budget.left < 0) throw fault('a query that visits fewer elements');
        const named = found.filter((one) => step.name === '*' || one.name === step.name);
        next.push(
          ...named.filter((one, i) =>
            holds(step.predicates, { ...context, node: one, position: i + 1, size: named.length }),
          ),
        );
      }
    }
    nodes = next;
  }
  return nodes;
}

function descendants(node: XmlElement): XmlElement[] {
  return node.children.flatMap((one) => [one, ...descendants(one)]);
}

function holds(predicates: readonly Node[], context: Context): boolean {
  return predicates.every((one) => {
    const value = evaluate(one, context);
    return typeof value === 'number' ? value === context.position : asBoolean(value);
  });
}

/** Calls known: XPath 1.0, section 4. */
function call(name: string, given: readonly Node[], context: Context): Value {
  const text = (k: number) => {
    const one = given[k];
    return one === undefined ? stringOf(context.node) : asText(evaluate(one, context));
  };
  const need = (count: number) => {
    if (given.length !== count)
      throw fault(`${name}() with ${count} arguments, got ${given.length}`);
  };
  switch (name) {
    case 'not':
      need(1);
      return !asBoolean(evaluate(given[0] as Node, context));
    case 'true':
      return true;
    case 'false':
      return false;
    case 'boolean':
      need(1);
      return asBoolean(evaluate(given[0] as Node, context));
    case 'count': {
      need(1);
      const nodes = evaluate(given[0] as Node, context);
      if (typeof nodes !== 'object') throw fault('count() of a path');
      return nodes.length;
    }
    case 'number':
      return toNumber(text(0));
    case 'string':
      return text(0);
    case 'string-length':
      return [...text(0)].length;
    case 'normalize-space':
      return text(0).trim().replace(/\s+/g, ' ');
    case 'starts-with':
      need(2);
      return text(0).startsWith(text(1));
    case 'contains':
      need(2);
      return text(0).includes(text(1));
    case 'position':
      return context.position;
    case 'last':
      return context.size;
    default:
      throw fault(`a function of XPath that LSL uses, got ${name}()`);
  }
}

type Operator = Extract<Node, { kind: 'compare' }>['operator'];

function compare(operator: Operator, left: Value, right: Value): boolean {
  if (typeof left === 'object' && typeof right !== 'boolean')
    return left.some((one) => compare(operator, stringOf(one), right));
  if (typeof right === 'object' && typeof left !== 'boolean')
    return right.some((one) => compare(operator, left, stringOf(one)));
  if (operator === '=' || operator === '!=') {
    const equal =
      typeof left === 'boolean' || typeof right === 'boolean'
        ? asBoolean(left) === asBoolean(right)
        : isSame(asText(left), asText(right));
    return equal === (operator === '=');
  }
  const [a, b] = [toNumber(asText(left)), toNumber(asText(right))];
  if (operator === '<') return a < b;
  if (operator === '<=') return a <= b;
  return operator === '>' ? a > b : a >= b;
}

function isSame(left: string, right: string): boolean {
  return left === right || toNumber(left) === toNumber(right);
}

function toNumber(text: string): number {
  return /^\s*-?(\d+(\.\d*)?|\.\d+)\s*$/.test(text) ? Number(text) : Number.NaN;
}

function asBoolean(value: Value): boolean {
  if (typeof value === 'object') return value.length > 0;
  if (typeof value === 'number') return value !== 0 && !Number.isNaN(value);
  return typeof value === 'string' ? value !== '' : value;
}

function asText(value: Value): string {
  if (typeof value !== 'object') return String(value);
  const first = value[0];
  return first === undefined ? '' : stringOf(first);
}

function stringOf(node: XmlElement): string {
  return node.text + node.children.map(stringOf).join('');
}

function fault(expected: string): LslError {
  return new LslError('query', `query refused: expected ${expected}`);
}

/** A literal of XPath 1.0, which has no escapes. Throws where `text` holds both quotes. */
export function quote(text: string): string {
  if (!text.includes("'")) return `'${text}'`;
  if (!text.includes('"')) return `"${text}"`;
  throw new LslError('query', `expected a value with one kind of quotes, got ${text.slice(0, 60)}`);
}
