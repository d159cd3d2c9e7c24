/** HTTP: health, readiness, metrics, the page's headers, and nothing else. */
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { localClock } from '../../src/core/time.js';
import { fakePrediction, fakeStatus } from '../support/fake-daemon.js';
import { type TestServer, testServer, tokenFile } from '../support/test-client.js';

let host: TestServer;
let dashboardDir: string;
beforeEach(async () => {
  dashboardDir = mkdtempSync(join(tmpdir(), 'eegd-http-'));
  mkdirSync(join(dashboardDir, 'assets'));
  writeFileSync(join(dashboardDir, 'index.html'), '<!doctype html><title>eegd</title>');
  writeFileSync(join(dashboardDir, 'assets', 'index-abc.js'), 'export {};');
  writeFileSync(join(dashboardDir, 'notes.txt'), 'not served');
  symlinkSync('/etc/passwd', join(dashboardDir, 'passwd.html'));
  host = await testServer({ dashboardDir });
});
afterEach(() => host.server.close());

const get = (path: string, init: RequestInit = {}) => fetch(`${host.server.address}${path}`, init);

/** A request line as it is, where fetch would tidy it. */
function rawStatus(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(host.server.port, '127.0.0.1', () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    });
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('close', () => resolve(Number(text.split(' ')[1])));
    socket.on('error', reject);
  });
}

describe('health', () => {
  test('/healthz is 200 while the process answers', async () => {
    expect((await get('/healthz')).status).toBe(200);
  });

  test('/readyz needs a warm checkpoint and a fresh stream', async () => {
    const ready = async () => {
      const answer = await get('/readyz');
      return [answer.status, ((await answer.json()) as { missing: string[] }).missing.length];
    };
    expect(await ready()).toEqual([503, 1]);
    host.daemon.emit(fakeStatus({ lastSampleS: localClock() }));
    expect(await ready()).toEqual([200, 0]);
    host.daemon.emit(fakeStatus({ lastSampleS: localClock() - 6 }));
    expect(await ready()).toEqual([503, 1]);
    host.daemon.emit(fakeStatus({ lastSampleS: localClock(), state: 'lost' }));
    expect(await ready()).toEqual([503, 1]);
    host.daemon.emit(fakeStatus({ lastSampleS: localClock() }));
    host.daemon.checkpoint = '';
    expect(await ready()).toEqual([503, 1]);
  });

  test('/statusz is the snapshot', async () => {
    expect(await (await get('/statusz')).json()).toMatchObject({ checkpoint: 'base@1' });
  });
});

