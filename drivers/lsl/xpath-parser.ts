/** From the text of a query to its tree: a recursive-descent parser of the subset of XPath 1.0. */
import { LslError } from './errors.js';

export interface Step {
  readonly name: string;
  /** Any depth below (`//`). */
  readonly anywhere: boolean;
  readonly predicates: readonly Node[];
}

export type Node =
  | { readonly kind: 'literal'; readonly value: string | number }
  | { readonly kind: 'or' | 'and'; readonly left: Node; readonly right: Node }
  | {
      readonly kind: 'compare';
      readonly operator: '=' | '!=' | '<' | '<=' | '>' | '>=';
      readonly left: Node;
      readonly right: Node;
    }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Node[] }
  | { readonly kind: 'path'; readonly steps: readonly Step[] };

export const queryLimits = { characters: 8192, depth: 32 } as const;

const tokenPattern =
  /\s*(?:("[^"]*"|'[^']*')|(\d+(?:\.\d*)?|\.\d+)|(\/\/|!=|<=|>=|[()[\],=<>/.*-])|([A-Za-z_][\w.-]*))/y;

interface Token {
  readonly kind: 'text' | 'number' | 'sign' | 'name' | 'end';
  readonly value: string;
}

export function parseQuery(text: string): Node {
  if (text.length > queryLimits.characters)
    throw fault(`at most ${queryLimits.characters} characters, got ${text.length}`);
  const parser = new Parser(tokensOf(text));
  const tree = parser.or();
  parser.end();
  return tree;
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const trimmed = text.trimEnd();
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < trimmed.length) {
    const at = tokenPattern.lastIndex;
    const match = tokenPattern.exec(trimmed);
    if (match === null) throw fault(`a query, got "${trimmed.slice(at, at + 20)}"`);
    if (match[1] !== undefined) tokens.push({ kind: 'text', value: match[1].slice(1, -1) });
    else if (match[2] !== undefined) tokens.push({ kind: 'number', value: match[2] });
    else if (match[3] !== undefined) tokens.push({ kind: 'sign', value: match[3] });
    else tokens.push({ kind: 'name', value: match[4] ?? '' });
  }
  return tokens;
}

const endToken: Token = { kind: 'end', value: 'the end' };
const comparisons = new Set(['=', '!=', '<', '<=', '>', '>=']);

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  or(): Node {
    if (++this.#depth > queryLimits.depth) throw fault(`at most ${queryLimits.depth} levels`);
    let left = this.#and();
    while (this.#takeName('or')) left = { kind: 'or', left, right: this.#and() };
    this.#depth--;
    return left;
  }

  end(): void {
    if (this.#peek().kind !== 'end') throw fault(`the end, got "${this.#peek().value}"`);
  }

  #and(): Node {
    let left = this.#comparison();
    while (this.#takeName('and')) left = { kind: 'and', left, right: this.#comparison() };
    return left;
  }

  #comparison(): Node {
    const left = this.#operand();
    const token = this.#peek();
    if (token.kind !== 'sign' || !comparisons.has(token.value)) return left;
    this.#at++;
    const operator = token.value as Extract<Node, { kind: 'compare' }>['operator'];
    return { kind: 'compare', operator, left, right: this.#operand() };
  }

  #operand(): Node {
    const token = this.#peek();
    if (this.#takeSign('(')) {
      const inner = this.or();
      this.#need(')');
      return inner;
    }
    if (token.kind === 'text') {
      this.#at++;
      return { kind: 'literal', value: token.value };
    }
    if (this.#takeSign('-')) return { kind: 'literal', value: -this.#number() };
    if (token.kind === 'number') return { kind: 'literal', value: this.#number() };
    const next = this.#tokens[this.#at + 1];
    if (token.kind === 'name' && next?.kind === 'sign' && next.value === '(') return this.#call();
    return this.#path();
  }

  #number(): number {
    const token = this.#peek();
    if (token.kind !== 'number') throw fault(`a number, got "${token.value}"`);
    this.#at++;
    return Number(token.value);
  }

  #call(): Node {
    const name = this.#peek().value;
    this.#at += 2;
    const given: Node[] = [];
    if (this.#takeSign(')')) return { kind: 'call', name, arguments: given };
    do given.push(this.or());
    while (this.#takeSign(','));
    this.#need(')');
    return { kind: 'call', name, arguments: given };
  }

  #path(): Node {
    const steps: Step[] = [];
    let anywhere = this.#takeSign('//');
    for (;;) {
      const token = this.#peek();
      const isStep = token.kind === 'name' || token.value === '*' || token.value === '.';
      if (!isStep || token.kind === 'text') throw fault(`a name, got "${token.value}"`);
      this.#at++;
      steps.push({ name: token.value, anywhere, predicates: this.#predicates() });
      anywhere = this.#takeSign('//');
      if (!anywhere && !this.#takeSign('/')) return { kind: 'path', steps };
    }
  }

  #predicates(): Node[] {
    const predicates: Node[] = [];
    while (this.#takeSign('[')) {
      predicates.push(this.or());
      this.#need(']');
    }
    return predicates;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? endToken;
  }

  #takeSign(value: string): boolean {
    const token = this.#peek();
    const is = token.kind === 'sign' && token.value === value;
    if (is) this.#at++;
    return is;
  }

  #takeName(value: string): boolean {
    const token = this.#peek();
    const is = token.kind === 'name' && token.value === value;
    if (is) this.#at++;
    return is;
  }

  #need(value: string): void {
    if (!this.#takeSign(value)) throw fault(`"${value}", got "${this.#peek().value}"`);
  }
}

function fault(expected: string): LslError {
  return new LslError('query', `query refused: expected ${expected}`);
}
