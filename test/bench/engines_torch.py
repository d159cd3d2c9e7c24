"""The model of a checkpoint in PyTorch, timed for `npm run bench:engines` beside our engines.

usage: engines_torch.py MODEL_FOLDER INPUTS.json DEVICE MODE THREADS
DEVICE is cpu or cuda; MODE is eager (each expert computes its own tokens) or compiled
(torch.compile with CUDA graphs; no shape may depend on the data there, so all experts compute all
tokens), or training (eager: cross-entropy, backward, clipping, AdamW). Windows have no holes, so there are no masks. Prints one JSON array of figures.
"""
import json
import math
import resource
import struct
import sys
import time

import torch
import torch.nn.functional as F

folder, inputs_path, device, mode, threads = sys.argv[1:6]
torch.set_num_threads(int(threads))
torch.backends.cuda.matmul.allow_tf32 = False
with open(f"{folder}/manifest.json") as file:
    arch = json.load(file)["architecture"]
with open(inputs_path) as file:
    inputs = json.load(file)
WIDTH, HEADS, LATENTS, MOE = arch["width"], arch["heads"], arch["latents"], arch["moe"]


def load_weights(path):
    """safetensors: 8 bytes of length, a JSON header, then the raw tensors."""
    with open(path, "rb") as file:
        raw = file.read()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "F16": torch.float16}
    out = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        data = bytearray(raw[8 + size + begin : 8 + size + end])
        flat = torch.frombuffer(data, dtype=types[entry["dtype"]])
        out[name] = flat.reshape(entry["shape"]).float().to(device)
    return out


w = load_weights(f"{folder}/model.safetensors")
if MOE:
    for block in MOE["blocks"]:
        name = f"task.blocks.{block}"
        for part in ("in.weight", "in.bias", "out.weight"):
            each = [w[f"{name}.experts.{i}.{part}"] for i in range(MOE["experts"])]
            w[f"{name}.stacked.{part}"] = torch.stack(each)


def norm(x):
    return F.layer_norm(x, (WIDTH,), eps=1e-5)


def spectra_matrix():
    n = torch.arange(200, dtype=torch.float64)
    bins = torch.arange(80, dtype=torch.float64)
    hann = (torch.sin(math.pi * (n + 0.5) / 200) ** 2)[:, None] * 4 / 200
    angle = 2 * math.pi * n[:, None] * bins / 200
    return (hann * angle.cos()).float().to(device), (hann * angle.sin()).float().to(device)


COSINE, SINE = spectra_matrix()
POSITION_RATES = torch.tensor([0.25, 0.5, 1, 2], device=device) * 2 * math.pi
PERIODS = torch.tensor([1.0, 2, 4, 8, 16, 32, 64, 128, 256], device=device)
SITES = torch.tensor(inputs["sites"], device=device).reshape(-1, 3)


def log_spectrum(x):
    power = (x @ COSINE) ** 2 + (x @ SINE) ** 2
    return (torch.log(power + 1e-5) + 5) * 0.25


def fourier(columns, rates, raw):
    flat = (columns[..., None] * rates).flatten(-2)
    return torch.cat([columns * raw, flat.sin(), flat.cos()], -1)


