"""A pretraining that takes a second: shards, settings and a command."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from bertctl.model.config import BertConfig, Objective
from bertctl.pipeline.pretrain.course import PretrainingCourse, Reading
from bertctl.pipeline.pretrain.order import Order
from bertctl.pipeline.pretrain.reading import Shard, ShardSet
from bertctl.pipeline.pretrain.request import PretrainRequest
from bertctl.pipeline.pretrain.settings import ArchitectureSettings, PretrainHow, PretrainSettings
from bertctl.pipeline.pretrain.stage import pretrain
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.place import Place
from bertctl.pipeline.training.settings import NumericsSettings

from .corpora import write_corpus, write_vocabulary

STEPS = 12
SMALL = ArchitectureSettings(
    model="tiny", hidden_size=32, num_attention_heads=2, intermediate_size=48
)
STILL = replace(SMALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
TRAINING = PretrainSettings(steps=STEPS, batch_size=11, learning_rate=2e-3)
NUMERICS = NumericsSettings(device="cpu", precision="float32", threads=1, micro_batch_size=4)
HOW = PretrainHow(checkpoint_every=3, eval_every=5, log_every=1)


class Recording(Silent):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


def write_shards(directory: Path) -> Path:
    corpus = write_corpus(directory / "corpus", files=4, per_file=12)
    request = ShardRequest(
        inputs=(str(corpus),),
        vocab=write_vocabulary(directory / "vocab.txt"),
        instances=InstanceSettings(
            max_seq_length=40, dupe_factor=2, num_shards=2, validation_fraction=0.1
        ),
    )
    shard(request, directory / "out", reporter=Silent())
    return directory / "out"


def run(shards: Path | tuple[Path, ...], output: Path, **changes: Any) -> Completion:
    reporter = changes.pop("reporter", Silent())
    force = changes.pop("force", False)
    request = PretrainRequest(
        shards=shards if isinstance(shards, tuple) else (shards,),
        architecture=SMALL,
        training=TRAINING,
        numerics=NUMERICS,
        how=HOW,
    )
    done = pretrain(replace(request, **changes), output, reporter=reporter, force=force)
    assert done is not None
    return done


def course_over(
    paths: list[Path],
    config: BertConfig,
    *,
    copies: int,
    training: PretrainSettings = TRAINING,
    micro_batch_size: int,
    place: Place = Place(),  # noqa: B008
    objective: Objective = "mlm+nsp",
) -> PretrainingCourse:
    """Lay out steps over some shards, which are so many copies of one corpus."""
    sizes = [len(Shard(path)) for path in paths]
    per_copy = len(sizes) // copies
    copy_sizes = [sum(sizes[at : at + per_copy]) for at in range(0, len(sizes), per_copy)]
    reading = Reading(
        shards=ShardSet(paths, sizes),
        order=Order(copy_sizes, seed=1),
        begin=0,
        end=10**9,
        micro_batch_size=micro_batch_size,
    )
    return PretrainingCourse(
        readings=[reading],
        settings=training,
        config=config,
        objective=objective,
        total_steps=STEPS,
        warmup_steps=0,
        device=torch.device("cpu"),
        place=place,
    )


def weights_of(directory: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(directory / "model.safetensors")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def steps_logged(output: Path) -> int:
    log = output / "log" / "metrics.jsonl"
    return log.read_text().count("learning_rate") if log.exists() else 0


def figures_of(output: Path) -> list[dict[str, Any]]:
    """Return the logged figures of every step, evaluations left out."""
    lines = (output / "log" / "metrics.jsonl").read_text().splitlines()
    return [figures for line in lines if "learning_rate" in (figures := json.loads(line))]


def flags(shards: Path, output: Path) -> list[str]:
    given = (
        f"--model tiny --hidden-size 32 --num-attention-heads 2 --intermediate-size 48 "
        f"--steps {STEPS} --batch-size 11 --learning-rate 2e-3 --device cpu --precision float32 "
        "--threads 1 --micro-batch-size 4 --checkpoint-every 3 --eval-every 5 --log-every 1"
    )
    return ["pretrain", str(shards), *given.split(), "-o", str(output)]


def command(shards: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "bertctl", *flags(shards, output)]
