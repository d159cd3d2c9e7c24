/**
 * Seizures counted as events, in SzCORE's definition (Dan et al. 2024, "SzCORE: seizure community
 * open-source research evaluation framework"): any overlap counts, a detection may come 30 s
 * before the onset and up to 60 s after the end, events under 90 s apart are one, events over
 * 5 minutes are cut.
 */

export interface Span {
  readonly startS: number;
  readonly endS: number;
}

export interface EventRules {
  readonly toleranceBeforeS: number;
  readonly toleranceAfterS: number;
  readonly mergeUnderS: number;
  readonly splitOverS: number;
}

export const szcoreRules: EventRules = {
  toleranceBeforeS: 30,
  toleranceAfterS: 60,
  mergeUnderS: 90,
  splitOverS: 300,
};

export interface EventCounts {
  readonly reference: number;
  readonly found: number;
  readonly falseAlarms: number;
  readonly hours: number;
}

export interface EventFigures extends EventCounts {
  readonly sensitivity: number;
  readonly precision: number;
  readonly f1: number;
  readonly falseAlarmsPer24h: number;
}

/** One recording. Detections that overlap no reference event are false alarms. */
export function countEvents(
  reference: readonly Span[],
  detected: readonly Span[],
  durationS: number,
  rules: EventRules = szcoreRules,
): EventCounts {
  const truth = split(merge(reference, rules.mergeUnderS), rules.splitOverS);
  const alarms = split(merge(detected, rules.mergeUnderS), rules.splitOverS);
  const wide = truth.map((span) => ({
    startS: Math.max(0, span.startS - rules.toleranceBeforeS),
    endS: Math.min(durationS, span.endS + rules.toleranceAfterS),
  }));
  return {
    reference: truth.length,
    found: wide.filter((span) => alarms.some((alarm) => overlaps(span, alarm))).length,
    falseAlarms: alarms.filter((alarm) => !wide.some((span) => overlaps(span, alarm))).length,
    hours: durationS / 3600,
  };
}

/** Pool the counts of recordings and draw the figures from them. */
export function eventFigures(counts: readonly EventCounts[]): EventFigures {
  const sum = (key: keyof EventCounts): number => counts.reduce((total, c) => total + c[key], 0);
  const [reference, found, falseAlarms, hours] = [
    sum('reference'),
    sum('found'),
    sum('falseAlarms'),
    sum('hours'),
  ];
  const sensitivity = found / reference;
  const precision = found / (found + falseAlarms);
  return {
    reference,
    found,
    falseAlarms,
    hours,
    sensitivity,
    precision,
    f1: (2 * found) / (found + reference + falseAlarms),
    falseAlarmsPer24h: (falseAlarms / hours) * 24,
  };
}

function overlaps(a: Span, b: Span): boolean {
  return Math.min(a.endS, b.endS) > Math.max(a.startS, b.startS);
}

function merge(spans: readonly Span[], underS: number): Span[] {
  const out: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.startS - b.startS)) {
    const last = out.at(-1);
    if (last !== undefined && span.startS - last.endS < underS)
      out[out.length - 1] = { startS: last.startS, endS: Math.max(last.endS, span.endS) };
    else out.push(span);
  }
  return out;
}

function split(spans: readonly Span[], overS: number): Span[] {
  return spans.flatMap((span) => {
    const parts: Span[] = [];
    for (let from = span.startS; from < span.endS; from += overS)
      parts.push({ startS: from, endS: Math.min(from + overS, span.endS) });
    return parts;
  });
}
