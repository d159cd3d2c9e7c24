/**
 * Directions of the 10-05 system's electrodes on the unit sphere (x right, y front, z up), built
 * from its definition (Oostenveld and Praamstra 2001): the midline from nasion to inion in steps
 * of 10 %, the ring through Fpz, T7, Oz and T8 likewise, and each coronal row divided evenly
 * between the midline and the ring. On the sphere the ring is the equator, so 10 % of the midline
 * is 22.5 degrees and 10 % of half the ring 18.
 */

export type Direction = readonly [number, number, number];

/** Names of the coronal rows, front to back, half a step (5 %) apart; Fp is the first. */
const rows = [
  ['FP'],
  ['AFP'],
  ['AF'],
  ['AFF'],
  ['F'],
  ['FFC', 'FFT'],
  ['FC', 'FT'],
  ['FCC', 'FTT'],
  ['C', 'T'],
  ['CCP', 'TTP'],
  ['CP', 'TP'],
  ['CPP', 'TPP'],
  ['P'],
  ['PPO'],
  ['PO'],
  ['POO'],
  ['O'],
] as const;

const degree = Math.PI / 180;
const midlineStep = 11.25 * degree;
const ringStep = 9 * degree;

/** `polar` from the vertex, `azimuth` from the front towards the left ear. */
function direction(polar: number, azimuth: number): Direction {
  const r = Math.sin(polar);
  return [-r * Math.sin(azimuth), r * Math.cos(azimuth), Math.cos(polar)];
}

/** The point `share` of the great circle from `a` to `b`. */
function along(a: Direction, b: Direction, share: number): Direction {
  const dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const angle = Math.acos(Math.min(1, Math.max(-1, dot)));
  if (angle < 1e-9) return a;
  const wa = Math.sin((1 - share) * angle) / Math.sin(angle);
  const wb = Math.sin(share * angle) / Math.sin(angle);
  return [wa * a[0] + wb * b[0], wa * a[1] + wb * b[1], wa * a[2] + wb * b[2]];
}

function build(): Map<string, Direction> {
  const table = new Map<string, Direction>();
  const put = (names: readonly string[], left: string, right: string, at: Direction) => {
    for (const name of names) {
      table.set(`${name}${left}`, at);
      table.set(`${name}${right}`, [-at[0], at[1], at[2]]);
    }
  };
  for (const [r, names] of rows.entries()) {
    const azimuth = (r + 2) * ringStep;
    const signed = (8 - r) * midlineStep;
    const middle = direction(Math.abs(signed), signed < 0 ? Math.PI : 0);
    const ring = direction(90 * degree, azimuth);
    const low = direction(112.5 * degree, azimuth);
    put(names, 'Z', 'Z', middle);
    if (r === 0 || r === 16) {
      // Here the row is the ring itself: 1 lies 10 % from the midline, 1h 5 %.
      const side = r === 0 ? -1 : 1;
      put(names, '1', '2', ring);
      put(names, '1H', '2H', direction(90 * degree, azimuth + side * ringStep));
      continue;
    }
    for (const [i, number] of [1, 3, 5, 7].entries()) {
      put(names, `${number}`, `${number + 1}`, along(middle, ring, (i + 1) / 4));
      put(names, `${number}H`, `${number + 1}H`, along(middle, ring, (i + 0.5) / 4));
    }
    put(names, '9', '10', low);
    put(names, '9H', '10H', along(ring, low, 0.5));
  }
  putLowRing(put);
  return table;
}

/** Nasion, inion, ears: below the ring. Earlobes by anatomy, as the system does not define them. */
function putLowRing(
  put: (names: readonly string[], left: string, right: string, at: Direction) => void,
): void {
  const low = 112.5 * degree;
  put(['N'], 'Z', 'Z', direction(low, 0));
  put(['N'], '1', '2', direction(low, 2 * ringStep));
  put(['I'], 'Z', 'Z', direction(low, Math.PI));
  put(['I'], '1', '2', direction(low, Math.PI - 2 * ringStep));
  put(['O'], '9', '10', direction(low, Math.PI - 2 * ringStep));
  put(['OI'], 'Z', 'Z', direction(101.25 * degree, Math.PI));
  put(['OI'], '1H', '2H', direction(101.25 * degree, Math.PI - ringStep));
  put(['A'], '1', '2', direction(122 * degree, 95 * degree));
  put(['M'], '1', '2', direction(122 * degree, 110 * degree));
}

/** By upper-case name. */
export const electrodeTable: ReadonlyMap<string, Direction> = build();
