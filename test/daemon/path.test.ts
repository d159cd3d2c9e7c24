/** The whole path: driver, signal, windows, engine, decision, server, a WebSocket client. */
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { packageRoot } from '../../src/core/paths.js';
import type { Daemon } from '../../src/daemon/daemon.js';
import type { EngineKind } from '../../src/engine/create-engine.js';
import { type RunningServer, startServer } from '../../src/server/server.js';
import { threeTasks } from '../support/fake-engine.js';
import { TestClient } from '../support/test-client.js';
import {
  type Answered,
  daemonOn,
  Listener,
  openTiny,
  tinyStore,
  windowEnds,
} from '../support/tiny-checkpoint.js';

const recording = join(packageRoot(), 'models', 'demo', 'arithmetic.edf');
const close: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const each of close.splice(0).reverse()) await each();
});

async function setUp(releases: readonly string[], kind: EngineKind = 'onnx') {
  const { store, folder } = await tinyStore(releases);
  const held = { daemon: undefined as Daemon | undefined };
  const ready = async () => {
    if ((held.daemon?.pending ?? 0) > 64) await held.daemon?.idle();
  };
  const engine = await openTiny(join(folder, `tiny@${releases[0]}`), kind);
  const daemon = daemonOn(engine, store, { context: { ready } });
  held.daemon = daemon;
  close.push(() => daemon.close());
  return { daemon, listener: new Listener(daemon) };
}

async function ended(daemon: Daemon, stream: string): Promise<void> {
  await new Promise<void>((resolve) => {
    daemon.events$.subscribe((event) => {
      if (event.kind === 'status' && event.stream === stream && event.state === 'ended') resolve();
    });
  });
  await daemon.idle();
}

function expectEveryWindowOnce(answers: readonly Answered[], stream: string, samples: number) {
  for (const task of threeTasks) {
    const own = answers.filter((a) => a.stream === stream && a.task === task.name);
    expect(own.map(({ endSample }) => endSample)).toEqual(windowEnds(task, samples));
    expect(own.map(({ seq }) => seq)).toEqual(own.map((_, i) => i));
  }
}

describe('the whole path', () => {
  test.each(['onnx', 'tfjs'] as const)(
    'answers every window of a bundled recording once, to a WebSocket client (%s)',
    async (kind) => {
      const { daemon, listener } = await setUp(['1'], kind);
      expect(daemon.snapshot().engine).toMatch(kind);
      const server: RunningServer = await startServer(daemon, { port: 0 }, silentLogger);
      close.push(() => server.close());
      const client = new TestClient(server.address);
      await client.opened;
      client.socket.send(JSON.stringify({ id: 1, type: 'subscribe', topics: ['predictions'] }));
      await client.next(({ type }) => type === 'result');
      const { stream } = await daemon.connect(`replay:${recording}?speed=max&id=r`);
      await ended(daemon, stream);
      const samples = listener.samples.get('r') as number;
      expect(samples).toBeGreaterThan(120 * 200);
      expectEveryWindowOnce(listener.answers, 'r', samples);

      const last = listener.answers[listener.answers.length - 1] as Answered;
      const isLast = (m: Record<string, unknown>) => {
        const event = m.event as Answered | undefined;
        return event?.task === last.task && event.endSample === last.endSample;
      };
      const received = [await client.next(isLast), ...client.messages]
        .filter((m) => m.type === 'event')
        .map((m) => m.event as Answered);
      const byKey = (a: Answered, b: Answered) => a.task.localeCompare(b.task) || a.seq - b.seq;
      expectEveryWindowOnce(received.sort(byKey), 'r', samples);
    },
  );

  test('gives calibrated probabilities, and reasons where it cannot', async () => {
    const { daemon, listener } = await setUp(['1']);
    const { stream } = await daemon.connect(`replay:${recording}?speed=max&id=r`);
    await ended(daemon, stream);
    for (const answer of listener.answers) {
      if (answer.kind === 'no_prediction') {
        expect(['gap', 'warming_up']).toContain(answer.reason);
        continue;
      }
      const sum = Object.values(answer.probabilities).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(1, 9);
      expect(answer.probabilities).toHaveProperty(answer.label);
      expect(answer.checkpoint).toBe('tiny@1');
    }
    // The two runs of the recording are 2 s apart: no window may span that.
    const refused = listener.answers.filter((a) => a.kind === 'no_prediction');
    expect(refused.some((a) => a.kind === 'no_prediction' && a.reason === 'gap')).toBe(true);
  });
});
