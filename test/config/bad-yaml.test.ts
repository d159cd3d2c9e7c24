/** S9: a hundred configurations that are wrong in some way, each refused with file and line. */
import { expect, test } from 'vitest';
import { type ConfigMistake, parseConfig } from '../../src/config/load.js';
import { isEegError } from '../../src/core/errors.js';
import { Rng } from '../../src/core/rng.js';

const good = [
  'server:',
  '  host: 127.0.0.1',
  '  port: 8765',
  '  behindProxy: false',
  'streams:',
  '  - address: lsl:a',
  '    mainsHz: 50',
  'engine:',
  '  device: cpu',
  '  threads: 1',
  'log:',
  '  level: info',
];
const leaves = good.flatMap((line, i) => (/: \S/.test(line) ? [i] : []));

type Mutation = (lines: string[], rng: Rng) => void;
const pick = (rng: Rng, from: readonly number[]) => from[rng.below(from.length)] as number;
const edit = (lines: string[], i: number, change: (line: string) => string) => {
  lines[i] = change(lines[i] as string);
};

const mutations: Readonly<Record<string, Mutation>> = {
  'a key misspelt': (lines, rng) =>
    edit(lines, rng.below(lines.length), (line) => line.replace(/(\w+):( |$)/, '$1x:$2')),
  'a key twice': (lines, rng) => {
    const i = pick(
      rng,
      leaves.filter((leaf) => leaf !== 5),
    );
    lines.splice(i, 0, lines[i] as string);
  },
  'a list where a value belongs': (lines, rng) =>
    edit(lines, pick(rng, leaves), (line) => line.replace(/: .*/, ': [1, 2]')),
  'a map where a value belongs': (lines, rng) =>
    edit(lines, pick(rng, leaves), (line) => line.replace(/: .*/, ': {a: 1}')),
  'a unit': (lines, rng) =>
    edit(lines, pick(rng, [2, 6, 9]), (line) => `${line}${['Hz', ' s', '%'][rng.below(3)]}`),
  'out of range': (lines, rng) =>
    edit(lines, pick(rng, [2, 6, 9]), (line) => line.replace(/: .*/, `: ${-1 - rng.below(99)}`)),
  'no number': (lines, rng) =>
    edit(lines, pick(rng, [2, 6, 9]), (line) => line.replace(/: .*/, ': .nan')),
  'a tab': (lines, rng) => edit(lines, pick(rng, leaves), (line) => line.replace(/^ /, '\t')),
  'a bracket left open': (lines, rng) =>
    edit(lines, pick(rng, leaves), (line) => line.replace(/: .*/, ': [')),
  'a section that is a text': (lines, rng) =>
    lines.push(['tls: x', 'models: 3', 'recordings: on', 'lsl: yes'][rng.below(4)] as string),
  'a secret inline': (lines) => void lines.splice(1, 0, '  token: hunter2hunter2'),
  'a bomb of aliases': (lines) => {
    lines.push('a: &a [x, x, x, x, x, x, x, x, x, x]');
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => [...pair]))
      lines.push(`${to}: &${to} [${Array.from({ length: 10 }, () => `*${from}`).join(', ')}]`);
  },
};

test('the one that is changed is good', () => {
  expect(parseConfig(good.join('\n'), 'eegd.yaml', {}).server.port).toBe(8765);
});

test.each(Object.keys(mutations))('%s', (name) => {
  for (let seed = 0; seed < 10; seed++) {
    const lines = [...good];
    mutations[name]?.(lines, new Rng(seed));
    const text = lines.join('\n');
    let thrown: unknown;
    try {
      parseConfig(text, 'eegd.yaml', {});
    } catch (error) {
      thrown = error;
    }
    if (!isEegError(thrown, 'EEG_CONFIG_INVALID')) throw new Error(`accepted:\n${text}\n${thrown}`);
    expect(thrown.exitCode).toBe(78);
    const mistakes = thrown.context.mistakes as ConfigMistake[];
    expect(mistakes.length, text).toBeGreaterThan(0);
    // Of the bomb the whole file is at fault.
    const at = name === 'a bomb of aliases' ? /^eegd\.yaml$/ : /^eegd\.yaml:\d+/;
    for (const { where } of mistakes) expect(where, text).toMatch(at);
    expect(thrown.line).not.toContain('hunter2');
  }
});
