/** The generated permissions on a real server: a site's roles work, and reach no other site. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inboxOf } from '../../src/cluster/connection.js';
import { makePermissions } from '../../src/cluster/permissions.js';
import { openOperator, startGateway, startWorker } from '../../src/cluster/roles.js';
import { startEdge } from '../../src/cluster/start-edge.js';
import { Answers, labConfig, labLog, tinyModels } from './lab.js';
import { hasNats, NatsCluster, pause, until } from './nats-cluster.js';

const { config, seeds } = makePermissions(['a', 'b']);
const folder = mkdtempSync(join(tmpdir(), 'eegd-seeds-'));

function seedFile(user: string): string {
  const file = join(folder, `${user}.nk`);
  writeFileSync(file, `${seeds[user]}\n`);
  return file;
}

let nats: NatsCluster;
let models: string;
const close: (() => Promise<void>)[] = [];

const settings = (user: string, name: string, more: object = {}) =>
  labConfig({
    ...{ servers: nats.urls, models, active: 'tiny@1' },
    streams: user.startsWith('edge') ? ['synthetic:?channels=2&rateHz=250'] : [],
    cluster: {
      ...{ nkeySeedFile: seedFile(user), name, partitions: 1 },
      ...(user.startsWith('edge') ? { people: { synthetic: 'anna' } } : {}),
      ...more,
    },
  });

/** What the server refuses to the user that tries it. */
async function refused(
  user: string,
  inbox: string,
  act: (connection: NatsConnection) => Promise<unknown>,
): Promise<string> {
  const authenticator = nkeyAuthenticator(Buffer.from(seeds[user] as string));
  const connection = await connect({
    ...{ servers: nats.urls, authenticator, inboxPrefix: inbox },
    ...{ timeout: 2000, reconnect: false },
  });
  const said: string[] = [];
  void (async () => {
    for await (const status of connection.status())
      if (status.type === 'error') said.push(status.error.message);
  })();
  try {
    await act(connection).catch((error: unknown) => said.push(String(error)));
    await connection.flush();
    await pause(50);
    return said.join('; ');
  } finally {
    await connection.close();
  }
}

describe.skipIf(!hasNats)('permissions', () => {
  beforeAll(async () => {
    models = await tinyModels(['1']);
    nats = await NatsCluster.start(1, config);
    const operator = Buffer.from(seeds.operator as string);
    await nats.ready({
      authenticator: nkeyAuthenticator(operator),
      inboxPrefix: inboxOf('operator', ''),
    });
    const made = await openOperator(settings('operator', 'op', { sites: 'a,b' }), labLog);
    await made.close();
  });
  afterAll(async () => {
    for (const each of close.reverse()) await each();
    await nats?.stop();
  });

  test('let each role do its work', async () => {
    const worker = await startWorker(settings('worker', 'w1', { sites: 'a,b' }), labLog);
    close.push(worker.close);
    const { gateway, ...gate } = await startGateway(
      settings('gateway-a', 'g', { site: 'a' }),
      labLog,
    );
    close.push(gate.close);
    const edge = await startEdge(settings('edge-a', 'bed-1', { site: 'a' }), labLog);
    close.push(edge.close);
    const answers = new Answers(gateway.events$);
    await until(() => answers.predictions.length > 4, 'predictions');
    await until(() => gateway.edges().length === 1, 'the edge to be heard');
    expect(await gateway.devices()).toBeInstanceOf(Array);
    const begin = { task: 'fists', classes: ['left', 'right'] };
    expect(await gateway.adapt('start', begin)).toMatchObject({ state: 'collecting' });
  });

  test.each([
    ['edge-b', inboxOf('edge', 'b')],
    ['gateway-b', inboxOf('gateway', 'b')],
  ])('%s cannot read or write what is site a', async (user, inbox) => {
    const steps = 'eegd.a.steps.0.bed-1.synthetic';
    for (const subject of [steps, 'eegd.a.adapt.w1', 'eegd.a.command.bed-1'])
      expect(await refused(user, inbox, async (c) => c.publish(subject, 'x')), subject).toMatch(
        /permission/i,
      );
    for (const subject of ['eegd.a.>', steps, 'eegd.>', '>', '_INBOX.>', '_INBOX.edge-a.>']) {
      const said = await refused(user, inbox, async (c) => {
        c.subscribe(subject, { callback: () => undefined });
      });
      expect(said, subject).toMatch(/permission/i);
    }
    const reads = [
      async (c: NatsConnection) =>
        (await jetstreamManager(c, { checkAPI: false })).streams.info('EEGD_A_STEPS'),
      async (c: NatsConnection) =>
        (await jetstreamManager(c, { checkAPI: false })).streams.getMessage('EEGD_A_STEPS', {
          seq: 1,
        }),
      async (c: NatsConnection) =>
        (await jetstream(c).consumers.get('EEGD_A_RESULTS', { filter_subjects: '>' })).next({
          expires: 1000,
        }),
    ];
    for (const read of reads) expect(await refused(user, inbox, read)).not.toBe('');
  });

  test('nobody without a key comes in', async () => {
    await expect(connect({ servers: nats.urls, reconnect: false })).rejects.toThrow(/authoriz/i);
  });
});
