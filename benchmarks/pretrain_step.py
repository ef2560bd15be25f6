"""Real tokens per second of a pretraining step, ours against transformers', interleaved in one run.

    python benchmarks/pretrain_step.py --size tiny [--shards DIR]

Everyone trains the same configuration on the same instances: reading, forward, backward, clipping,
AdamW, dropout 0.1. transformers' model is fed padded batches and computes logits everywhere, as its
trainer does, in float32 and under bfloat16 autocast; `tuned` is the same model as a careful user
would write the step: bfloat16, the vocabulary head on masked positions only, fused AdamW.
Each has a process of its own, and they take their steps in turn, one at a time, every step on new
instances: of `--shards` (made with BERT's 30,522 tokens), or drawn. Padding is not counted as
tokens. Needs the `dev` extra.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from pretraining_batches import max_seq_length_of
from pretraining_contenders import CONTENDERS, MAIN_CONTENDERS, Setting, build, gemm_peaks

from bertctl.model.config import SIZES
from bertctl.model.flops import training_step_flops

BATCH_SIZES = {"tiny": 256, "mini": 128, "small": 64, "medium": 32, "base": 16, "large": 8}
TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 1 << 16}
"""Padded tokens of a micro-batch: on two cores, what serves both best."""
PEER_TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 1 << 14}
"""transformers' logits of each of them fill memory: 8 GB and as much again for 65,536 tokens."""


def work(name: str, setting: Setting, pipe: Connection) -> None:
    """Take whatever step is named, and answer with its seconds and those it read for."""
    torch.set_num_threads(setting.threads)
    take, source = build(name, setting), setting.source()
    pipe.send(None)
    while (step := pipe.recv()) is not None:
        rows = source.rows(step)
        begun = setting.clock()
        reading = take(source, rows)
        pipe.send((setting.clock() - begun, reading))


Round = dict[str, tuple[float, float]]
"""By contender: seconds of a step, and of its reading."""


def measure(contenders: list[str], setting: Setting, *, steps: int) -> list[Round]:
    """Let all contenders take their steps in turn."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in contenders:
        pipes[name], theirs = context.Pipe()
        context.Process(target=work, args=(name, setting, theirs), daemon=True).start()
        pipes[name].recv()
    rounds: list[Round] = []
    for step in range(steps):
        seconds: Round = {}
        for name, pipe in pipes.items():
            pipe.send(step)
            seconds[name] = pipe.recv()
        rounds.append(seconds)
    for pipe in pipes.values():
        pipe.send(None)
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--shards", type=Path, help="what `bertctl shard` made; default: drawn")
    parser.add_argument("--max-seq-length", type=int, default=128, help="of what is drawn")
    parser.add_argument("--batch-size", type=int, help="instances per step; default: by size")
    parser.add_argument("--micro-batch-size", type=int, help="ours; default: by device")
    parser.add_argument("--peer-micro-batch-size", type=int, help="theirs; likewise")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=MAIN_CONTENDERS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2, help="steps before those that count")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--cpu-time", action="store_true", help="count CPU seconds: for a busy machine, one thread"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    length = max_seq_length_of(args.shards) if args.shards else args.max_seq_length
    at_once = max(1, TOKENS_AT_ONCE[args.device] // length)
    peers_at_once = max(1, PEER_TOKENS_AT_ONCE[args.device] // length)
    batch_size = max(1, BATCH_SIZES[args.size] * 128 // length)
    if args.device == "cuda":
        batch_size = max(batch_size, at_once)
    setting = Setting(
        size=args.size,
        shards=args.shards,
        max_seq_length=length,
        batch_size=args.batch_size or batch_size,
        micro_batch_size=args.micro_batch_size or at_once,
        peer_micro_batch_size=args.peer_micro_batch_size or peers_at_once,
        device=torch.device(args.device),
        threads=args.threads,
        cpu_time=args.cpu_time,
    )
    torch.set_num_threads(setting.threads)
    before = gemm_peaks(setting)
    rounds = measure(args.contenders, setting, steps=args.warm_up + args.repetitions)
    # Measured twice: where somebody else had the processor meanwhile, the peak would seem low.
    peaks = {name: max(peak, before[name]) for name, peak in gemm_peaks(setting).items()}
    report(setting, rounds, peaks, warm_up=args.warm_up, as_json=args.json)


def report(
    setting: Setting,
    rounds: list[Round],
    peaks: dict[str, float],
    *,
    warm_up: int,
    as_json: bool,
) -> None:
    """Print a row each: median rate and spread, how much faster the first is, shares of peak."""
    source = setting.source()
    first, rounds = rounds[0], rounds[warm_up:]
    tokens, flops = [], []
    for step in range(warm_up, warm_up + len(rounds)):
        lengths, num_masked = source.sizes(source.rows(step))
        tokens.append(int(lengths.sum()))
        flops.append(
            training_step_flops(
                setting.config,
                num_tokens=tokens[-1],
                sum_squared_lengths=int((lengths**2).sum()),
                num_masked=int(num_masked.sum()),
                num_sequences=setting.batch_size,
            )
        )
    contenders = list(rounds[0])
    rows = []
    for name in contenders:
        seconds = [each[name][0] for each in rounds]
        reading = [each[name][1] for each in rounds]
        rates = [count / each for count, each in zip(tokens, seconds, strict=True)]
        factors = [each[name][0] / each[contenders[0]][0] for each in rounds]
        rows.append(
            {
                "name": name,
                "first_step_seconds": first[name][0],
                "step_seconds": statistics.median(seconds),
                "tokens_per_second": statistics.median(rates),
                "slowest": min(rates),
                "fastest": max(rates),
                "factor": statistics.median(factors),
                "least_factor": min(factors),
                "greatest_factor": max(factors),
                "share_of_peak": statistics.median(
                    count / each / peaks[name.split()[1]]
                    for count, each in zip(flops, seconds, strict=True)
                ),
                "share_of_reading": statistics.median(
                    each / whole for each, whole in zip(reading, seconds, strict=True)
                ),
            }
        )
    padding = 1 - statistics.mean(tokens) / (setting.max_seq_length * setting.batch_size)
    if as_json:
        print(json.dumps({"padding": padding, "gemm_peak": peaks, "rows": rows}))
        return
    print(
        f"{setting.size}, {statistics.mean(tokens):,.0f} real tokens a step "
        f"({setting.batch_size} of up to {setting.max_seq_length}, {padding:.0%} padding), "
        f"{setting.threads} threads, GEMM peak "
        + ", ".join(f"{peak / 1e9:,.0f} GFLOP/s {name}" for name, peak in peaks.items())
        + f"\n{'':28}{'tokens/s':>28}{'× faster':>24}{'of peak':>9}"
        + f"{'reading':>9}{'first, later step s':>21}"
    )
    for row in rows:
        rate = f"{row['tokens_per_second']:,.0f} ({row['slowest']:,.0f} to {row['fastest']:,.0f})"
        factor = f"{row['factor']:.2f} ({row['least_factor']:.2f} to {row['greatest_factor']:.2f})"
        print(
            f"{row['name']:28}{rate:>28}{factor:>24}"
            f"{row['share_of_peak']:>9.0%}{row['share_of_reading']:>9.1%}"
            f"{row['first_step_seconds']:>13.1f}{row['step_seconds']:>8.2f}"
        )


if __name__ == "__main__":
    main()
