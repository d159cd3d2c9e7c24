/**
 * The amplifiers of the ingest benchmark, in a process of its own: outlets that push sample by
 * sample (the worst case), each sample stamped when it is pushed, its first value a counter.
 * Arguments: settings, streams, channels, rate.
 */
import { localClock } from '../../drivers/lsl/clock.js';
import { parseLslConfig } from '../../drivers/lsl/config.js';
import { Outlet } from '../../drivers/lsl/outlet.js';

const [settings = '', streams = '1', channels = '32', rateHz = '500'] = process.argv.slice(2);
const config = parseLslConfig(settings);
const channelCount = Number(channels);
const rate = Number(rateHz);

const outlets = await Promise.all(
  Array.from({ length: Number(streams) }, (_, k) =>
    Outlet.open(
      {
        ...{ name: `bench ${k}`, type: 'EEG', sourceId: `bench-${k}`, format: 'float32' },
        ...{ channelCount, rateHz: rate },
      },
      { config },
    ),
  ),
);

const values = Float32Array.from({ length: channelCount }, (_, k) => 20 * Math.sin(k));
const startS = localClock();
let pushed = 0;
const timer = setInterval(() => {
  const due = Math.floor((localClock() - startS) * rate);
  for (; pushed < due; pushed++) {
    values[0] = pushed;
    for (const one of outlets) one.push(values);
  }
}, 1);

process.on('message', (order: 'stop') => {
  if (order !== 'stop') return;
  clearInterval(timer);
  const dropped = outlets.reduce((sum, one) => sum + one.dropped, 0);
  process.send?.({ pushed, dropped });
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true, atS: localClock() });
