/**
 * Labelled windows of prepared recordings. Training draws them at random from labelled spans;
 * evaluation walks them in order, as the daemon would meet them.
 */
import type { Rng } from '../core/rng.js';
import { gridSamples, modelRateHz } from '../core/tasks.js';
import type { LabelledSpan } from './datasets/dataset.js';
import type { PreparedRecording } from './prepared.js';
import type { PlacedRecording } from './recipe.js';
import type { RecipeSource, RecipeTask } from './recipe-schema.js';

/** A recording that is prepared and may be cut. */
export interface Material {
  readonly ref: PlacedRecording;
  readonly prepared: PreparedRecording;
}

export interface TaskWindow {
  readonly material: Material;
  /** Index into the recipe's tasks, and into the task's classes. */
  readonly task: number;
  readonly label: number;
  /** 200 Hz sample, exclusive, a multiple of 50. */
  readonly endSample: number;
  readonly channelsMax: number;
}

interface ClassSpan {
  readonly material: Material;
  readonly label: number;
  /** Window starts allowed, samples on the grid, both inclusive. */
  readonly first: number;
  readonly last: number;
  readonly channelsMax: number;
}

/** Spans of a task in one source, by class and person. */
interface SourcePool {
  readonly weight: number;
  /** `[class][person]` spans. */
  readonly byClass: readonly (readonly (readonly ClassSpan[])[])[];
  /** Rare classes come more often than they are, by the task's `balance`. */
  readonly classWeight: readonly number[];
}

export class WindowPool {
  readonly #task: number;
  readonly #windowSamples: number;
  readonly #sources: readonly SourcePool[];
  /** Non-overlapping windows there are: how much the task has to teach. */
  readonly windows: number;

  constructor(task: number, spec: RecipeTask, materials: readonly Material[]) {
    this.#task = task;
    this.#windowSamples = spec.windowS * modelRateHz;
    let windows = 0;
    this.#sources = spec.sources.map((source) => {
      const spans = materials
        .filter((material) => material.ref.set === source.set)
        .flatMap((material) => classSpans(material, spec, source));
      const counts = spec.classes.map((_, k) =>
        spans
          .filter((span) => span.label === k)
          .reduce((sum, span) => sum + 1 + (span.last - span.first) / this.#windowSamples, 0),
      );
      windows += counts.reduce((a, b) => a + b, 0);
      return {
        weight: spans.length === 0 ? 0 : source.weight,
        byClass: spec.classes.map((_, k) => byPerson(spans.filter((span) => span.label === k))),
        classWeight: counts.map((count) => (count === 0 ? 0 : count ** (1 - spec.balance))),
      };
    });
    this.windows = windows;
  }

  /** How often each class is drawn. */
  classShares(): number[] {
    const out = (this.#sources[0]?.classWeight ?? []).map(() => 0);
    const all = this.#sources.reduce((sum, { weight }) => sum + weight, 0);
    for (const { weight, classWeight } of this.#sources) {
      const total = classWeight.reduce((a, b) => a + b, 0);
      if (total === 0) continue;
      for (const [k, own] of classWeight.entries()) out[k] += ((weight / all) * own) / total;
    }
    return out;
  }

  /** Source, then class, then person, then span by its length, then a place in it. */
  draw(rng: Rng): TaskWindow {
    const source =
      this.#sources[
        pick(
          this.#sources.map(({ weight }) => weight),
          rng,
        )
      ];
    const label = pick(source.classWeight, rng);
    const people = source.byClass[label];
    const spans = people[rng.below(people.length)];
    const lengths = spans.map((span) => span.last - span.first + this.#windowSamples);
    const span = spans[pick(lengths, rng)];
    const start = span.first + gridSamples * rng.below((span.last - span.first) / gridSamples + 1);
    return {
      material: span.material,
      task: this.#task,
      label,
      endSample: start + this.#windowSamples,
      channelsMax: span.channelsMax,
    };
  }
}

export function pick(weights: readonly number[], rng: Rng): number {
  const total = weights.reduce((a, b) => a + b, 0);
  let at = rng.uniform() * total;
  for (const [i, weight] of weights.entries()) {
    at -= weight;
    if (at < 0) return i;
  }
  return weights.findLastIndex((weight) => weight > 0);
}

