/**
 * F4: the whole process is stopped (SIGSTOP) and goes on, as where a machine is suspended. The
 * samples of the pause come at once, and windows of long ago must not pass for those of now.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { localClock } from '../../src/core/time.js';
import { serveProcess } from '../support/serve-process.js';
import { TestClient } from '../support/test-client.js';

const stoppedS = 12;
/** A window of the slowest task is stale after 5 s; a busy machine is slower than its clock. */
const ageMaxS = 6.5;

interface Answer {
  readonly kind: 'prediction' | 'no_prediction' | 'status';
  readonly task: string;
  readonly seq: number;
  readonly windowEndS: number;
  readonly latency?: { readonly runMs: number; readonly totalMs: number };
  readonly state?: string;
  readonly lostSamples?: number;
  readonly cameS: number;
}

test('stopped for 12 s, it goes on and says how old things are', { timeout: 180_000 }, async () => {
  const { child, address } = await serveProcess();
  const client = new TestClient(address);
  await client.opened;
  const topics = ['predictions', 'status', 'signal'];
  client.socket.send(JSON.stringify({ id: 1, type: 'subscribe', topics }));
  const events: Answer[] = [];
  const listen = async (isEnough: (event: Answer) => boolean) => {
    for (let enough = false; !enough; ) {
      const { event } = await client.next((m) => m.type === 'event');
      const answer = { ...(event as Answer), cameS: localClock() };
      events.push(answer);
      enough = isEnough(answer);
    }
  };
  await listen(({ kind, task }) => kind === 'prediction' && task === 'motor_imagery');
  child.kill('SIGSTOP');
  await sleep(1000 * stoppedS);
  child.kill('SIGCONT');
  const wentOnS = localClock();
  await listen(({ kind, windowEndS }) => kind === 'prediction' && windowEndS > wentOnS + 3);
  await listen(({ kind }) => kind === 'status');

  expect(events.at(-1)).toMatchObject({ kind: 'status', state: 'streaming', lostSamples: 0 });
  const answers = events.filter(({ kind }) => kind !== 'status');
  for (const name of new Set(answers.map(({ task }) => task))) {
    const own = answers.filter(({ task }) => task === name);
    expect(own.map(({ seq }) => seq)).toEqual(own.map((_, i) => (own[0]?.seq ?? 0) + i));
    const ends = own.map(({ windowEndS }) => windowEndS);
    expect(ends, 'stamps never go back').toEqual([...ends].sort((a, b) => a - b));
  }
  const after = answers.filter(({ cameS }) => cameS > wentOnS);
  expect(after.some(({ kind }) => kind === 'no_prediction')).toBe(true);
  for (const { latency, windowEndS, cameS } of after) {
    if (latency === undefined) continue;
    const ageS = cameS - windowEndS;
    const told = JSON.stringify({ ageS, ...latency });
    expect(latency.totalMs / 1000, told).toBeGreaterThan(ageS - 1.5);
    // A run that the pause interrupted is its answer's age; none may begin for what is old.
    expect(ageS - latency.runMs / 1000, told).toBeLessThan(ageMaxS);
  }
  const blocks = client.frames.map((frame) => [frame.readDoubleLE(16), frame.readUInt32LE(8)]);
  for (const [i, [index]] of blocks.entries()) {
    const [before = 0, samples = 0] = blocks[i - 1] ?? [];
    if (i > 0) expect(index, 'the signal has no hole').toBe(before + samples);
  }
});
