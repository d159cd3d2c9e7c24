/**
 * The configuration: one tree, each leaf with its meaning, range, unit and default. Documentation,
 * JSON Schema, environment names and validation all come from here.
 */
import { z } from 'zod';

const folder = (what: string) => z.string().min(1).describe(what);
const flag = (what: string, normally: boolean) => z.boolean().default(normally).describe(what);

const server = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
  port: z.int().min(0).max(65535).default(8765).describe('TCP port; 0 = any free one'),
  tokenFile: folder('File of access tokens; needed to listen beyond loopback').optional(),
  tls: z
    .strictObject({
      certFile: folder('PEM certificate chain'),
      keyFile: folder('PEM private key'),
    })
    .optional()
    .describe('TLS by certificate files'),
  behindProxy: flag('A proxy in front ends TLS', false),
  hosts: z.array(z.string().min(1)).max(32).default([]).describe('Host names of this server'),
  origins: z.array(z.url()).max(32).default([]).describe('Web origins besides the dashboard'),
});

const stream = z.strictObject({
  address: z
    .string()
    .regex(/^[a-z][a-z0-9-]*:.*$/, 'expected DRIVER:WHERE, e.g. lsl:name or replay:file.edf')
    .describe('What to connect, e.g. lsl:openbci, cyton:/dev/ttyUSB0, replay:file.edf?loop=1'),
  mainsHz: z
    .union([z.literal(50), z.literal(60), z.literal('auto')])
    .default('auto')
    .describe('Frequency of the mains notch, Hz'),
  tasks: z
    .array(z.string().min(1))
    .max(64)
    .optional()
    .describe('Tasks to serve on this stream; all where absent'),
});

const engineKind = z.enum(['onnx', 'tfjs-node-gpu', 'tfjs-node', 'tfjs']);

const engine = z.strictObject({
  kind: engineKind.default('onnx').describe('What computes the model'),
  device: z
    .enum(['auto', 'cpu', 'webgpu', 'cuda', 'tensorrt'])
    .default('cpu')
    .describe('Where it computes; auto measures all but tensorrt'),
  threads: z.int().min(1).max(64).default(1).describe('Threads of one run'),
  workers: z
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe(
      'Most runs at once on the CPU, each with the weights in memory; where absent, as many as cores, 4 at most',
    ),
});

const models = z.strictObject({
  folder: folder('Folder of checkpoints, name@version each; STATE/models where absent').optional(),
  active: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}(@[a-z0-9][a-z0-9._-]{0,63})?$/, 'expected NAME@VERSION')
    .optional()
    .describe('Checkpoint to serve; the last activated one where absent'),
});

const discovery = z.strictObject({
  autoConnect: z
    .boolean()
    .optional()
    .describe('Connect every headset found; where absent, if no streams are configured'),
  everyS: z.number().min(1).max(3600).default(5).describe('Seconds between searches'),
});

const adaptation = z.strictObject({
  enabled: flag('Let clients train experts while the stream runs', true),
  threads: z.int().min(1).max(64).default(1).describe('Threads of the learner process'),
  engine: engineKind
    .optional()
    .describe('What computes losses and gradients of the learner; engine.kind where absent'),
});

const lsl = z.strictObject({
  predictions: flag('An outlet of probabilities for each stream and task', false),
  events: flag('An outlet of events and markers for each stream', false),
  signal: z
    .array(z.string().min(1))
    .max(256)
    .default([])
    .describe('Ids of streams whose conditioned signal goes out too, 200 Hz; "*" = all'),
});

const clusterName = (what: string) =>
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,15}$/, 'expected at most 16 of a-z, 0-9 and -')
    .describe(what);

const cluster = z.strictObject({
  servers: z
    .string()
    .regex(/^(nats|tls):\/\/[^,\s]+(,(nats|tls):\/\/[^,\s]+)*$/, 'expected nats://HOST:PORT,...')
    .default('nats://127.0.0.1:4222')
    .describe('NATS servers, separated by commas'),
  site: clusterName('Site of an edge').default('lab'),
  sites: z
    .string()
    .regex(/^[a-z0-9-]+(,[a-z0-9-]+)*$/, 'expected names separated by commas')
    .optional()
    .describe('Sites of a worker or gateway, separated by commas; the site where absent'),
  name: clusterName('Name of this edge or worker; made from the host where absent').optional(),
  nkeySeedFile: folder('File of the nkey seed that this role has on NATS').optional(),
  credsFile: folder('Credentials file that this role has on NATS').optional(),
  tls: z
    .strictObject({
      caFile: folder('PEM certificates of who signs for the servers').optional(),
      certFile: folder('PEM certificate of this role').optional(),
      keyFile: folder('PEM private key of this role').optional(),
    })
    .optional()
    .describe('TLS towards NATS'),
  replicas: z.int().min(1).max(5).default(1).describe('Copies of every message; 3 in production'),
  partitions: z
    .int()
    .min(1)
    .max(512)
    .default(4)
    .describe("Parts of a site's streams: at most so many workers share it"),
  stepBytesMax: z
    .int()
    .min(1 << 16)
    .max(2 ** 40)
    .default(2 ** 28)
    .describe('Signal of a site that JetStream keeps at most, bytes'),
  staleS: z
    .number()
    .min(0)
    .max(30)
    .default(0)
    .describe("Least age of a window that is dropped as stale, s; a task's own where longer"),
  discoverServers: flag('Use the servers that the named ones tell of, too', true),
  predictLocally: flag('An edge predicts by itself while the link is down', true),
  spool: flag('An edge records in case the link goes down, and sends that later', true),
  people: z
    .record(z.string().min(1).max(64), z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/))
    .default({})
    .describe('Whose expert pack serves a stream: STREAM: PERSON'),
});

export const configSchema = z.strictObject({
  server: server.prefault({}).describe('The WebSocket and HTTP server'),
  streams: z.array(stream).max(256).default([]).describe('Streams to connect at the start'),
  discovery: discovery.prefault({}).describe('Finding streams by itself'),
  models: models.prefault({}).describe('Checkpoints'),
  lsl: lsl.prefault({}).describe('What goes out on the network as LSL streams'),
  engine: engine.prefault({}).describe('The engine'),
  adaptation: adaptation.prefault({}).describe('Online adaptation'),
  cluster: cluster.prefault({}).describe('The roles edge, worker and gateway'),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default('info')
        .describe('Least severe level that is logged'),
    })
    .prefault({})
    .describe('Logging, to stderr'),
  recordings: z
    .strictObject({ folder: folder('Where recordings go; STATE/recordings if absent').optional() })
    .prefault({})
    .describe('Recording streams to files'),
  state: z
    .strictObject({ folder: folder('Where the daemon keeps its state').optional() })
    .prefault({})
    .describe('What survives a restart'),
});

export type Config = z.infer<typeof configSchema>;
export type LslOutConfig = Config['lsl'];
export type StreamConfig = Config['streams'][number];