describe('metrics', () => {
  test('count what happened, by bounded labels', async () => {
    host.daemon.emit(fakeStatus({ samples: 500, lostSamples: 3, discardedBytes: 33 }));
    host.daemon.emit(fakeStatus({ samples: 750, lostSamples: 5, clockOffsetS: -2.5 }));
    host.daemon.emit(fakePrediction({ latency: { queueMs: 2, runMs: 4, totalMs: 8 } }));
    const { kind, probabilities, smoothed, label, checkpoint, trained, latency, ...window } =
      fakePrediction();
    host.daemon.emit({ ...window, kind: 'no_prediction', reason: 'gap' });
    await host.daemon.load('base@2');
    host.daemon.emit({ kind: 'checkpoint', phase: 'loading', checkpoint: 'base@2' });
    await host.daemon.activate('base@2');
    const channel = { label: '"}evil{', state: 'flat', rmsUv: 0, mainsRatio: 0 } as const;
    host.daemon.emit({ kind: 'quality', stream: 's1', stampS: 1, channels: [channel] });
    for (const epochs of [3, 7, 2])
      host.daemon.emit({ kind: 'adaptation', stream: 's1', body: { state: 'ready', epochs } });
    host.daemon.pending = 5;
    const answer = await get('/metrics');
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await answer.text();
    for (const line of [
      'eegd_stream_samples_total{stream="s1"} 750',
      'eegd_stream_gap_samples_total{stream="s1"} 5',
      'eegd_stream_discarded_bytes_total{stream="s1"} 33',
      'eegd_stream_up{stream="s1"} 1',
      'eegd_stream_clock_offset_seconds{stream="s1"} -2.5',
      'eegd_inference_seconds_sum{task="motor_imagery"} 0.004',
      'eegd_stage_seconds_count{stage="queue"} 1',
      'eegd_window_dropped_total{reason="gap"} 1',
      'eegd_channel_bad{stream="s1",reason="flat"} 1',
      'eegd_stage_seconds_bucket{le="0.002",stage="queue"} 1',
      'eegd_stage_seconds_bucket{le="0.001",stage="queue"} 0',
      'eegd_stage_seconds_bucket{le="+Inf",stage="queue"} 1',
      'eegd_inference_pending 5',
      'eegd_finetune_steps_total 9',
      'eegd_swap_total{result="active"} 1',
      'eegd_swap_seconds_count 1',
      'eegd_model_info{name="base",version="2",trained="true",engine="onnx/cpu"} 1',
      'eegd_expert_token_share{block="0",task="sleep",expert="7"} 0.125',
      'eegd_build_info{version="0.0.0-test"',
      'nodejs_eventloop_lag_seconds',
    ])
      expect(text).toContain(line);
    expect(text).not.toContain('evil');
    expect(text).not.toMatch(/NaN/);
  });

  test('follow the naming conventions of Prometheus', async () => {
    const text = await (await get('/metrics')).text();
    const types = [...text.matchAll(/^# TYPE (eegd_\S+) (\S+)$/gm)];
    expect(types.length).toBeGreaterThan(15);
    for (const [, name = '', type] of types) {
      expect(name).toMatch(/^eegd_[a-z0-9_]+$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    }
  });
});

describe('with a token behind a proxy, state and metrics need it from elsewhere', () => {
  test('401 without, 200 with, and loopback may always look', async () => {
    await host.server.close();
    const file = tokenFile('read reader-token-0123456\ntrain trainer-token-01234\n');
    host = await testServer({ dashboardDir, tokenFile: file, behindProxy: true });
    const from = (token?: string) => ({
      headers: {
        'X-Forwarded-For': 'spoofed, 192.0.2.7',
        ...(token && { Authorization: `Bearer ${token}` }),
      },
    });
    for (const path of ['/metrics', '/statusz']) {
      expect((await get(path, from())).status).toBe(401);
      expect((await get(path, from('trainer-token-01234'))).status).toBe(401);
      expect((await get(path, from('reader-token-0123456'))).status).toBe(200);
      expect((await get(path)).status).toBe(200);
    }
    expect((await get('/healthz', from())).status).toBe(200);
  });
});

describe('the page', () => {
  test('comes with a strict policy and can be cached by its content', async () => {
    const answer = await get('/');
    expect(await answer.text()).toContain('<title>eegd</title>');
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('cache-control')).toBe('no-cache');
    const etag = answer.headers.get('etag') ?? '';
    expect((await get('/', { headers: { 'If-None-Match': etag } })).status).toBe(304);
    const asset = await get('/assets/index-abc.js');
    expect(asset.headers.get('cache-control')).toContain('immutable');
    expect(asset.headers.get('content-type')).toContain('javascript');
  });

  test.each([
    '/../../etc/passwd',
    '/..%2f..%2fetc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '//etc/passwd',
    '/assets/../../../etc/passwd',
    '/passwd.html',
    '/notes.txt',
    '/assets',
    '/assets/',
    '/index.html%00.js',
    '/.git/config',
    '/CON',
  ])('%s is 404: no path leads out, no folder is listed', async (path) => {
    expect(await rawStatus(path)).toBe(404);
  });

  test('only GET and HEAD', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      expect((await get('/', { method })).status).toBe(405);
    expect((await get('/', { method: 'HEAD' })).status).toBe(200);
    expect((await get('/ws')).status).toBe(426);
  });

  test('where it is not built, says so', async () => {
    await host.server.close();
    host = await testServer({ dashboardDir: join(dashboardDir, 'none') });
    const answer = await get('/');
    expect([answer.status, await answer.text()]).toEqual([
      404,
      'the dashboard is not built: npm run build\n',
    ]);
  });
});
