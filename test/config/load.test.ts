import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigMistake } from '../../src/config/load.js';
import { loadConfig, parseConfig } from '../../src/config/load.js';
import { EegError } from '../../src/core/errors.js';

function failure(run: () => unknown): EegError {
  try {
    run();
  } catch (error) {
    if (error instanceof EegError) return error;
    throw error;
  }
  throw new Error('expected it to be refused');
}

const mistakes = (text: string, environment = {}): string[] =>
  (
    failure(() => parseConfig(text, 'eegd.yaml', environment)).context.mistakes as ConfigMistake[]
  ).map(({ where, path, message }) => `${where} ${path} ${message}`);

describe('configuration', () => {
  test('has a default for everything', () => {
    const config = parseConfig('', 'none');
    expect(config.server).toMatchObject({ host: '127.0.0.1', port: 8765 });
    expect(config.engine).toEqual({ kind: 'onnx', device: 'cpu', threads: 1 });
    expect(Object.isFrozen(config.server)).toBe(true);
  });

  test('reads what is written', () => {
    const text = 'streams:\n  - address: lsl:board\n    mainsHz: 60\n    tasks: [sleep]\n';
    expect(parseConfig(text, 'f').streams).toEqual([
      { address: 'lsl:board', mainsHz: 60, tasks: ['sleep'] },
    ]);
  });

  test('tells ten mistakes in one pass, each with its line', () => {
    const text = `server:
  prot: 80
  port: 99999
  behindProxy: maybe
streams:
  - adress: lsl:a
  - address: nonsense
    mainsHz: 55
engine:
  device: gpu
  threads: 0
  kind: torch
log:
  level: loud
modles: {}
`;
    const found = mistakes(text);
    expect(found).toEqual(
      expect.arrayContaining([
        'eegd.yaml:2 server.prot no such key (nearest: port)',
        'eegd.yaml:3 server.port expected at most 65535, got 99999',
        'eegd.yaml:4 server.behindProxy expected boolean, got "maybe"',
        'eegd.yaml:6 streams.0.adress no such key (nearest: address)',
        'eegd.yaml:6 streams.0.address expected string, got nothing',
        'eegd.yaml:8 streams.1.mainsHz expected one of 50, 60, "auto", got 55',
        'eegd.yaml:10 engine.device expected one of "auto", "cpu", "webgpu", "cuda", "tensorrt", got "gpu"',
        'eegd.yaml:11 engine.threads expected at least 1, got 0',
        'eegd.yaml:12 engine.kind expected one of "onnx", "tfjs-node-gpu", "tfjs-node", "tfjs", got "torch"',
        'eegd.yaml:15 modles no such key (nearest: models)',
      ]),
    );
    expect(found).toHaveLength(12);
    expect(failure(() => parseConfig(text, 'eegd.yaml')).exitCode).toBe(78);
  });

  test('takes the environment over the file', () => {
    const config = parseConfig('server: { port: 1 }', 'f', {
      EEGD_SERVER_PORT: '9000',
      EEGD_SERVER_TOKEN_FILE: '/run/token',
      EEGD_DISCOVERY_AUTO_CONNECT: 'true',
      PATH: '/bin',
    });
    expect(config.server).toMatchObject({ port: 9000, tokenFile: '/run/token' });
    expect(config.discovery.autoConnect).toBe(true);
  });

  test('names the variable that is wrong', () => {
    expect(mistakes('', { EEGD_SERVER_PORT: 'x', EEGD_SERVER_PROT: '1' })).toEqual([
      'EEGD_SERVER_PROT  no such setting (nearest: EEGD_SERVER_PORT)',
      'EEGD_SERVER_PORT server.port expected number, got "x"',
    ]);
  });

  test.each([
    ['server: [', 'eegd.yaml:1'],
    ['a: 1\na: 2\n', 'eegd.yaml:2'],
    ['- 1\n', 'eegd.yaml:1'],
    ['just words', 'eegd.yaml:1'],
    ['a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n', 'eegd.yaml'],
    ['streams: [{address: "lsl:a"}, {address: "lsl:a"}]', 'eegd.yaml:1'],
    ['__proto__: { port: 1 }', 'eegd.yaml:1'],
  ])('refuses %j', (text, where) => {
    expect(mistakes(text)[0]).toContain(where);
  });

  test('says that a file cannot be read', () => {
    const error = failure(() => loadConfig('/nonexistent/eegd.yaml'));
    expect(error.code).toBe('EEG_CONFIG_UNREADABLE');
    const big = join(mkdtempSync(join(tmpdir(), 'eegd-')), 'big.yaml');
    writeFileSync(big, '#'.repeat((1 << 20) + 1));
    expect(failure(() => loadConfig(big)).code).toBe('EEG_CONFIG_UNREADABLE');
  });
});
