/**
 * `npm run bench:adapt`: how well and how fast a person's task is learned. The trials of a real
 * session (EEGMMIDB S001, left and right fist, in their recorded order) go through the live signal
 * path; the first N teach, the rest judge. Beside it CSP + shrinkage LDA on the same trials and the
 * commonest label. Last line with `--json`: {curve: [{trials, accuracy, low, high, csp, chance,
 * seconds}], oldTasksBitIdentical, trained}. BENCH_TRIALS=20,40,60 chooses N.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ExpertTrainer } from '../../src/adaptation/expert-trainer.js';
import { changedTasks } from '../../src/adaptation/old-tasks.js';
import { wilson } from '../../src/adaptation/prequential.js';
import { TrialLatents } from '../../src/adaptation/trial-latents.js';
import type { TrainerTrial } from '../../src/adaptation/trial-votes.js';
import { packageRoot } from '../../src/core/paths.js';
import type { ChannelInfo } from '../../src/core/stream.js';
import { gridSamples, modelRateHz, type TaskSpec } from '../../src/core/tasks.js';
import { openRecording } from '../../src/formats/recording.js';
import { loadCheckpoint } from '../../src/model/checkpoint.js';
import { attachPack } from '../../src/model/growing.js';
import { conditionRecording, type SignalPath } from '../../src/signal/path.js';
import { cspFeatures, fitCsp, type Trial } from '../../src/training/baselines/csp.js';
import { bandPassed } from '../../src/training/baselines/features.js';
import { fitLda, ldaScores } from '../../src/training/baselines/lda.js';

const data = process.env.EEGD_DATA ?? join(packageRoot(), '..', 'shared', 'data');
const folder = join(data, 'eegmmidb', 'S001');
const checkpoint = process.env.BENCH_CHECKPOINT ?? join(packageRoot(), 'models', 'base');
const sizes = (process.env.BENCH_TRIALS ?? '20,40,60').split(',').map(Number);
const runs = ['03', '04', '07', '08', '11'];
const places = ['FC3', 'FCz', 'FC4', 'C5', 'C3', 'C1', 'Cz', 'C2', 'C4', 'C6', 'CP3', 'CP4'];
const windowS = 3;
const task: TaskSpec = {
  ...{ name: 'fists', classes: ['left', 'right'], windowS, hopS: 0.5, contextWindows: 0 },
  ...{ minValid: 0.75, temperature: 1, smoothing: 1 },
};

if (!existsSync(folder)) {
  console.error(`SKIPPED: no recordings in ${folder} (set EEGD_DATA)`);
  process.exit(0);
}

interface Session {
  readonly path: SignalPath;
  readonly cues: { readonly label: number; readonly startS: number }[];
}

async function session(run: string): Promise<Session> {
  const recording = await openRecording(join(folder, `S001R${run}.edf`));
  const plain = (label: string) => label.replace(/\./g, '').toLowerCase();
  const wanted = places.map((place) =>
    recording.channels.findIndex(({ label }) => plain(label) === place.toLowerCase()),
  );
  const channels = wanted.map((at, i): ChannelInfo => {
    if (at < 0) throw new Error(`no ${places[i]} in run ${run}`);
    return { ...(recording.channels[at] as ChannelInfo), label: places[i] as string };
  });
  const { frames, rateHz } = recording;
  const all = await recording.read(0, frames);
  const chunk = new Float32Array(frames * channels.length);
  const width = recording.channels.length;
  for (let i = 0; i < frames; i++) {
    for (const [c, at] of wanted.entries()) {
      chunk[i * channels.length + c] = all[i * width + at] as number;
    }
  }
  const info = { id: 'bench', name: 'bench', driver: 'bench', rateHz, channels };
  const path = conditionRecording(info, [
    { kind: 'info', info },
    { kind: 'chunk', chunk: { index: 0, frames, data: chunk, arrivalS: frames / rateHz } },
  ]);
  const cues = recording.annotations.flatMap(({ text, onsetS }) => {
    const label = ['T1', 'T2'].indexOf(text.trim());
    return label < 0 ? [] : [{ label, startS: onsetS }];
  });
  recording.close();
  return { path, cues };
}

/** Index of a second of the recording, on the 0.25 s grid. */
const gridAt = (seconds: number) => Math.round((seconds * modelRateHz) / gridSamples) * gridSamples;

