/**
 * A recording of any of the formats, read by position. Time 0 is its first frame; frames count
 * what the file holds, and `gaps` says where time went on without them.
 */
import { extname } from 'node:path';
import { EegError } from '../core/errors.js';
import type { ChannelInfo } from '../core/stream.js';
import { openBrainVision } from './brainvision.js';
import { ByteFile } from './byte-file.js';
import { openEdf } from './edf.js';
import { openGdf } from './gdf.js';
import { openXdf } from './xdf.js';

export type RecordingFormat = 'edf' | 'bdf' | 'xdf' | 'brainvision' | 'gdf';

export interface Annotation {
  /** Seconds after the first frame, gaps counted; negative where it lies before. */
  readonly onsetS: number;
  readonly durationS: number;
  readonly text: string;
}

export interface RecordingGap {
  /** First frame after the gap. */
  readonly frame: number;
  /** Frames that time went on by without any. */
  readonly missing: number;
}

export interface Recording {
  /** File name. */
  readonly name: string;
  readonly format: RecordingFormat;
  /** 0 where the file holds annotations only. */
  readonly rateHz: number;
  readonly channels: readonly ChannelInfo[];
  readonly frames: number;
  /** Wall clock of the first frame, ms since the epoch; formats without a zone are read as UTC. */
  readonly startWallMs?: number;
  /** In order of onset. */
  readonly annotations: readonly Annotation[];
  readonly gaps: readonly RecordingGap[];
  /** What was left out or put right, one line each. */
  readonly notes: readonly string[];
  /**
   * Frame-major `[frames, channels]`, in each channel's unit; NaN = no value.
   * @throws RangeError where the frames asked for are not those of the file.
   */
  read(startFrame: number, frames: number): Float32Array;
  /** LSL stamps of the writer's clock, where the format has them (XDF), dejittered. */
  stamps?(startFrame: number, frames: number): Float64Array;
  close(): void;
}

export interface OpenOptions {
  /** Take the length from the file's size where the header states another (a cut-off copy). */
  readonly lengthFromSize?: boolean;
  /** XDF: name or id of the stream to take; default the EEG stream with the most samples. */
  readonly stream?: string;
}

/**
 * Opens EDF, EDF+, BDF, BDF+, XDF, BrainVision (the .vhdr) and GDF files, told apart by content.
 * @throws EegError EEG_FILE_NOT_FOUND, EEG_FILE_EMPTY, EEG_FILE_FORMAT.
 */
export async function openRecording(path: string, options: OpenOptions = {}): Promise<Recording> {
  const file = ByteFile.open(path);
  try {
    return open(file, options);
  } catch (error) {
    file.close();
    throw error;
  }
}

function open(file: ByteFile, options: OpenOptions): Recording {
  const head = file.read(0, Math.min(24, file.bytes), 'first bytes').toString('latin1');
  if (head.startsWith('XDF:')) return openXdf(file, options);
  if (head.startsWith('GDF ')) return openGdf(file, options);
  if (/^(\ufeff|\xef\xbb\xbf)?Brain ?Vision/i.test(head)) return openBrainVision(file);
  if (/^0 {7}/.test(head)) return openEdf(file, 'edf', options);
  if (head.startsWith('\xffBIOSEMI')) return openEdf(file, 'bdf', options);
  const extension = extname(file.name).toLowerCase();
  if (extension === '.eeg' || extension === '.vmrk') {
    throw new EegError('EEG_FILE_FORMAT', `${file.name}: expected a header, came ${extension}`, {
      hint: 'open the .vhdr file beside it',
    });
  }
  throw file.fault(
    'first bytes',
    'EDF ("0"), BDF (255 "BIOSEMI"), "XDF:", "GDF" or "Brain Vision"',
    JSON.stringify(head.slice(0, 8)),
  );
}

/** Seconds after the first frame at which `frame` was recorded, gaps counted. */
export function frameTimeS(recording: Recording, frame: number): number {
  let index = frame;
  for (const gap of recording.gaps) if (gap.frame <= frame) index += gap.missing;
  return index / recording.rateHz;
}

export function checkRange(startFrame: number, frames: number, total: number): void {
  const fits =
    Number.isInteger(startFrame) && Number.isInteger(frames) && startFrame >= 0 && frames >= 0;
  if (!fits || startFrame + frames > total) {
    throw new RangeError(`frames ${startFrame}+${frames} of a recording of ${total}`);
  }
}