def heads_of(x):
    rows, tokens, _ = x.shape
    return x.reshape(rows, tokens, HEADS, WIDTH // HEADS).transpose(1, 2)


def attend(q, k, v):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    mixed = scores.softmax(-1) @ v
    return mixed.transpose(1, 2).flatten(2)


def attention(x, name):
    qkv = norm(x) @ w[f"{name}.qkv.weight"] + w[f"{name}.qkv.bias"]
    q, k, v = (heads_of(part) for part in qkv.chunk(3, -1))
    return x + attend(q, k, v) @ w[f"{name}.out.weight"]


def ffn(h, name):
    inner = h @ w[f"{name}.in.weight"] + w[f"{name}.in.bias"]
    return F.relu(inner) ** 2 @ w[f"{name}.out.weight"]


def local_spectra(patches, active):
    apart = ((active[:, :, None] - active[:, None]) ** 2).sum(-1)
    weights = (1 / (apart + 0.01)) ** 3 * (1 - torch.eye(active.shape[1], device=device))
    mean = weights @ patches / weights.sum(-1, keepdim=True).clamp_min(1e-12)
    return log_spectrum(patches - mean)


def maps_of_scalp(patches, spectra, local, active):
    far = ((active[:, :, None] - SITES) ** 2).sum(-1)
    near = torch.exp(-8 * far)
    shares = near / (near.sum(1, keepdim=True) + 0.05)

    def scalp_map(name):
        raw = shares @ w[f"trunk.{name}.sites.weight"]
        return ((raw - raw.mean(1, keepdim=True)) * 6).transpose(1, 2)

    contrasts = scalp_map("contrast") @ (local @ w["trunk.contrast.spectrum.weight"])
    heard = log_spectrum(scalp_map("filter") @ patches) @ w["trunk.filter.spectrum.weight"]
    filtered = heard - heard.mean(1, keepdim=True)
    average = spectra.mean(1) @ w["trunk.average.spectrum.weight"]
    shape = (-1, LATENTS, WIDTH)
    return (contrasts + filtered).reshape(shape) + average.reshape(shape)


def trunk(patches, positions):
    x = patches @ w["trunk.embed.patch.weight"]
    spectra = log_spectrum(patches)
    x = x + spectra @ w["trunk.embed.spectrum.weight"]
    x = x + fourier(positions, POSITION_RATES, 1) @ w["trunk.embed.position.weight"]
    start = w["trunk.pool.base"]
    if arch.get("local"):
        active = positions[..., :3]
        local = local_spectra(patches, active)
        x = x + local @ w["trunk.embed.local.weight"]
        start = start + maps_of_scalp(patches, spectra, local, active)
    x = x + w["trunk.embed.bias"]
    for block in range(arch["trunkBlocks"]):
        x = attention(x, f"trunk.blocks.{block}.attention")
        x = x + ffn(norm(x), f"trunk.blocks.{block}.ffn")
    k, v = (norm(x) @ w["trunk.pool.kv.weight"] + w["trunk.pool.kv.bias"]).chunk(2, -1)
    query = w["trunk.pool.query"].expand(x.shape[0], -1, -1)
    mixed = attend(heads_of(query), heads_of(k), heads_of(v))
    return norm(mixed @ w["trunk.pool.out.weight"] + start)


def mixture(h, embedding, name):
    rows, tokens, _ = h.shape
    logits = h @ w[f"{name}.router.token"]
    if MOE["taskAware"]:
        logits = logits + (embedding @ w[f"{name}.router.task"])[:, None]
    flat, logits = h.flatten(0, 1), logits.flatten(0, 1)
    chosen = (logits + w[f"{name}.router.bias"]).topk(MOE["topK"]).indices
    share = logits.gather(1, chosen).softmax(-1)
    if mode == "compiled":
        dense = torch.zeros_like(logits).scatter(1, chosen, share)
        inner = flat @ w[f"{name}.stacked.in.weight"] + w[f"{name}.stacked.in.bias"][:, None]
        out = F.relu(inner) ** 2 @ w[f"{name}.stacked.out.weight"]
        return (out * dense.T[..., None]).sum(0).reshape(h.shape)
    out = torch.zeros_like(flat)
    for expert in range(MOE["experts"]):
        token, rank = (chosen == expert).nonzero(as_tuple=True)
        if token.numel() > 0:
            served = ffn(flat[token], f"{name}.experts.{expert}")
            out.index_add_(0, token, served * share[token, rank][:, None])
    return out.reshape(h.shape)


def model(patches, positions, times, hot):
    """Logits `[rows, classes]` of patches `[rows, seconds, channels, 200]`."""
    rows, seconds = times.shape
    latents = trunk(patches.flatten(0, 1), positions.flatten(0, 1))
    embedding = hot @ w["task.embedding"]
    by_time = fourier(times[..., None], 2 * math.pi / PERIODS, 1 / 60) @ w["task.time.weight"]
    second = by_time[:, :, None] + embedding[:, None, None]
    x = latents.reshape(rows, seconds, LATENTS, WIDTH) + second + w["task.latent"]
    x = x.flatten(1, 2)
    for block in range(arch["taskBlocks"]):
        name = f"task.blocks.{block}"
        x = attention(x, f"{name}.attention")
        if MOE and block in MOE["blocks"]:
            x = x + mixture(norm(x), embedding, name)
        else:
            x = x + ffn(norm(x), f"{name}.ffn")
    h = norm(x)
    query = hot @ w["task.pool"]
    pooled = pool(h, query)
    apart = torch.cat([pool(h[:, i::LATENTS], query) for i in range(LATENTS)], 1)
    each = [
        (apart if t.get("apart") else pooled) @ w[f"heads.{t['name']}.weight"] + w[f"heads.{t['name']}.bias"]
        for t in arch["tasks"]
    ]
    return torch.cat(each, 1)


def pool(h, query):
    share = ((h @ query[..., None])[..., 0] / math.sqrt(WIDTH)).softmax(-1)
    return (share[:, None] @ h)[:, 0]


def windows(rows):
    seconds, channels = inputs["seconds"], inputs["channels"]
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(rows, seconds, channels, 200, generator=generator)
    patches[0] = torch.tensor(inputs["patches"]).reshape(seconds, channels, 200)
    positions = torch.tensor(inputs["positions"]).reshape(1, seconds, channels, 6)
    times = torch.tensor(inputs["times"]).reshape(1, seconds)
    hot = torch.zeros(rows, arch["taskSlots"])
    for row in range(rows):
        hot[row, (inputs["task"] + row) % len(arch["tasks"])] = 1
    given = (patches, positions.repeat(rows, 1, 1, 1), times.repeat(rows, 1), hot)
    return tuple(one.to(device) for one in given)


def finish():
    if device == "cuda":
        torch.cuda.synchronize()


def memory_mb():
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def first_class_losses(logits, hot):
    """`[rows]` cross-entropy over the classes of each row's own task, for the first of them."""
    sizes = [len(task["classes"]) for task in arch["tasks"]]
    each = torch.stack([part.logsumexp(1) - part[:, 0] for part in logits.split(sizes, 1)], 1)
    return (each * hot[:, : len(sizes)]).sum(1)


def train():
    learned = [tensor.requires_grad_() for name, tensor in w.items() if ".stacked." not in name]
    optimiser = torch.optim.AdamW(learned, lr=1e-4, weight_decay=0.05)
    given = windows(inputs["trainingRows"])

    def step():
        optimiser.zero_grad(set_to_none=True)
        losses = first_class_losses(model(*given), given[3])
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        return losses[0].item()

    error = abs(step() - inputs["firstLoss"])
    times, began = [], time.perf_counter()
    while len(times) < inputs["runsMax"] and (time.perf_counter() - began) * 1000 < inputs["spendMs"]:
        start = time.perf_counter()
        step()
        finish()
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    p99 = times[math.ceil(0.99 * len(times)) - 1]
    return {"rows": inputs["trainingRows"], "msP50": times[len(times) // 2], "msP99": p99, "maxError": error, "memoryMb": memory_mb()}


if mode == "training":
    print(json.dumps({"version": torch.__version__, "figures": [train()]}))
    sys.exit(0)
figures = []
run = torch.compile(model, mode="reduce-overhead") if mode == "compiled" else model
with torch.no_grad():
    ms_per_row = 0
    for rows in inputs["rowCounts"]:
        if ms_per_row * rows > 2 * inputs["spendMs"]:
            break
        given = windows(rows)
        for _ in range(3):
            logits = run(*given)[0].double().cpu()
        error = (logits - torch.tensor(inputs["logits"], dtype=torch.float64)).abs().max().item()
        times, began = [], time.perf_counter()
        while len(times) < inputs["runsMax"] and (time.perf_counter() - began) * 1000 < inputs["spendMs"]:
            start = time.perf_counter()
            run(*given)
            finish()
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        ms = times[len(times) // 2]
        ms_per_row = ms / rows
        p99 = times[math.ceil(0.99 * len(times)) - 1]
        figures.append({"rows": rows, "msP50": ms, "msP99": p99, "maxError": error, "memoryMb": memory_mb()})
print(json.dumps({"version": torch.__version__, "figures": figures}))
