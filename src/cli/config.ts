/** `eegd config`: check a file, explain every setting, print the JSON Schema for editors. */
import type { Command } from 'commander';
import { leaves } from '../config/leaves.js';
import { loadConfig } from '../config/load.js';
import { configSchema } from '../config/schema.js';

export function define(command: Command): void {
  command
    .command('check')
    .argument('<file>', 'YAML configuration')
    .description('report every mistake of a file, or print what it comes to')
    .action((file: string) => print(JSON.stringify(loadConfig(file, process.env), null, 2)));
  command
    .command('explain')
    .description('every setting with its environment variable')
    .action(explain);
  command
    .command('schema')
    .description('JSON Schema, for editors')
    .action(async () => {
      const { z } = await import('zod');
      print(JSON.stringify(z.toJSONSchema(configSchema, { io: 'input' }), null, 2));
    });
}

function explain(): void {
  for (const { path, variable, describe } of leaves())
    print(`${path.join('.').padEnd(24)} ${variable.padEnd(32)} ${describe}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
