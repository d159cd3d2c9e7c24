import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadLslConfig, parseLslConfig } from '../../../drivers/lsl/config.js';

describe('lsl_api.cfg', () => {
  test('without a file the defaults are those of liblsl', () => {
    expect(parseLslConfig('')).toMatchObject({
      ...{ multicastPort: 16571, basePort: 16572, portRange: 32, ipv4: true, ipv6: true, ttl: 24 },
      addresses: [
        '127.0.0.1',
        '255.255.255.255',
        '224.0.0.1',
        '224.0.0.183',
        'FF02:113D:6FDD:2C17:A643:FFE2:1BD1:3CD2',
        '239.255.172.215',
        'FF05:113D:6FDD:2C17:A643:FFE2:1BD1:3CD2',
      ],
      ...{ knownPeers: [], sessionId: 'default', timeProbeCount: 8, smoothingHalftimeS: 90 },
    });
    expect(parseLslConfig('').interfaces).toBeUndefined();
  });

  test('keys are read whatever their case, comments and empty values are passed over', () => {
    const text = [
      '; a comment',
      '[Ports]',
      'baseport = 17000 ; inline',
      'PortRange=64',
      'IPv6=disabled',
      '[multicast]',
      'ListenAddress=',
      'AddressesOverride={239.1.2.3, FF02::1}',
      'TTLOverride=3',
      'Interfaces={127.0.0.1, eth0}',
      '[lab]',
      'KnownPeers={10.0.0.1,amp.lab}',
      'SessionID=room 7',
      '[tuning]',
      'TimeProbeCount=4',
    ].join('\r\n');
    expect(parseLslConfig(text)).toMatchObject({
      ...{ basePort: 17000, portRange: 64, ipv4: true, ipv6: false, ttl: 3, timeProbeCount: 4 },
      addresses: ['239.1.2.3', 'FF02::1'],
      interfaces: ['127.0.0.1', 'eth0'],
      knownPeers: ['10.0.0.1', 'amp.lab'],
      sessionId: 'room 7',
    });
    expect(parseLslConfig(text).listenAddress).toBeUndefined();
  });

  test.each([
    ['machine', 0, 1],
    ['link', 1, 5],
    ['site', 24, 7],
    ['organization', 32, 8],
    ['global', 255, 9],
  ])('scope %s reaches so far', (scope, ttl, addresses) => {
    const config = parseLslConfig(`[multicast]\nResolveScope=${scope}`);
    expect([config.ttl, config.addresses.length]).toEqual([ttl, addresses]);
  });

  test.each([
    ['[ports]\nBasePort=many', /x\.cfg:2: ports\.baseport: expected a number/],
    ['[ports]\nIPv6=perhaps', /x\.cfg:2: ports\.ipv6: expected allow, disable or force/],
    ['[multicast]\n\nResolveScope=moon', /x\.cfg:3: .*expected machine, link/],
    ['[lab]\nKnownPeers=10.0.0.1', /x\.cfg:2: .*expected \{a, b\}/],
    ['nonsense', /x\.cfg:1: expected key = value/],
    ['[ports]\nPortRange=99999999', /expected a number up to 4096/],
  ])('%j is an error with its line', (text, expected) => {
    expect(() => parseLslConfig(text, 'x.cfg')).toThrow(expected);
  });
});

describe('the file that counts', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'eegd-lslcfg-'));
    for (const name of ['cwd', 'home', 'home/lsl_api']) mkdirSync(join(folder, name));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (name: string, session: string) =>
    writeFileSync(join(folder, name), `[lab]\nSessionID=${session}`);

  test('LSLAPICFG goes before the working folder, and that before the home', () => {
    const place = { cwd: join(folder, 'cwd'), home: join(folder, 'home'), env: {} };
    write('home/lsl_api/lsl_api.cfg', 'home');
    expect(loadLslConfig(place).sessionId).toBe('home');
    write('cwd/lsl_api.cfg', 'cwd');
    expect(loadLslConfig(place).sessionId).toBe('cwd');
    write('own.cfg', 'own');
    const own = loadLslConfig({ ...place, env: { LSLAPICFG: join(folder, 'own.cfg') } });
    expect(own).toMatchObject({ sessionId: 'own', path: join(folder, 'own.cfg') });
  });

  test('a file that is there and cannot be read is an error, not the defaults', () => {
    const env = { LSLAPICFG: folder };
    expect(() => loadLslConfig({ env, cwd: folder, home: folder })).toThrow(/readable file/);
  });
});
