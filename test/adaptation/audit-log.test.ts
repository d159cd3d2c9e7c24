import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AuditLog, verifyAudit } from '../../src/adaptation/audit-log.js';

let folder = '';
let path = '';

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eegd-audit-'));
  path = join(folder, 'audit.jsonl');
  await append(6);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function append(lines: number): Promise<void> {
  const log = await AuditLog.open(path);
  for (let i = 0; i < lines; i++) {
    const entry = {
      actor: 'ws:anna',
      action: 'adapt.promote',
      from: 'base@1',
      to: `base@${i}`,
      why: 'ok',
    };
    await log.append(entry, { wallMs: 1000 * i, stampS: i });
  }
  await log.close();
}

const lines = () => readFileSync(path, 'utf8').split('\n').slice(0, -1);
const write = (changed: readonly string[]) => writeFileSync(path, `${changed.join('\n')}\n`);

describe('the audit log', () => {
  test('is a chain that goes on after a restart', async () => {
    await append(2);
    expect(await verifyAudit(path)).toEqual({ ok: true, lines: 8 });
    const [first, second] = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(first).toMatchObject({ seq: 0, actor: 'ws:anna', wall: '1970-01-01T00:00:00.000Z' });
    expect(second?.prev).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([0, 1, 2, 3, 4, 5])('names line %i when it is taken out', async (seq) => {
    write(lines().filter((_, i) => i !== seq));
    expect(await verifyAudit(path)).toMatchObject({ ok: false, seq });
  });

  test.each([0, 1, 2, 3, 4, 5])('notices that line %i was altered', async (seq) => {
    write(lines().map((line, i) => (i === seq ? line.replace('ws:anna', 'ws:carl') : line)));
    const verdict = await verifyAudit(path);
    expect(verdict.ok).toBe(false);
    // The hash of a line stands in the next one.
    expect([seq, seq + 1]).toContain(verdict.seq);
  });

  test('notices lines that changed places, were added, or lost their head', async () => {
    const [a, b, ...rest] = lines() as [string, string, ...string[]];
    write([b, a, ...rest]);
    expect(await verifyAudit(path)).toMatchObject({ ok: false, seq: 0 });
    write([a, a, b, ...rest]);
    expect(await verifyAudit(path)).toMatchObject({ ok: false, seq: 1 });
    write([a, b, ...rest]);
    expect((await verifyAudit(path)).ok).toBe(true);
    rmSync(`${path}.head`);
    expect(await verifyAudit(path)).toMatchObject({ ok: false });
  });

  test('drops a torn last line when it goes on, and says so until then', async () => {
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"seq":6,"wa`);
    expect(await verifyAudit(path)).toMatchObject({ ok: false, seq: 6 });
    await append(1);
    expect(await verifyAudit(path)).toEqual({ ok: true, lines: 7 });
  });

  test('writes nothing where it cannot, and rejects', async () => {
    await expect(AuditLog.open(folder)).rejects.toThrow(/cannot open the audit log/);
  });
});
