/** A worker in a process of its own, to be killed: node --import tsx worker-process.ts CONFIG */
import { readFileSync } from 'node:fs';
import { startWorker } from '../../src/cluster/roles.js';
import { parseConfig } from '../../src/config/load.js';
import { createLogger } from '../../src/core/log.js';

const file = process.argv[2] as string;
const config = parseConfig(readFileSync(file, 'utf8'), file);
await startWorker(config, createLogger(process.env.LAB_LOG ? 'info' : 'silent', false));
process.send?.('ready');
