/** Which nodes of a graph ran where, from ONNX Runtime's own profile of a run. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import type { Feed } from '../../src/graph/session.js';

export interface ProfiledNode {
  readonly provider: string;
  readonly operator: string;
  /** Of each output: element type and shape. */
  readonly outputs: readonly { readonly type: string; readonly shape: readonly number[] }[];
}

interface TraceEvent {
  readonly cat: string;
  readonly args?: {
    readonly provider?: string;
    readonly op_name?: string;
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

export interface ProfiledRun {
  readonly nodes: readonly ProfiledNode[];
  /** float32 outputs. */
  readonly outputs: ReadonlyMap<string, Float32Array>;
}

/** One run of the model on `device`. */
export async function profileRun(
  model: Uint8Array,
  feeds: Readonly<Record<string, Feed>>,
  device: 'cpu' | 'webgpu',
): Promise<ProfiledRun> {
  const folder = mkdtempSync(join(tmpdir(), 'eegd-profile-'));
  try {
    const session = await ort.InferenceSession.create(model, {
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
      enableProfiling: true,
      profileFilePrefix: join(folder, 'run'),
      logSeverityLevel: 3,
    });
    const results = await session.run(
      Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, tensor(feed)])),
    );
    session.endProfiling();
    await session.release();
    const [file] = readdirSync(folder);
    if (file === undefined) throw new Error('ONNX Runtime wrote no profile');
    const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as TraceEvent[];
    const outputs = new Map<string, Float32Array>();
    for (const [name, { data }] of Object.entries(results))
      if (data instanceof Float32Array) outputs.set(name, data);
    return { nodes: nodesOf(events), outputs };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function nodesOf(events: readonly TraceEvent[]): ProfiledNode[] {
  return events.flatMap(({ cat, args }) => {
    if (cat !== 'Node' || args?.provider === undefined) return [];
    const outputs = (args.output_type_shape ?? []).flatMap((output) =>
      Object.entries(output).map(([type, shape]) => ({ type, shape })),
    );
    return [{ provider: args.provider, operator: args.op_name ?? '', outputs }];
  });
}

function tensor({ shape, data }: Feed): ort.Tensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, shape);
  if (data instanceof Int32Array) return new ort.Tensor('int32', data, shape);
  return new ort.Tensor('int64', data, shape);
}
