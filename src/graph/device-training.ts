/**
 * Training on a device where parameters, gradients, moments and averages stay: only batches go in
 * and losses come out. What lies there is read back through a graph of its own (`getData` on a
 * device's tensor aborts the process, onnxruntime-node 1.30), and every tensor that has been
 * replaced is disposed of, or the device fills.
 */
import ort from 'onnxruntime-node';
import { type AdamWOptions, type AdamWSettings, adamwDefaults } from './adamw.js';
import {
  additionGraph,
  copyGraph,
  nextName,
  type StateGroup,
  type StepScalars,
  stateGroups,
  updateGraph,
} from './adamw-graph.js';
import { gradientName, type TrainingModel } from './gradient-session.js';
import { type Device, type Feed, toTensor } from './session.js';
import { type Tensor, zeros } from './tensor.js';

export interface DeviceOptions extends AdamWOptions {
  readonly device: Device;
  readonly threads?: number;
}

export interface UpdateOptions {
  readonly rate: number;
  readonly clipNorm: number;
  /** Share of the new weights in their average (1 - decay); 1 keeps none. */
  readonly averageShare: number;
}

export interface DeviceState {
  readonly weights: ReadonlyMap<string, Tensor>;
  /** As `AdamW.save` has it. */
  readonly optimiser: ReadonlyMap<string, Tensor>;
  readonly average: ReadonlyMap<string, Tensor>;
}

export type Outputs = Map<string, { shape: readonly number[]; data: Float32Array }>;
/** A graph over parameters that lie on the device; its other inputs come with each run. */
export type Forward = (feeds: Readonly<Record<string, Feed>>) => Promise<Outputs>;

type Tensors = Record<string, ort.Tensor>;
interface Sessions {
  readonly gradients: ort.InferenceSession;
  readonly addition: ort.InferenceSession;
  readonly update: ort.InferenceSession;
  readonly upload: ort.InferenceSession;
  readonly download: ort.InferenceSession;
}

export class DeviceTraining {
  readonly #model: TrainingModel;
  readonly #settings: AdamWSettings;
  readonly #sessions: Sessions;
  readonly #state = new Map<string, ort.Tensor>();
  /** Parameters that do not learn. */
  readonly #fixed: Tensors = {};
  readonly #others: ort.InferenceSession[] = [];
  readonly #options: DeviceOptions;
  #sums: Tensors = {};
  #parts = 0;
  #steps = 0;

  private constructor(model: TrainingModel, options: DeviceOptions, sessions: Sessions) {
    const { device: _device, threads: _threads, ...settings } = options;
    this.#model = model;
    this.#options = options;
    this.#settings = { ...adamwDefaults, ...settings };
    this.#sessions = sessions;
  }

  /** Rejects with ONNX Runtime's own error where the device cannot be had. */
  static async open(model: TrainingModel, options: DeviceOptions): Promise<DeviceTraining> {
    const { device, threads, ...settings } = options;
    const { trained } = model;
    const all = { ...adamwDefaults, ...settings };
    const open = (bytes: Uint8Array, kept: readonly string[]) =>
      openSession(bytes, kept, device, threads ?? 1);
    const update = updateGraph(trained, all);
    const copy = copyGraph(trained);
    const named = (prefix: string) => trained.map(({ name }) => `${prefix}.${name}`);
    const sessions: Sessions = {
      gradients: await open(
        model.bytes,
        trained.map(({ name }) => gradientName(name)),
      ),
      addition: await open(additionGraph(trained), named('sum')),
      update: await open(update.bytes, update.next),
      upload: await open(copy, named('out')),
      download: await open(copy, []),
    };
    return new DeviceTraining(model, options, sessions);
  }

  /** Brings everything there. `optimiser`: as `AdamW.save` had it, or none. */
  async start(state: Partial<DeviceState> & Pick<DeviceState, 'weights'>): Promise<void> {
    const { weights, optimiser = new Map<string, Tensor>(), average = weights } = state;
    const { trained, parameters } = this.#model;
    const learned = new Set(trained.map(({ name }) => name));
    for (const name of parameters)
      if (!learned.has(name)) this.#fixed[name] = toTensor(need(weights, name));
    const steps = trained.map(({ name }) => optimiser.get(`steps.${name}`)?.data[0] ?? 0);
    if (new Set(steps).size > 1)
      throw new Error('on a device all parameters must have made the same number of steps');
    this.#steps = steps[0] ?? 0;
    const moments = (group: 'first' | 'second') =>
      new Map(
        trained.map(({ name, shape }) => [name, optimiser.get(`${group}.${name}`) ?? zeros(shape)]),
      );
    const groups = {
      weight: weights,
      first: moments('first'),
      second: moments('second'),
      average,
    };
    for (const group of stateGroups) {
      const source = groups[group];
      const inputs = Object.fromEntries(
        trained.map(({ name }) => [`in.${name}`, toTensor(need(source, name))]),
      );
      const there = await this.#sessions.upload.run(inputs);
      for (const { name } of trained) this.#keep(`${group}.${name}`, there[`out.${name}`]);
    }
  }

