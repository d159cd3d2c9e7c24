/** TLS between the roles and a real server, with certificates made here: both sides show one. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLink } from '../../src/cluster/connection.js';
import { silentLogger } from '../../src/core/log.js';
import { Answers, Lab, tinyModels } from './lab.js';
import { hasNats, NatsCluster, until } from './nats-cluster.js';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
if (!hasOpenssl) console.warn('SKIPPED: the test of TLS needs openssl');

const folder = mkdtempSync(join(tmpdir(), 'eegd-tls-'));
const file = (name: string) => join(folder, name);

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function makeAuthority(name: string): void {
  const keep = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)];
  const what = ['-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', `/CN=${name}`];
  openssl('req', ...what, ...keep);
}

/** Of a server at localhost, and of a role. */
function makeCertificate(name: string, authority: string): void {
  const [request, extensions] = [file(`${name}.csr`), 'subjectAltName=DNS:localhost'];
  const key = ['-newkey', 'ed25519', '-nodes', '-keyout', file(`${name}.key`)];
  openssl('req', ...key, '-subj', `/CN=${name}`, '-addext', extensions, '-out', request);
  const signer = ['-CA', file(`${authority}.pem`), '-CAkey', file(`${authority}.key`)];
  const out = ['-CAcreateserial', '-copy_extensions', 'copy', '-days', '2'];
  openssl('x509', '-req', '-in', request, ...signer, ...out, '-out', file(`${name}.pem`));
}

const tlsOf = (name: string, authority = 'lab') => ({
  caFile: file(`${authority}.pem`),
  certFile: file(`${name}.pem`),
  keyFile: file(`${name}.key`),
});

let nats: NatsCluster;
let lab: Lab;
let servers: string[];

const open = (tls: Parameters<typeof openLink>[0]['tls']) =>
  openLink({ servers, tls }, { role: 'operator', site: 'lab', name: 'op', log: silentLogger });

describe.skipIf(!hasNats || !hasOpenssl)('over TLS', () => {
  beforeAll(async () => {
    for (const name of ['lab', 'stranger']) makeAuthority(name);
    makeCertificate('server', 'lab');
    makeCertificate('role', 'lab');
    makeCertificate('outsider', 'stranger');
    const pem = (name: string) => `"${file(name)}"`;
    nats = await NatsCluster.start(
      1,
      `tls { cert_file: ${pem('server.pem')}, key_file: ${pem('server.key')},
         ca_file: ${pem('lab.pem')}, verify: true }`,
    );
    const text = (name: string) => readFileSync(file(name), 'utf8');
    const tls = { ca: text('lab.pem'), cert: text('role.pem'), key: text('role.key') };
    servers = nats.urls.map((url) => url.replace('nats://127.0.0.1', 'tls://localhost'));
    await nats.ready({ tls, servers });
    lab = new Lab({ nats, models: await tinyModels(['1']) });
  });
  afterAll(async () => {
    await lab?.stop();
    await nats?.stop();
  });

  test('edge, worker and gateway do their work', async () => {
    const settings = { servers, cluster: { tls: tlsOf('role') } };
    await lab.worker('w1', settings);
    const { gateway } = await lab.gateway(settings);
    const answers = new Answers(gateway.events$);
    await lab.edge('bed-1', { ...settings, streams: ['synthetic:?channels=2&rateHz=250'] });
    await until(() => answers.predictions.length > 4, 'predictions');
  });

  test('who shows no certificate, or that of a stranger, is refused', async () => {
    const { caFile, ...rest } = tlsOf('outsider');
    const unreachable = { code: 'EEG_CLUSTER_UNREACHABLE' };
    await expect(open({ caFile })).rejects.toMatchObject(unreachable);
    await expect(open({ caFile, ...rest })).rejects.toMatchObject(unreachable);
    await expect(connect({ servers: nats.urls, reconnect: false })).rejects.toThrow();
  });

  test('a server that somebody else signed for is not believed', async () => {
    const { code, message } = await open(tlsOf('role', 'stranger')).then(
      () => ({ code: 'none', message: 'it was believed' }),
      (error: { code: string; message: string }) => error,
    );
    expect({ code, message }).toEqual({
      code: 'EEG_CLUSTER_UNREACHABLE',
      message: expect.stringMatching(/certificate/),
    });
  });

  test('a server by its address is refused: its certificate could not be checked', async () => {
    for (const server of ['tls://127.0.0.1:4222', 'tls://[::1]:4222']) {
      const who = { role: 'operator', site: 'lab', name: 'op', log: silentLogger } as const;
      await expect(openLink({ servers: [server] }, who)).rejects.toMatchObject({
        code: 'EEG_USAGE',
        message: `expected servers by name with TLS, got ${server}`,
      });
    }
  });

  test('a certificate that is not there is named in one line', async () => {
    await expect(open({ ...tlsOf('role'), keyFile: file('none.key') })).rejects.toMatchObject({
      code: 'EEG_CONFIG_UNREADABLE',
      message: expect.stringContaining('none.key'),
    });
  });
});
