/** The Grafana dashboard and the alert rules ask for metrics that exist, by labels that exist. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { fakePrediction, fakeStatus } from '../support/fake-daemon.js';
import { testServer } from '../support/test-client.js';

let names: Set<string>;
let labels: Set<string>;

beforeAll(async () => {
  const host = await testServer();
  host.daemon.emit(fakeStatus());
  host.daemon.emit(fakePrediction());
  const metrics = await host.server.metrics.registry.getMetricsAsJSON();
  const text = await host.server.metrics.text();
  await host.server.close();
  names = new Set(metrics.flatMap(({ name }) => [name, `${name}_bucket`]));
  const known = [...text.matchAll(/([a-z_]+)="/g)].map(([, label = '']) => label);
  // Prometheus itself adds the first two; the others belong to metrics that are still at none.
  labels = new Set([...known, 'instance', 'job', 'reason', 'result', 'stage']);
});

/** Metrics and labels of a PromQL expression. */
function check(expression: string): void {
  const plain = expression.replaceAll('$__rate_interval', '1m').replaceAll('$instance', 'x');
  const asked = [...plain.matchAll(/\b(eegd_[a-z_]+|nodejs_[a-z0-9_]+|process_[a-z_]+)/g)];
  for (const [, name = ''] of asked) expect(names, name).toContain(name);
  for (const [, label = ''] of plain.matchAll(/[{,]\s*([a-z_]+)\s*(?:=~|!=|=)/g))
    expect(labels, label).toContain(label);
  expect(asked.length + Number(plain.includes('up{'))).toBeGreaterThan(0);
}

describe('docs/grafana.json', () => {
  const { panels } = JSON.parse(readFileSync('docs/grafana.json', 'utf8')) as {
    panels: { id: number; title: string; targets: { expr: string }[] }[];
  };
  test.each(panels)('$title', ({ targets }) => {
    expect(targets.length).toBeGreaterThan(0);
    for (const { expr } of targets) check(expr);
  });
  test('has every panel once', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(panels.length).toBeGreaterThan(10);
  });
});

describe('systemd/eegd-alerts.rules.yml', () => {
  const { groups } = parse(readFileSync('systemd/eegd-alerts.rules.yml', 'utf8')) as {
    groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
  };
  test.each(groups.flatMap(({ rules }) => rules))('$alert', ({ expr, annotations }) => {
    check(expr);
    expect(annotations.summary).toBeTruthy();
  });
});
