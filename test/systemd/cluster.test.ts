/** Units, Compose file and Kubernetes manifests of the roles: valid, and of the least rights. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { makePermissions } from '../../src/cluster/permissions.js';
import { leaves } from '../../src/config/leaves.js';
import { natsProgram } from '../cluster/nats-cluster.js';

const roles = ['edge', 'worker', 'gateway'];
const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!hasAnalyze) console.warn('SKIPPED: the unit tests need systemd-analyze');

function unit(role: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'eegd-units-')), `eegd-${role}.service`);
  const text = readFileSync(`systemd/eegd-${role}.service`, 'utf8');
  writeFileSync(file, text.replace('/usr/bin/eegd', process.execPath));
  return file;
}

describe.skipIf(!hasAnalyze).each(roles)('eegd-%s.service', (role) => {
  test('has nothing systemd warns of', () => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', unit(role)]);
    const lines = String(stderr).split('\n');
    expect(lines.filter((line) => line.includes('eegd'))).toEqual([]);
    expect(status).toBe(0);
  });

  test('is exposed at most 2.0 by systemd-analyze security', () => {
    const args = ['--offline=true', '--threshold=20', 'security', unit(role)];
    const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    const level = Number(/exposure level for \S+ ([\d.]+)/.exec(stdout)?.[1]);
    expect(level).toBeGreaterThan(0);
    expect(level).toBeLessThanOrEqual(2);
    expect(status).toBe(0);
  });
});

/** Environment variables of ours that are no setting. */
function unknownVariables(names: Iterable<string>): string[] {
  const known = new Set(leaves().map(({ variable }) => variable));
  return [...names].filter((name) => name.startsWith('EEGD_') && !known.has(name));
}

interface Service {
  readonly image: string;
  readonly user: string;
  readonly read_only: boolean;
  readonly cap_drop: string[];
  readonly security_opt: string[];
  readonly privileged?: boolean;
  readonly environment?: Record<string, string>;
  readonly secrets?: string[];
  readonly ports?: string[];
  readonly command: string[];
}

interface Compose {
  readonly services: Record<string, Service>;
  readonly secrets: Record<string, unknown>;
  readonly configs: Record<string, { content: string }>;
}

const compose = () =>
  parse(readFileSync('systemd/compose/compose.yaml', 'utf8'), { merge: true }) as Compose;

test('every service of the Compose file has the least rights and settings that exist', () => {
  const file = compose();
  expect(Object.keys(file.services)).toEqual(
    expect.arrayContaining(['nats-1', 'nats-2', 'nats-3', 'worker', 'gateway', 'edge']),
  );
  for (const [name, service] of Object.entries(file.services)) {
    expect(service.user, name).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(service.read_only, name).toBe(true);
    expect(service.cap_drop, name).toEqual(['ALL']);
    expect(service.security_opt, name).toContain('no-new-privileges:true');
    expect(service.privileged ?? false, name).toBe(false);
    expect(unknownVariables(Object.keys(service.environment ?? {})), name).toEqual([]);
    for (const secret of service.secrets ?? []) expect(file.secrets, name).toHaveProperty([secret]);
    for (const right of ['devices', 'network_mode', 'pid', 'ipc', 'cap_add', 'userns_mode'])
      expect(service, name).not.toHaveProperty(right);
    expect(service.ports ?? [], name).toEqual(name === 'gateway' ? ['127.0.0.1:8765:8765'] : []);
  }
});

test('every service has the seed of its own role, and of no other', () => {
  const { services } = compose();
  const seeds = Object.entries(services).flatMap(([name, { secrets = [], environment = {} }]) => {
    const own = secrets.filter((secret) => secret.endsWith('.nk'));
    if (own.length === 0) return [];
    expect(environment.EEGD_CLUSTER_NKEY_SEED_FILE, name).toBe(`/run/secrets/${own[0]}`);
    return [`${name} ${own.join(' ')}`];
  });
  expect(seeds).toEqual([
    ...['init operator.nk', 'worker worker.nk', 'gateway gateway-lab.nk', 'edge edge-lab.nk'],
  ]);
});

test.skipIf(natsProgram === undefined)('NATS takes the configuration of the Compose file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eegd-compose-'));
  const permissions = join(folder, 'eegd-nats.conf');
  writeFileSync(permissions, makePermissions(['lab']).config);
  const content = compose().configs['nats.conf']?.content ?? '';
  expect(content).toContain('include /run/secrets/eegd-nats.conf');
  const file = join(folder, 'nats.conf');
  // An included file is looked for beside the file that includes it.
  writeFileSync(file, content.replace('/run/secrets/eegd-nats.conf', './eegd-nats.conf'));
  const args = ['--config', file, '--name', 'nats-1', '-t'];
  const { status, stderr } = spawnSync(natsProgram as string, args, { encoding: 'utf8' });
  expect(stderr).toContain('is valid');
  expect(status).toBe(0);
});

interface Rule {
  readonly to?: unknown[];
  readonly ports: { readonly protocol: string; readonly port: number }[];
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Record<string, string>;
  readonly spec?: {
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly podSelector?: { readonly matchLabels: Record<string, string> };
    readonly policyTypes?: string[];
    readonly ingress?: Rule[];
    readonly egress?: Rule[];
    readonly template?: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: {
        readonly automountServiceAccountToken: boolean;
        readonly securityContext: Record<string, unknown>;
        readonly containers: {
          readonly securityContext: Record<string, unknown>;
          readonly env: { readonly name: string }[];
          readonly volumeMounts: { readonly name: string }[];
        }[];
        readonly volumes: { readonly name: string }[];
      };
    };
  };
}

test('every pod on Kubernetes meets the restricted standard, with settings that exist', () => {
  const text = readFileSync('systemd/kubernetes/eegd.yaml', 'utf8');
  const documents = parseAllDocuments(text);
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  const manifests = documents.map((document) => document.toJS() as Manifest);
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment');
  expect(deployments.map(({ metadata }) => metadata.name)).toEqual(['eegd-worker', 'eegd-gateway']);
  for (const { apiVersion, kind, metadata, data = {} } of manifests) {
    expect([apiVersion, kind, metadata.name].every((each) => each.length > 0)).toBe(true);
    expect(unknownVariables(Object.keys(data))).toEqual([]);
  }
  for (const { spec } of deployments) {
    const pod = spec?.template?.spec;
    expect(spec?.template?.metadata.labels).toMatchObject(spec?.selector.matchLabels ?? {});
    expect(pod?.automountServiceAccountToken).toBe(false);
    expect(pod?.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    const volumes = pod?.volumes.map(({ name }) => name);
    for (const container of pod?.containers ?? []) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(unknownVariables(container.env.map(({ name }) => name))).toEqual([]);
      for (const { name } of container.volumeMounts) expect(volumes).toContain(name);
    }
  }
  // Each pod is reached where it must be, and reaches NATS and names.
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy');
  expect(policies.map(({ spec }) => spec?.podSelector?.matchLabels.app)).toEqual([
    ...['eegd-worker', 'eegd-gateway'],
  ]);
  const portsOf = (rules: Rule[] = []) =>
    rules.flatMap(({ ports }) => ports.map(({ protocol, port }) => `${protocol} ${port}`));
  for (const { spec, metadata } of policies) {
    expect(spec?.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(portsOf(spec?.ingress)).toEqual(metadata.name === 'eegd-gateway' ? ['TCP 8765'] : []);
    expect(portsOf(spec?.egress)).toEqual(['TCP 4222', 'UDP 53', 'TCP 53']);
    expect(spec?.egress?.every(({ to }) => to?.length === 1)).toBe(true);
  }
});
