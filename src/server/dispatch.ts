/** Commands of a client, each as a call of the daemon. Scopes were checked before. */
import type { DaemonApi } from '../core/daemon-api.js';
import type { Hub } from './hub.js';
import type { CommandInput, CommandName, CommandResult } from './protocol.js';

/** What commands change about the client's own connection. */
export interface Subscriptions {
  /** Throws `EEG_WS_LIMIT` where there are too many. */
  subscribe(input: CommandInput<'subscribe'>): number;
  unsubscribe(subscription: number): void;
}

export interface CommandContext {
  readonly daemon: DaemonApi;
  readonly hub: Hub;
  readonly client: Subscriptions;
}

type Handler<N extends CommandName> = (
  context: CommandContext,
  input: CommandInput<N>,
) => Promise<CommandResult<N>> | CommandResult<N>;

const adapt =
  (name: string) =>
  ({ daemon }: CommandContext, { args }: CommandInput<'adapt.start'>) =>
    daemon.adapt(name, args);

const handlers: { readonly [N in CommandName]: Handler<N> } = {
  ping: () => ({}),
  snapshot: ({ hub }) => hub.snapshot(),
  subscribe({ hub, client }, input) {
    const subscription = client.subscribe(input);
    return { subscription, snapshot: hub.snapshot() };
  },
  unsubscribe({ client }, { subscription }) {
    client.unsubscribe(subscription);
    return {};
  },
  history: ({ hub }, { stream, task, limit }) => hub.history(stream, task, limit),
  'devices.list': async ({ daemon }) => ({ devices: await daemon.devices() }),
  'devices.connect': ({ daemon }, { address }) => daemon.connect(address),
  async 'devices.disconnect'({ daemon }, { stream }) {
    await daemon.disconnect(stream);
    return {};
  },
  async 'checkpoints.list'({ daemon }) {
    const checkpoints = await daemon.checkpoints();
    return { checkpoints: checkpoints.map((each) => ({ ...each, tasks: [...each.tasks] })) };
  },
  async 'checkpoints.load'({ daemon }, { checkpoint, shadowS }) {
    return changed(await daemon.load(checkpoint, shadowS === undefined ? {} : { shadowS }));
  },
  async 'checkpoints.activate'({ daemon }, { checkpoint }) {
    return changed(await daemon.activate(checkpoint));
  },
  'checkpoints.rollback': async ({ daemon }) => changed(await daemon.rollback()),
  'recordings.list': ({ daemon }) => ({ recordings: daemon.recordings() }),
  'recordings.start': ({ daemon }, { stream, format }) => daemon.startRecording(stream, format),
  'recordings.stop': ({ daemon }, { recording }) => daemon.stopRecording(recording),
  'adapt.start': adapt('start'),
  'adapt.label': adapt('label'),
  'adapt.undo': adapt('undo'),
  'adapt.status': adapt('status'),
  'adapt.commit': adapt('commit'),
  'adapt.rollback': adapt('rollback'),
  'adapt.export': adapt('export'),
};

/** `input` must have passed the schema of `name`. Rejects with what the daemon threw. */
export async function dispatch<N extends CommandName>(
  context: CommandContext,
  name: N,
  input: CommandInput<N>,
): Promise<CommandResult<N>> {
  const handler: Handler<N> = handlers[name];
  return handler(context, input);
}

function changed(change: Awaited<ReturnType<DaemonApi['rollback']>>) {
  const { tasks, ...rest } = change;
  return tasks === undefined ? rest : { ...rest, tasks: [...tasks] };
}
