/**
 * S13: what is installed is what the lock names, by hash, from one registry; no install script
 * runs; licences of what ships are known.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly peer?: boolean;
  readonly hasInstallScript?: boolean;
  readonly license?: string;
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, Locked>;
};
const installed = Object.entries(packages).filter(([path]) => path !== '');
const shipped = installed.filter(([, { dev, peer }]) => dev !== true && peer !== true);
const registry = 'https://registry.npmjs.org/';
const nameOf = (path: string) => path.split('node_modules/').at(-1) ?? path;

/** Permissive: may be used in an Apache-2.0 program without more than their notice. */
const licences = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  '(MIT OR CC0-1.0)',
]);
/** Native code among what ships; each is loaded in one file of ours. */
const native = ['@serialport/bindings-cpp', 'koffi', 'onnxruntime-node'];

describe('the lock', () => {
  test('names every package by hash, from the registry', () => {
    expect(installed.length).toBeGreaterThan(50);
    for (const [path, { resolved, integrity }] of installed) {
      // Left out by npm where it is the registry in use.
      expect(resolved ?? registry, path).toContain(registry);
      expect(integrity, path).toMatch(/^sha512-/);
    }
  });

  test('dependencies are exact', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('no install script runs, and who has one is known', () => {
    expect(readFileSync('.npmrc', 'utf8')).toContain('ignore-scripts=true');
    const scripts = shipped.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    expect(scripts.map(([path]) => nameOf(path)).sort()).toEqual(native);
  });

  test('what ships is under licences that fit', () => {
    expect(shipped.length).toBeGreaterThan(20);
    for (const [path, { license }] of shipped)
      expect(licences, `${path}: ${license}`).toContain(license);
  });
});
