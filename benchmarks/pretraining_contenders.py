"""Who takes part in the benchmark of a pretraining step: each a function that takes one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from pretraining_batches import Drawn, Shards, Source, packed, padded
from torch import Tensor

from bertctl.model.compiling import compile_layers
from bertctl.model.config import SIZES, BertConfig
from bertctl.model.dropout import DropoutKey
from bertctl.model.optimiser import adamw, clip_gradients
from bertctl.model.precision import Precision
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise
from bertctl.pipeline.allocator import keep_freed_memory
from bertctl.pipeline.pretrain.instances import Ints

MAIN_CONTENDERS = (
    "bertctl bfloat16",
    "bertctl float32",
    "transformers float32",
    "transformers bfloat16",
    "transformers bfloat16 tuned",
)
CONTENDERS = (*MAIN_CONTENDERS, "bertctl bfloat16 compiled", "bertctl float32 compiled")

Step = Callable[[Source, Ints], float]
"""Trains on the rows of a source, and returns the seconds until they were read."""


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    size: str
    shards: Path | None
    max_seq_length: int
    batch_size: int
    micro_batch_size: int
    peer_micro_batch_size: int
    device: torch.device
    threads: int
    cpu_time: bool

    @property
    def config(self) -> BertConfig:
        return SIZES[self.size]

    def clock(self) -> float:
        """Return the time once everything asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if self.cpu_time else time.perf_counter()

    def source(self) -> Source:
        if self.shards is not None:
            return Shards(self.shards, self.batch_size)
        return Drawn(
            self.batch_size,
            max_seq_length=self.max_seq_length,
            vocab_size=self.config.vocab_size,
        )


def our_step(setting: Setting, precision: Precision, *, compiled: bool) -> Step:
    """Build our training step: packed rows, micro-batches, keyed dropout."""
    keep_freed_memory()  # as every run of bertctl does when it sets its machine up
    model = BertForPreTraining(setting.config, precision=precision)
    initialise(model, setting.config, seed=1)
    model.to(setting.device).train()
    if compiled:
        compile_layers(model)
    optimizer = adamw(model, learning_rate=1e-4, weight_decay=0.01)
    step = 0

    def take(source: Source, rows: Ints) -> float:
        nonlocal step
        begun = setting.clock()
        parts = packed(source, rows, setting.micro_batch_size)
        seconds = setting.clock() - begun
        optimizer.zero_grad()
        mlm_count = sum(len(batch.masked_rows) for _, batch in parts)
        for position, batch in parts:
            key = DropoutKey(seed=1, step=step, position=position)
            sums = model(batch.to(setting.device), key)
            (sums.mlm_loss_sum / mlm_count + sums.nsp_loss_sum / len(rows)).backward()
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        return seconds

    return take


def peer_step(setting: Setting, *, autocast: bool, tuned: bool) -> Step:
    """Build transformers' training step on padded batches."""
    model = transformers.BertForPreTraining(transformers.BertConfig(**setting.config.to_dict()))
    model.to(setting.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=tuned)

    def take(source: Source, rows: Ints) -> float:
        begun = setting.clock()
        parts = padded(source, rows, setting.peer_micro_batch_size, setting.max_seq_length)
        seconds = setting.clock() - begun
        optimizer.zero_grad(set_to_none=True)
        for part in parts:
            columns = {name: each.to(setting.device) for name, each in part.items()}
            precision = (
                torch.autocast(setting.device.type, torch.bfloat16) if autocast else nullcontext()
            )
            with precision:
                loss = tuned_loss(model, columns) if tuned else model(**columns).loss
            (loss / len(parts)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return seconds

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


def gemm_peaks(setting: Setting) -> dict[str, float]:
    """Measure FLOP/s of a large matrix product: what useful FLOPs are held against."""
    return {
        "float32": gemm_peak(setting, torch.float32),
        "bfloat16": gemm_peak(setting, torch.bfloat16),
    }


def gemm_peak(setting: Setting, dtype: torch.dtype) -> float:
    size = 2048 if setting.device.type == "cpu" else 8192
    one, other = (torch.randn(size, size, device=setting.device).to(dtype) for _ in range(2))
    one @ other
    best = float("inf")
    for _ in range(16):
        begun = setting.clock()
        one @ other
        best = min(best, setting.clock() - begun)
    return 2 * size**3 / best


def build(name: str, setting: Setting) -> Step:
    """Build a contender's step."""
    who, precision, *how = name.split()
    if who == "bertctl":
        return our_step(setting, precision, compiled=how == ["compiled"])
    return peer_step(setting, autocast=precision == "bfloat16", tuned=how == ["tuned"])