  /** Losses of one part of a step; its gradients are added to those of the parts before. */
  async accumulate(feeds: Readonly<Record<string, Feed>>): Promise<Outputs> {
    const inputs = this.#inputs(feeds, this.#model.parameters);
    const results = await this.#sessions.gradients.run(inputs);
    const gradients: Tensors = {};
    for (const { name } of this.#model.trained) gradients[name] = results[gradientName(name)];
    this.#sums = this.#parts === 0 ? gradients : await this.#sum(gradients);
    this.#parts++;
    return onHost(results, this.#model.outputs);
  }

  /** Opens a graph whose parameters are some of the model's; it follows every update. */
  async forward(model: Pick<TrainingModel, 'bytes' | 'parameters' | 'outputs'>): Promise<Forward> {
    const { device, threads = 1 } = this.#options;
    const session = await openSession(model.bytes, [], device, threads);
    this.#others.push(session);
    return async (feeds) => {
      const results = await session.run(this.#inputs(feeds, model.parameters));
      return onHost(results, model.outputs);
    };
  }

  #inputs(feeds: Readonly<Record<string, Feed>>, parameters: readonly string[]): Tensors {
    const inputs: Tensors = {};
    for (const [name, feed] of Object.entries(feeds)) inputs[name] = toTensor(feed);
    for (const name of parameters) inputs[name] = this.#fixed[name] ?? this.#of('weight', name);
    return inputs;
  }

  async #sum(gradients: Tensors): Promise<Tensors> {
    const inputs: Tensors = {};
    for (const { name } of this.#model.trained) {
      inputs[`a.${name}`] = this.#sums[name];
      inputs[`b.${name}`] = gradients[name];
    }
    const results = await this.#sessions.addition.run(inputs);
    for (const tensor of Object.values(inputs)) tensor.dispose();
    return Object.fromEntries(
      this.#model.trained.map(({ name }) => [name, results[`sum.${name}`]]),
    );
  }

  /** AdamW with the mean of what was accumulated. Returns the norm before clipping. */
  async update({ rate, clipNorm, averageShare }: UpdateOptions): Promise<number> {
    this.#steps++;
    const { beta1, beta2, weightDecay } = this.#settings;
    const scalars: StepScalars = {
      clipNorm,
      stepSize: rate / (1 - beta1 ** this.#steps),
      scale: 1 / Math.sqrt(1 - beta2 ** this.#steps),
      decay: rate * weightDecay,
      averageShare,
      parts: this.#parts,
    };
    const inputs: Tensors = {};
    for (const [name, value] of Object.entries(scalars))
      inputs[name] = new ort.Tensor('float32', Float32Array.of(value), []);
    for (const { name } of this.#model.trained) {
      inputs[gradientName(name)] = this.#sums[name];
      for (const group of stateGroups) inputs[`${group}.${name}`] = this.#of(group, name);
    }
    const results = await this.#sessions.update.run(inputs);
    for (const tensor of Object.values(this.#sums)) tensor.dispose();
    this.#sums = {};
    this.#parts = 0;
    for (const group of stateGroups)
      for (const { name } of this.#model.trained)
        this.#keep(`${group}.${name}`, results[nextName(group, name)]);
    return (results.norm.data as Float32Array)[0];
  }

  /** A copy of everything on the device. */
  async read(): Promise<DeviceState> {
    const groups = new Map<StateGroup, Map<string, Tensor>>();
    for (const group of stateGroups) groups.set(group, await this.#read(group));
    const optimiser = new Map<string, Tensor>();
    for (const { name } of this.#model.trained) {
      for (const group of ['first', 'second'] as const)
        optimiser.set(`${group}.${name}`, need(groups.get(group) ?? new Map(), name));
      optimiser.set(`steps.${name}`, { shape: [1], data: Float32Array.of(this.#steps) });
    }
    const whole = (group: StateGroup) =>
      new Map([...this.#fixedWeights(), ...(groups.get(group) ?? [])]);
    return { weights: whole('weight'), average: whole('average'), optimiser };
  }

  async #read(group: StateGroup): Promise<Map<string, Tensor>> {
    const { trained } = this.#model;
    const inputs = Object.fromEntries(
      trained.map(({ name }) => [`in.${name}`, this.#of(group, name)]),
    );
    const results = await this.#sessions.download.run(inputs);
    return new Map(
      trained.map(({ name, shape }) => {
        const { data } = results[`out.${name}`];
        return [name, { shape, data: (data as Float32Array).slice() }];
      }),
    );
  }

  #fixedWeights(): [string, Tensor][] {
    return Object.entries(this.#fixed).map(([name, { dims, data }]) => [
      name,
      { shape: dims, data: (data as Float32Array).slice() },
    ]);
  }

  #of(group: StateGroup, name: string): ort.Tensor {
    const tensor = this.#state.get(`${group}.${name}`);
    if (tensor === undefined) throw new Error('training on a device begins with start()');
    return tensor;
  }

  #keep(key: string, tensor: ort.Tensor): void {
    this.#state.get(key)?.dispose();
    this.#state.set(key, tensor);
  }

  async close(): Promise<void> {
    for (const tensor of [...this.#state.values(), ...Object.values(this.#sums)]) tensor.dispose();
    this.#state.clear();
    const sessions = [...Object.values(this.#sessions), ...this.#others];
    for (const session of sessions) await session.release();
  }
}

function onHost(results: Tensors, names: readonly string[]): Outputs {
  const out: Outputs = new Map();
  for (const name of names) {
    const tensor = results[name];
    if (tensor?.data instanceof Float32Array)
      out.set(name, { shape: tensor.dims, data: tensor.data });
  }
  return out;
}

/** `kept`: outputs that stay on the device; elsewhere than on WebGPU they come back. */
function openSession(
  bytes: Uint8Array,
  kept: readonly string[],
  device: Device,
  threads: number,
): Promise<ort.InferenceSession> {
  const stays = device === 'webgpu' && kept.length > 0;
  return ort.InferenceSession.create(bytes, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    ...(stays
      ? { preferredOutputLocation: Object.fromEntries(kept.map((name) => [name, 'gpu-buffer'])) }
      : {}),
  });
}

function need(tensors: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`no tensor ${name} for the device`);
  return tensor;
}
