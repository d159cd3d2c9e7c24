/**
 * The part of liblsl's C interface that the tests need, through koffi. The library is the one in
 * the npm package `lsl.js` (protocol 1.10, Linux, macOS and Windows on x64), or the one that
 * EEGD_LIBLSL names. Only ever loaded in a process of its own: it is the foreign peer.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi from 'koffi';

export const liblslFormats = {
  float32: { code: 1, letter: 'f', array: Float32Array },
  double64: { code: 2, letter: 'd', array: Float64Array },
  string: { code: 3, letter: 'str', array: Array },
  int32: { code: 4, letter: 'i', array: Int32Array },
  int16: { code: 5, letter: 's', array: Int16Array },
  int8: { code: 6, letter: 'c', array: Int8Array },
  int64: { code: 7, letter: 'l', array: BigInt64Array },
} as const;

/** Where the library is, or undefined where this machine has none. */
export function findLiblsl(): string | undefined {
  if (process.env.EEGD_LIBLSL) return process.env.EEGD_LIBLSL;
  const names: Readonly<Record<string, string>> = {
    'linux-x64': 'liblsl64.so',
    'darwin-x64': 'liblsl64.dylib',
    'darwin-arm64': 'liblslarm.dylib',
    'win32-x64': 'liblsl64.dll',
  };
  const name = names[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  const home = dirname(createRequire(import.meta.url).resolve('lsl.js/package.json'));
  return join(home, 'prebuilt', name);
}

export type Handle = bigint | null;

export function bindLiblsl(path: string) {
  const lib = koffi.load(path);
  const f = (declaration: string) => lib.func(declaration);
  const pushes = Object.values(liblslFormats)
    .filter((one) => one.letter !== 'str')
    .map((one) => {
      const name = `lsl_push_chunk_${one.letter}tp`;
      return [
        one.letter,
        f(`int ${name}(void*, void* data, unsigned long n, double stamp, int push)`),
      ] as const;
    });
  const pulls = Object.values(liblslFormats)
    .filter((one) => one.letter !== 'str')
    .map((one) => {
      const name = `lsl_pull_chunk_${one.letter}`;
      const rest = 'unsigned long n, unsigned long m, double timeout, void* ec';
      return [
        one.letter,
        f(`unsigned long ${name}(void*, void* data, void* stamps, ${rest})`),
      ] as const;
    });
  return {
    version: f('int lsl_library_version()'),
    localClock: f('double lsl_local_clock()'),
    createInfo: f(
      'void* lsl_create_streaminfo(const char* name, const char* type, int n, double rate, int format, const char* id)',
    ),
    getDesc: f('void* lsl_get_desc(void* info)'),
    appendChild: f('void* lsl_append_child(void* node, const char* name)'),
    appendValue: f('void* lsl_append_child_value(void* node, const char* name, const char* value)'),
    createOutlet: f('void* lsl_create_outlet(void* info, int chunk, int buffered)'),
    destroyOutlet: f('void lsl_destroy_outlet(void* outlet)'),
    haveConsumers: f('int lsl_have_consumers(void* outlet)'),
    waitForConsumers: f('int lsl_wait_for_consumers(void* outlet, double timeout)'),
    outletInfo: f('void* lsl_get_info(void* outlet)'),
    push: Object.fromEntries(pushes),
    pushBuffers: f(
      'int lsl_push_sample_buftp(void* outlet, void* data, void* lengths, double stamp, int push)',
    ),
    resolveByProperty: f(
      'int lsl_resolve_byprop(void* out, unsigned int n, const char* prop, const char* value, int min, double timeout)',
    ),
    resolveByPredicate: f(
      'int lsl_resolve_bypred(void* out, unsigned int n, const char* pred, int min, double timeout)',
    ),
    createInlet: f('void* lsl_create_inlet(void* info, int buflen, int chunklen, int recover)'),
    openStream: f('void lsl_open_stream(void* inlet, double timeout, void* ec)'),
    destroyInlet: f('void lsl_destroy_inlet(void* inlet)'),
    fullInfo: f('void* lsl_get_fullinfo(void* inlet, double timeout, void* ec)'),
    getXml: f('void* lsl_get_xml(void* info)'),
    destroyString: f('void lsl_destroy_string(void* text)'),
    timeCorrection: f('double lsl_time_correction(void* inlet, double timeout, void* ec)'),
    pull: Object.fromEntries(pulls),
    pullBuffers: f(
      'double lsl_pull_sample_buf(void* inlet, void* buffers, void* lengths, int n, double timeout, void* ec)',
    ),
  };
}

export type Liblsl = ReturnType<typeof bindLiblsl>;

/** Text of malloc'ed memory, which is then given back. */
export function takeText(lib: Liblsl, pointer: unknown): string {
  const text = koffi.decode(pointer, 'char', -1) as string;
  lib.destroyString(pointer);
  return text;
}

/** `length` bytes of malloc'ed memory, which is then given back. */
export function takeBytes(lib: Liblsl, pointer: unknown, length: number): Buffer {
  const bytes =
    length === 0
      ? Buffer.alloc(0)
      : Buffer.from(koffi.decode(pointer, koffi.array('uint8', length)) as Uint8Array);
  lib.destroyString(pointer);
  return bytes;
}