function byPerson(spans: readonly ClassSpan[]): ClassSpan[][] {
  const people = new Map<string, ClassSpan[]>();
  for (const span of spans) {
    const { subject } = span.material.ref;
    const own = people.get(subject);
    if (own === undefined) people.set(subject, [span]);
    else own.push(span);
  }
  return [...people.values()];
}

/** The recording's spans under the task's classes. */
export function labelled(
  material: Material,
  spec: RecipeTask,
  source: RecipeSource,
): (LabelledSpan & { k: number })[] {
  const lengthS = material.prepared.samples / modelRateHz;
  const endS = Math.min(lengthS, source.untilS ?? Number.POSITIVE_INFINITY);
  const whole = source.labels['*'];
  if (whole !== undefined) {
    return [{ startS: 0, endS, label: whole, k: spec.classes.indexOf(whole) }];
  }
  return material.ref.spans.flatMap((span) => {
    const to = source.labels[span.label];
    if (to === undefined) return [];
    const end = Math.min(span.endS, endS);
    return end <= span.startS ? [] : [{ ...span, endS: end, k: spec.classes.indexOf(to) }];
  });
}

/** A window may reach over its span's ends as long as `share` of it is inside. */
function classSpans(material: Material, spec: RecipeTask, source: RecipeSource): ClassSpan[] {
  const window = spec.windowS * modelRateHz;
  const { samples } = material.prepared;
  return labelled(material, spec, source).flatMap((span): ClassSpan[] => {
    const [start, end] = [span.startS * modelRateHz, span.endS * modelRateHz];
    const inside = source.share * window;
    if (end - start < inside - gridSamples) return [];
    const low = Math.max(0, start - (window - inside));
    const high = Math.min(samples, end + (window - inside)) - window;
    const first = Math.ceil(low / gridSamples) * gridSamples;
    const last = Math.floor(high / gridSamples) * gridSamples;
    // A trial as long as its window has one place only, rounded up to the grid.
    const fits = last >= first ? last : first + window <= samples ? first : -1;
    if (fits < 0) return [];
    return [{ material, label: span.k, first, last: fits, channelsMax: source.channelsMax }];
  });
}

/**
 * Windows in order. `stream`: on the task's hops from the stream's start, each with the label that
 * covers most of it, at least `share` (-1 where none does and `unlabelled` are wanted). `span`: from each span's start, as trials are cut.
 */
export function evaluationWindows(
  material: Material,
  task: number,
  spec: RecipeTask,
  source: RecipeSource,
  step: 'hop' | 'window' = 'window',
  unlabelled = false,
): TaskWindow[] {
  const spans = labelled(material, spec, source);
  const window = spec.windowS * modelRateHz;
  const common = { material, task, channelsMax: Number.POSITIVE_INFINITY };
  if (source.align === 'span')
    return spans.flatMap((span): TaskWindow[] => {
      const start = Math.ceil((span.startS * modelRateHz) / gridSamples) * gridSamples;
      const whole = start + window <= material.prepared.samples;
      const inside = span.endS * modelRateHz - start >= source.share * window;
      return whole && inside ? [{ ...common, label: span.k, endSample: start + window }] : [];
    });
  const out: TaskWindow[] = [];
  // Windows of a hop overlap: figures count each moment once, alarms every hop.
  const hop = Math.round(spec.hopS * modelRateHz);
  const stride = step === 'hop' ? hop : hop * Math.max(1, Math.ceil(window / hop));
  for (let start = 0; start + window <= material.prepared.samples; start += stride) {
    const label = labelOf(spans, start, start + window, spec.classes.length, source.share);
    if (label >= 0 || unlabelled) out.push({ ...common, label, endSample: start + window });
  }
  return out;
}

function labelOf(
  spans: readonly (LabelledSpan & { k: number })[],
  start: number,
  end: number,
  classes: number,
  share: number,
): number {
  const covered = new Array<number>(classes).fill(0);
  for (const span of spans) {
    const overlap =
      Math.min(end, span.endS * modelRateHz) - Math.max(start, span.startS * modelRateHz);
    if (overlap > 0) covered[span.k] += overlap;
  }
  const best = covered.indexOf(Math.max(...covered));
  return covered[best] >= share * (end - start) && covered[best] > 0 ? best : -1;
}

/** Ends of the window's own seconds, oldest first. */
export function secondEnds(endSample: number, windowS: number): number[] {
  return Array.from({ length: windowS }, (_, i) => endSample - (windowS - 1 - i) * modelRateHz);
}
