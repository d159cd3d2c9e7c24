/** Runs one fake board at a pty: `family device properties`. Obeys `BoardOrder`s over IPC. */
import { constants, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { Rng } from '../../src/core/rng.js';
import { type Clock, systemClock } from '../../src/core/time.js';
import type { FakeBoard } from './fake-board.js';
import type { BoardOrder } from './fake-pty.js';

async function boardOf(family: string, clock: Clock): Promise<FakeBoard> {
  const rng = new Rng(11);
  if (family === 'cyton') return new (await import('./fake-cyton.js')).FakeCyton(clock, rng);
  const boards = await import('./fake-boards.js');
  if (family === 'thinkgear') return new boards.FakeThinkGear(clock, rng);
  if (family === 'openeeg') return new boards.FakeOpenEeg(clock, rng);
  if (family === 'freeeeg32') return new boards.FakeFreeEeg32(clock, rng);
  if (family === 'chords') return new boards.FakeChords(clock, rng);
  throw new Error(`no fake board of family ${family}`);
}

const [family = '', device = '', properties = '{}'] = process.argv.slice(2);
const board = await boardOf(family, systemClock);
Object.assign(board, JSON.parse(properties));

const flags = constants.O_RDWR | constants.O_NOCTTY;
const writer = openSync(device, flags | constants.O_NONBLOCK);
const reader = new ReadStream(openSync(device, flags));
reader.on('data', (bytes: Buffer) => board.receive(bytes));
reader.on('error', () => process.exit(0));
reader.on('close', () => process.exit(0));

process.on('message', (order: BoardOrder) => {
  if (order.faults !== undefined) Object.assign(board.faults, order.faults);
  if (order.set !== undefined) Object.assign(board, order.set);
  if (order.power !== undefined) board.power(order.power);
  if (order.burst !== undefined) board.burst(order.burst);
  if (order.report === true) {
    const { made, dropped, streaming } = board;
    process.send?.({ made, dropped, streaming });
  }
});
process.on('disconnect', () => process.exit(0));

board.plug((bytes) => {
  try {
    writeSync(writer, bytes);
  } catch (error) {
    // Nobody reads and the line's buffer is full: a wire loses what does not fit.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EAGAIN') board.dropped++;
    else process.exit(0);
  }
});
process.send?.({ ready: true });
