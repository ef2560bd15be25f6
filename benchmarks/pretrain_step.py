"""Real tokens per second of a pretraining step, ours against transformers', interleaved in one run.

    python benchmarks/pretrain_step.py --size tiny

Everyone trains the same configuration on the same batches: forward, backward, clipping, AdamW,
dropout 0.1. transformers' model is fed padded batches and computes logits everywhere, as its
trainer does, in float32 and under bfloat16 autocast; `tuned` is the same model as a careful user
would write the step: bfloat16, the vocabulary head on masked positions only, fused AdamW.
Each has a process of its own, and they take their steps in turn, one at a time, every step on new
instances. Padding is not counted as tokens. Needs the `dev` extra.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from bertctl.model.config import SIZES, BertConfig
from bertctl.model.dropout import DropoutKey
from bertctl.model.flops import training_step_flops
from bertctl.model.optimiser import adamw, clip_gradients
from bertctl.model.precision import Precision
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.tokens import pack_pretraining_batch
from bertctl.model.weights import initialise
from bertctl.pipeline.allocator import keep_freed_memory

BATCH_SIZES = {"tiny": 256, "mini": 128, "small": 64, "medium": 32, "base": 16, "large": 8}
PEER_MICRO_BATCH = 32
"""What serves transformers best on two cores: fewer instances or more are slower."""


@dataclass(frozen=True)
class Instances:
    """Instances as a shard holds them: one after another, no padding; int64."""

    input_ids: Tensor
    lengths: Tensor
    segment_a_lengths: Tensor
    masked_lm_positions: Tensor
    masked_lm_ids: Tensor
    num_masked: Tensor
    next_sentence_labels: Tensor

    def cut(self, micro_batch_size: int) -> Iterator[Instances]:
        """Slice into micro-batches."""
        tokens = torch.cumsum(self.lengths, 0)
        masked = torch.cumsum(self.num_masked, 0)
        for first in range(0, len(self.lengths), micro_batch_size):
            last = min(first + micro_batch_size, len(self.lengths))
            t = slice(int(tokens[first - 1]) if first else 0, int(tokens[last - 1]))
            m = slice(int(masked[first - 1]) if first else 0, int(masked[last - 1]))
            yield Instances(
                self.input_ids[t],
                self.lengths[first:last],
                self.segment_a_lengths[first:last],
                self.masked_lm_positions[m],
                self.masked_lm_ids[m],
                self.num_masked[first:last],
                self.next_sentence_labels[first:last],
            )


Step = Callable[[Instances], None]


def draw_instances(
    batch_size: int, *, max_seq_length: int, vocab_size: int, seed: int
) -> Instances:
    """Draw instances with lengths as shards have them: four fifths full, the rest any shorter."""
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, size: int) -> Tensor:
        return torch.randint(low, high, (size,), generator=generator)

    lengths = torch.full((batch_size,), max_seq_length)
    short = torch.rand(batch_size, generator=generator) < 0.2
    lengths[short] = integers(8, max_seq_length, int(short.sum()))
    num_masked = (lengths * 0.15).round().long().clamp(min=1)
    positions = [
        torch.randperm(int(length) - 1, generator=generator)[: int(count)].sort().values + 1
        for length, count in zip(lengths, num_masked, strict=True)
    ]
    total = int(num_masked.sum())
    return Instances(
        input_ids=integers(1000, vocab_size, int(lengths.sum())),
        lengths=lengths,
        segment_a_lengths=lengths // 2,
        masked_lm_positions=torch.cat(positions),
        masked_lm_ids=integers(1000, vocab_size, total),
        num_masked=num_masked,
        next_sentence_labels=integers(0, 2, batch_size),
    )


def our_step(config: BertConfig, *, precision: Precision, micro_batch_size: int) -> Step:
    """Build our training step: packed rows, micro-batches, keyed dropout."""
    model = BertForPreTraining(config, precision=precision)
    initialise(model, config, seed=1)
    model.train()
    optimizer = adamw(model, learning_rate=1e-4, weight_decay=0.01)
    step = 0

    def take(instances: Instances) -> None:
        nonlocal step
        optimizer.zero_grad(set_to_none=True)
        mlm_count, nsp_count = len(instances.masked_lm_ids), len(instances.lengths)
        position = 0
        for part in instances.cut(micro_batch_size):
            batch = pack_pretraining_batch(**vars(part))
            sums = model(batch, DropoutKey(seed=1, step=step, position=position))
            (sums.mlm_loss_sum / mlm_count + sums.nsp_loss_sum / nsp_count).backward()
            position += len(part.lengths)
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
        step += 1

    return take


def peer_step(
    config: BertConfig, *, max_seq_length: int, autocast: bool, tuned: bool, micro_batch_size: int
) -> Step:
    """Build transformers' training step on padded batches."""
    model = transformers.BertForPreTraining(transformers.BertConfig(**config.to_dict())).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=tuned)

    def take(instances: Instances) -> None:
        optimizer.zero_grad(set_to_none=True)
        parts = [pad(part, max_seq_length) for part in instances.cut(micro_batch_size)]
        for columns in parts:
            precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
            with precision:
                loss = tuned_loss(model, columns) if tuned else model(**columns).loss
            (loss / len(parts)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return take


def tuned_loss(model: transformers.BertForPreTraining, columns: dict[str, Tensor]) -> Tensor:
    """Compute the same loss with the vocabulary head on masked positions only."""
    hidden, pooled = model.bert(
        columns["input_ids"], columns["attention_mask"], columns["token_type_ids"]
    )[:2]
    masked = columns["labels"] != -100
    scores = model.cls.predictions(hidden[masked])
    relationship = model.cls.seq_relationship(pooled)
    return F.cross_entropy(scores.float(), columns["labels"][masked]) + F.cross_entropy(
        relationship.float(), columns["next_sentence_label"]
    )


def pad(instances: Instances, length: int) -> dict[str, Tensor]:
    """Pad to (B, S), as a data collator does."""
    positions = torch.arange(length)
    real = positions < instances.lengths[:, None]
    input_ids = torch.zeros(real.shape, dtype=torch.int64)
    input_ids[real] = instances.input_ids
    labels = torch.full(real.shape, -100)
    sequence = torch.arange(len(instances.lengths)).repeat_interleave(instances.num_masked)
    labels[sequence, instances.masked_lm_positions] = instances.masked_lm_ids
    return {
        "input_ids": input_ids,
        "attention_mask": real.long(),
        "token_type_ids": ((positions >= instances.segment_a_lengths[:, None]) & real).long(),
        "labels": labels,
        "next_sentence_label": instances.next_sentence_labels,
    }


def gemm_peak(dtype: torch.dtype, clock: Callable[[], float]) -> float:
    """Measure FLOP/s of a large matrix product: what useful FLOPs are held against."""
    size = 2048
    one, other = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    one @ other
    best = float("inf")
    for _ in range(8):
        begun = clock()
        one @ other
        best = min(best, clock() - begun)
    return 2 * size**3 / best


def build(name: str, args: argparse.Namespace) -> Step:
    """Build a contender's step."""
    config = SIZES[args.size]
    who, precision, *tuned = name.split()
    if who == "bertctl":
        keep_freed_memory()  # as every run of bertctl does when it sets its machine up
        return our_step(config, precision=precision, micro_batch_size=args.micro_batch_size)
    return peer_step(
        config,
        max_seq_length=args.max_seq_length,
        autocast=precision == "bfloat16",
        tuned=bool(tuned),
        micro_batch_size=args.peer_micro_batch_size,
    )


def work(name: str, args: argparse.Namespace, pipe: Connection) -> None:
    """Take a step on the instances of whatever seed comes, and answer with its seconds."""
    torch.set_num_threads(args.threads)
    step = build(name, args)
    clock = clock_of(args)
    pipe.send(None)
    while (seed := pipe.recv()) is not None:
        instances = instances_of(args, seed)
        begun = clock()
        step(instances)
        pipe.send(clock() - begun)


def measure(args: argparse.Namespace) -> list[dict[str, float]]:
    """Let all contenders take their steps in turn; seconds by name, for each repetition."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in args.contenders:
        pipes[name], theirs = context.Pipe()
        context.Process(target=work, args=(name, args, theirs), daemon=True).start()
        pipes[name].recv()
    rounds: list[dict[str, float]] = []
    for seed in range(-args.warm_up, args.repetitions):
        seconds: dict[str, float] = {}
        for name, pipe in pipes.items():
            pipe.send(seed)
            seconds[name] = pipe.recv()
        if seed >= 0:
            rounds.append(seconds)
    for pipe in pipes.values():
        pipe.send(None)
    return rounds


def instances_of(args: argparse.Namespace, seed: int) -> Instances:
    """Return the instances that every contender trains on in round `seed`."""
    return draw_instances(
        args.batch_size,
        max_seq_length=args.max_seq_length,
        vocab_size=SIZES[args.size].vocab_size,
        seed=seed + 1000,
    )


def clock_of(args: argparse.Namespace) -> Callable[[], float]:
    return time.process_time if args.cpu_time else time.perf_counter


CONTENDERS = (
    "bertctl bfloat16",
    "bertctl float32",
    "transformers float32",
    "transformers bfloat16",
    "transformers bfloat16 tuned",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--max-seq-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, help="instances per step; default: by size")
    parser.add_argument("--micro-batch-size", type=int, default=32)
    parser.add_argument("--peer-micro-batch-size", type=int, default=PEER_MICRO_BATCH)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2, help="steps before those that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--cpu-time", action="store_true", help="count CPU seconds: for a busy machine, one thread"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    args.batch_size = args.batch_size or BATCH_SIZES[args.size]
    torch.set_num_threads(args.threads)
    clock = clock_of(args)
    peaks = {
        str(dtype).split(".")[1]: gemm_peak(dtype, clock)
        for dtype in (torch.float32, torch.bfloat16)
    }
    report(args, measure(args), peaks)


def report(
    args: argparse.Namespace, rounds: list[dict[str, float]], peaks: dict[str, float]
) -> None:
    """Print a row each: median rate and spread, how much faster the first is, share of peak."""
    batches = [instances_of(args, seed) for seed in range(args.repetitions)]
    tokens = [int(each.lengths.sum()) for each in batches]
    flops = [
        training_step_flops(
            SIZES[args.size],
            num_tokens=int(each.lengths.sum()),
            sum_squared_lengths=int((each.lengths**2).sum()),
            num_masked=len(each.masked_lm_ids),
            num_sequences=args.batch_size,
        )
        for each in batches
    ]
    first = args.contenders[0]
    rows = []
    for name in args.contenders:
        rates = [count / each[name] for count, each in zip(tokens, rounds, strict=True)]
        rows.append(
            {
                "name": name,
                "tokens_per_second": statistics.median(rates),
                "slowest": min(rates),
                "fastest": max(rates),
                "factor": statistics.median(each[name] / each[first] for each in rounds),
                "share_of_peak": statistics.median(
                    count / each[name] / peaks[name.split()[1]]
                    for count, each in zip(flops, rounds, strict=True)
                ),
            }
        )
    padding = 1 - statistics.mean(tokens) / (args.max_seq_length * args.batch_size)
    if args.json:
        print(json.dumps({**vars(args), "padding": padding, "gemm_peak": peaks, "rows": rows}))
        return
    print(
        f"{args.size}, {statistics.mean(tokens):,.0f} real tokens a step ({padding:.0%} padding), "
        f"{args.threads} threads, GEMM peak "
        + ", ".join(f"{peak / 1e9:,.0f} GFLOP/s {name}" for name, peak in peaks.items())
        + f"\n{'':30}{'tokens/s':>10}{'slowest':>10}{'fastest':>10}{'factor':>8}{'of peak':>9}"
    )
    for row in rows:
        print(
            f"{row['name']:30}{row['tokens_per_second']:>10,.0f}{row['slowest']:>10,.0f}"
            f"{row['fastest']:>10,.0f}{row['factor']:>7.2f}x{row['share_of_peak']:>9.0%}"
        )


if __name__ == "__main__":
    main()
