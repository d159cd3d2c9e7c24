/**
 * Plain HTTP: the page, /metrics, /healthz, /readyz and /statusz. The page's files are read once
 * at the start into a map, so no request ever names a file: there is no path to traverse.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import type { DaemonApi } from '../core/daemon-api.js';
import type { Clock } from '../core/time.js';
import { asyncApi } from './asyncapi.js';
import { limits } from './limits.js';
import type { Metrics } from './metrics.js';
import { hostRefusal } from './origin.js';

interface Asset {
  readonly body: Buffer;
  readonly type: string;
  readonly etag: string;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.webmanifest': 'application/manifest+json',
};

const securityHeaders = {
  'Content-Security-Policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
} as const;

export interface HttpOptions {
  readonly daemon: DaemonApi;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly dashboardDir: string;
  /** False: the answer is 403. */
  hostAllowed(request: IncomingMessage): boolean;
  /** May this request read metrics and state? */
  mayRead(request: IncomingMessage): boolean;
}

export function httpHandler(options: HttpOptions) {
  const assets = readAssets(options.dashboardDir);
  return (request: IncomingMessage, response: ServerResponse): void => {
    answer(options, assets, request, response).catch(() => {
      if (!response.headersSent) text(response, 500, 'internal error');
      else response.destroy();
    });
  };
}

async function answer(
  options: HttpOptions,
  assets: ReadonlyMap<string, Asset>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!options.hostAllowed(request)) return text(response, 403, hostRefusal(request.headers.host));
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return text(response, 405, 'GET only');
  }
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  switch (path) {
    case '/healthz':
      return text(response, 200, 'ok');
    case '/readyz': {
      const missing = notReady(options.daemon, options.clock);
      return json(response, missing.length === 0 ? 200 : 503, { ready: !missing.length, missing });
    }
    case '/statusz':
      if (!options.mayRead(request)) return unauthorized(response);
      return json(response, 200, options.daemon.snapshot());
    case '/metrics': {
      if (!options.mayRead(request)) return unauthorized(response);
      const body = await options.metrics.text();
      return send(response, 200, options.metrics.registry.contentType, Buffer.from(body));
    }
    case '/asyncapi.json':
      return json(response, 200, asyncApi(options.daemon.snapshot().version));
    case '/ws':
      response.setHeader('Upgrade', 'websocket');
      return text(response, 426, 'open this with a WebSocket; see API.md');
    default: {
      const asset = assets.get(path === '/' ? '/index.html' : path);
      if (asset === undefined) return text(response, 404, notFound(assets, path));
      return sendAsset(request, response, path, asset);
    }
  }
}

/** What is missing until the daemon is ready; empty when it is. */
export function notReady(daemon: DaemonApi, clock: Clock): string[] {
  const { checkpoint, streams } = daemon.snapshot();
  const now = clock.now();
  const fresh = streams.some(
    ({ state, lastSampleS }) => state === 'streaming' && now - lastSampleS < limits.freshS,
  );
  return [
    ...(checkpoint === '' ? ['no checkpoint serves'] : []),
    ...(fresh ? [] : [`no stream had samples in the last ${limits.freshS} s`]),
    ...(daemon.dataFlows?.() === false ? ['samples come, but no window is answered'] : []),
  ];
}

function readAssets(folder: string): Map<string, Asset> {
  const assets = new Map<string, Asset>();
  if (!existsSync(folder)) return assets;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const type = types[extname(file)];
    if (type === undefined) continue;
    const body = readFileSync(file);
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    const path = file.slice(folder.length).replaceAll('\\', '/');
    assets.set(path, { body, type, etag });
  }
  return assets;
}

function sendAsset(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  asset: Asset,
): void {
  response.setHeader('ETag', asset.etag);
  // Vite names the files under /assets by their content; the page itself is asked for each time.
  const forever = path.startsWith('/assets/');
  response.setHeader('Cache-Control', forever ? 'public, max-age=31536000, immutable' : 'no-cache');
  if (request.headers['if-none-match'] === asset.etag) {
    response.writeHead(304, securityHeaders).end();
    return;
  }
  send(response, 200, asset.type, asset.body);
}

function notFound(assets: ReadonlyMap<string, Asset>, path: string): string {
  return path === '/' && assets.size === 0
    ? 'the dashboard is not built: npm run build'
    : 'not found';
}

function unauthorized(response: ServerResponse): void {
  response.setHeader('WWW-Authenticate', 'Bearer realm="eegd"');
  text(response, 401, 'send Authorization: Bearer TOKEN');
}

function json(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, 'application/json', Buffer.from(`${JSON.stringify(body)}\n`));
}

function text(response: ServerResponse, status: number, body: string): void {
  send(response, status, 'text/plain; charset=utf-8', Buffer.from(`${body}\n`));
}

function send(response: ServerResponse, status: number, type: string, body: Buffer): void {
  response.writeHead(status, {
    ...securityHeaders,
    'Content-Type': type,
    'Content-Length': body.length,
  });
  response.end(body);
}
