/**
 * The protocol as an AsyncAPI 3 document, made from the zod schemas. One channel is the connection
 * (AsyncAPI's WebSocket binding); a client sends commands and receives what the server says.
 */
import { z } from 'zod';
import {
  authMessage,
  type CommandName,
  commandMessages,
  commands,
  errorMessage,
  eventMessage,
  hello,
  laggedMessage,
  protocolVersion,
  result,
  scopes,
  streamMessage,
} from './protocol.js';

type Json = Readonly<Record<string, unknown>>;

const ref = (path: string) => ({ $ref: `#/${path}` });

/** `checkpoints.load` -> `checkpointsLoad`: component names have no dots. */
const key = (type: string) => type.replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase());

export function asyncApi(version: string): Json {
  const fromServer: Readonly<Record<string, Json>> = {
    hello: message('Hello', 'First message of the server.', hello),
    result: message('Result', 'The answer to the command of the same id.', result),
    event: message('Event', 'What a subscription asked for.', eventMessage),
    stream: message('Stream', 'Which stream a handle in binary frames means.', streamMessage),
    signal: signalMessage(),
    lagged: message('Lagged', 'How many messages a slow client missed.', laggedMessage),
    error: message('Error', 'About a message whose id could not be read.', errorMessage),
  };
  const fromClient: Record<string, Json> = {
    auth: message('auth', 'The token, within 5 s where hello asks for it.', authMessage),
  };
  for (const type of Object.keys(commands) as CommandName[])
    fromClient[key(type)] = commandOf(type);
  const messages = { ...fromServer, ...fromClient };
  const names = Object.keys(messages);
  return {
    asyncapi: '3.1.0',
    info: {
      title: 'eegd',
      version,
      description: `Live EEG predictions over a WebSocket, protocol ${protocolVersion}. See API.md.`,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      local: {
        host: '127.0.0.1:8765',
        protocol: 'ws',
        description: 'The default; wss where certificate files are given.',
      },
    },
    channels: {
      connection: {
        address: '/ws',
        description: 'The connection.',
        messages: Object.fromEntries(
          names.map((name) => [name, ref(`components/messages/${name}`)]),
        ),
        bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
      },
    },
    operations: {
      // AsyncAPI names them from the application's side: the daemon receives commands.
      command: operation('receive', Object.keys(fromClient)),
      answer: operation('send', Object.keys(fromServer)),
    },
    components: { messages },
  };
}

function operation(action: 'send' | 'receive', names: readonly string[]): Json {
  const messages = names.map((name) => ref(`channels/connection/messages/${name}`));
  return { action, channel: ref('channels/connection'), messages };
}

function message(name: string, summary: string, schema: z.ZodType): Json {
  return { name, title: name, summary, payload: jsonSchema(schema, 'input') };
}

function commandOf(type: CommandName): Json {
  const { scope, summary, result: answer } = commands[type];
  return {
    ...message(type, summary, commandMessages[type]),
    description: `Needs the scope \`${scope}\` of ${scopes.join(', ')}.`,
    'x-scope': scope,
    'x-result': jsonSchema(answer, 'output'),
  };
}

function signalMessage(): Json {
  return {
    name: 'Signal',
    title: 'Signal',
    summary: 'Conditioned signal, 200 Hz: binary, 32-byte header and float32 values. See API.md.',
    contentType: 'application/octet-stream',
    payload: { type: 'string', format: 'binary' },
  };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    target: 'draft-7',
    io,
    unrepresentable: 'any',
  }) as Record<string, unknown>;
  return rest;
}
