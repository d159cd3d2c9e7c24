/**
 * Channel metadata inside <desc>, after the XDF meta-data convention
 * (github.com/sccn/xdf/wiki/EEG-Meta-Data): channels/channel{label,unit,type,location{X,Y,Z}},
 * acquisition/manufacturer. Positions are in the sender's unit, usually millimetres.
 */
import type { LslStreamInfo } from './stream-info.js';
import { child, childText, element, type XmlElement } from './xml.js';

export interface LslChannel {
  readonly label: string;
  /** `EEG`, `EOG`, ...; '' = not said. */
  readonly type: string;
  /** `microvolts`, `uV`, `V`, ...; '' = not said. */
  readonly unit: string;
  /** [X, Y, Z]: right, front, up in the XDF convention. */
  readonly location?: readonly [number, number, number];
}

/** As many as the stream has: channels without metadata are called `ch1`, `ch2`, ... */
export function readChannels(info: LslStreamInfo): LslChannel[] {
  const described =
    child(info.desc, 'channels')?.children.filter((one) => one.name === 'channel') ?? [];
  return Array.from({ length: info.channelCount }, (_, k) => {
    const one = described[k];
    const label = childText(one, 'label').trim() || childText(one, 'name').trim();
    const location = readLocation(child(one, 'location'));
    return {
      label: label.slice(0, 64) || `ch${k + 1}`,
      type: childText(one, 'type').trim().slice(0, 32),
      unit: childText(one, 'unit').trim().slice(0, 32),
      ...(location && { location }),
    };
  });
}

function readLocation(one: XmlElement | undefined): [number, number, number] | undefined {
  if (one === undefined) return undefined;
  const [x, y, z] = ['X', 'Y', 'Z'].map((axis) => {
    const text = childText(one, axis).trim();
    return text === '' ? Number.NaN : Number(text);
  });
  const all = [x ?? Number.NaN, y ?? Number.NaN, z ?? Number.NaN] as [number, number, number];
  return all.every(Number.isFinite) ? all : undefined;
}

export function readManufacturer(info: LslStreamInfo): string {
  const text =
    childText(info.desc, 'manufacturer') ||
    childText(child(info.desc, 'acquisition'), 'manufacturer');
  return text.trim().slice(0, 64);
}

/** A <desc> for an outlet. `extra` comes first: elements of one's own. */
export function describeChannels(
  channels: readonly LslChannel[],
  extra: readonly XmlElement[] = [],
): XmlElement {
  return element('desc', [
    ...extra,
    element(
      'channels',
      channels.map((one) =>
        element('channel', [
          element('label', one.label),
          element('unit', one.unit),
          element('type', one.type),
          ...(one.location ? [locationXml(one.location)] : []),
        ]),
      ),
    ),
  ]);
}

function locationXml(at: readonly [number, number, number]): XmlElement {
  return element('location', [element('X', at[0]), element('Y', at[1]), element('Z', at[2])]);
}