const base = await loadCheckpoint(checkpoint);
const model = { arch: base.arch, weights: base.weights };
const trials: (TrainerTrial & { readonly csp: Trial })[] = [];
const sessions: Session[] = [];
for (const run of runs) sessions.push(await session(run));
const first = sessions[0] as Session;
const latents = await TrialLatents.open(model, task, first.path.electrodes, { threads: 1 });
for (const { path, cues } of sessions) {
  for (const { label, startS } of cues) {
    const start = gridAt(startS + 0.5);
    const end = start + windowS * modelRateHz;
    if (end > path.ring.nextIndex) continue;
    const channels = path.channels.length;
    const { data: signal, valid } = path.ring.copy(start, end);
    const ticks = (windowS * modelRateHz) / gridSamples;
    const scale = Float32Array.from({ length: ticks * channels }, (_, i) =>
      path.ring.scaleAt(i % channels, start + (Math.floor(i / channels) + 1) * gridSamples),
    );
    const windows = await latents.windows({ data: signal, valid, scale });
    const scales = scale.slice(-channels);
    const prepared = { channels, signal: () => signal, scales: () => scales };
    const csp = bandPassed(prepared, windowS * modelRateHz, windowS);
    if (windows.length > 0) trials.push({ id: trials.length, label, windows, csp });
  }
}
await latents.close();
console.log(`${trials.length} trials of ${runs.length} runs, ${base.id}, trained ${base.trained}`);

function cspCorrect(train: readonly (typeof trials)[0][], test: typeof train): number {
  const labels = train.map(({ label }) => label);
  const csp = fitCsp(
    train.map((trial) => trial.csp),
    labels,
    2,
    3,
  );
  const lda = fitLda(
    train.map((trial) => cspFeatures(csp, trial.csp)),
    labels,
    2,
  );
  return test.filter(({ csp: trial, label }) => {
    const scores = ldaScores(lda, cspFeatures(csp, trial));
    return scores.indexOf(Math.max(...scores)) === label;
  }).length;
}

const trainer = await ExpertTrainer.open(model, {
  pack: { name: 'fists', task, experts: 1 },
  seed: 1,
  threads: 1,
});
const curve: Record<string, number>[] = [];
let identical = true;
for (const count of sizes) {
  if (count + 10 > trials.length) continue;
  const [train, test] = [trials.slice(0, count), trials.slice(count)];
  const began = performance.now();
  const { pack, epochs } = await trainer.fit(train);
  const seconds = (performance.now() - began) / 1000;
  const predicted = await trainer.predict(pack, test);
  const correct = test.filter(({ label }, i) => predicted[i] === label).length;
  const { value, low, high } = wilson(correct, test.length);
  const csp = cspCorrect(train, test) / test.length;
  const lefts = test.filter(({ label }) => label === 0).length;
  const chance = Math.max(lefts, test.length - lefts) / test.length;
  identical &&= (await changedTasks(model, attachPack(model, pack))).length === 0;
  curve.push({ trials: count, accuracy: value, low, high, csp, chance, seconds, epochs });
  console.log(
    `${count} trials: expert ${value.toFixed(2)} (95 %: ${low.toFixed(2)} to ${high.toFixed(2)}), ` +
      `CSP + LDA ${csp.toFixed(2)}, commonest ${chance.toFixed(2)}; ` +
      `${seconds.toFixed(1)} s, ${epochs} epochs, judged on ${test.length}`,
  );
}
await trainer.close();
console.log(`old tasks bit-identical: ${identical}`);
if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ curve, oldTasksBitIdentical: identical, trained: base.trained }));
}
