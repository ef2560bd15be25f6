"""What a job will take, told before it begins: time, memory and disk, between bounds.

The bounds are what was measured (benchmarks/RESULTS.md) with room on either side: an estimate is
there to tell a minute from a day.
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...model.config import BertConfig
from ...model.flops import training_step_flops
from ..corpus.listing import list_inputs
from ..errors import BertctlError, WorkFailed
from ..finetune.stage import check_files
from ..pretrain.plan import plan_of
from ..shard.room import Need, text_of
from ..shard.room import estimate as estimate_shards
from ..shard.settings import InstanceSettings
from ..stage.labour import available_workers
from .jobs import Job
from .requests import (
    finetune_request,
    pretrain_request,
    shard_request,
    vocab_request,
)
from .shapes import is_complete, shape_of, vocab_size
from .standing import Standing

_NOTHING = Need(0, 0)
_VOCAB_BYTES_A_SECOND = Need(10e6, 25e6)
"""Of text, by one worker"""
_SHARD_BYTES_A_SECOND = Need(10e6, 28e6)
_MORE_FOR_A_COPY = 0.25
"""Of the first copy's time"""
_START_SECONDS = Need(0.5, 4)
_WORKER_BYTES = Need(200e6, 400e6)
_TOKEN_FILES_BYTES = 60
"""A token of a vocabulary, in all its files"""
_TOKENS_IN_A_BYTE = Need(0.2, 0.4)
"""English and Chinese"""
_FILLED = 0.9
"""Of the greatest length, the mean of instances"""
_SHARE_OF_PEAK = Need(0.25, 0.55)
_SHARE_OF_PEAK_FINETUNING = Need(0.1, 0.4)
_TRAINING_BYTES = Need(0.5e9, 1.5e9)
_STATE_BYTES = 16
"""A parameter with its gradient and the optimizer's two moments"""
_WEIGHT_BYTES = 4
_GRID_CELLS, _GRID_EPOCHS = 18, 3
_LOGGED = 50
"""Lines of a run's log that tell how fast it goes"""


@dataclass(frozen=True)
class Estimate:
    """Bounds of what a job takes from here on."""

    memory_bytes: Need
    disk_bytes: Need
    other_seconds: Need
    """Of time that doesn't depend on how fast matrices are multiplied"""
    peak_flops: Need = _NOTHING
    """Arithmetic, as if all of it went at the machine's peak"""

    def seconds(self, flops_a_second: float) -> Need:
        """Return the time on a machine with such a peak."""
        return self.other_seconds.plus(self.peak_flops.times(_per(flops_a_second)))


def estimates_of(standings: Sequence[Standing]) -> dict[str, Estimate]:
    """Return what is to come, by the names of the jobs that have work and can be estimated."""
    found: dict[str, Estimate] = {}
    for standing in standings:
        if standing.has_work:
            # What can't be read yet is told by the command itself, when it is its turn.
            with suppress(BertctlError):
                found[standing.job.name] = _ESTIMATES[standing.job.stage](standing)
    return found


def check_disk(needs: Iterable[tuple[Path, Estimate]]) -> None:
    """Raise `WorkFailed` where even the least of what is to come doesn't fit a disk.

    `needs`: where each output goes, and what it takes.
    """
    least: dict[int, float] = {}
    places: dict[int, Path] = {}
    for output, estimate in needs:
        place = next(
            each for each in (output.absolute(), *output.absolute().parents) if each.exists()
        )
        device = place.stat().st_dev
        least[device] = least.get(device, 0) + estimate.disk_bytes.least
        places[device] = place
    for device, need in least.items():
        free = shutil.disk_usage(places[device]).free
        if need > free:
            raise WorkFailed(
                f"The disk of {places[device]} has {free / 1e6:,.0f} MB free; what is to be done "
                f"there needs at least {need / 1e6:,.0f} MB.",
                hint="Free some space, set another output, or do a part of it with --only.",
            )


def _vocab(standing: Standing) -> Estimate:
    job = standing.job
    request = vocab_request(job)
    workers = _workers(request.how.workers)
    size = request.vocab.vocab_size * _TOKEN_FILES_BYTES
    return Estimate(
        memory_bytes=_times(_WORKER_BYTES, workers),
        disk_bytes=Need(size, 2 * size),
        other_seconds=_START_SECONDS.plus(_over(_text(job), _VOCAB_BYTES_A_SECOND, workers)),
    )


def _shard(standing: Standing) -> Estimate:
    job = standing.job
    request = shard_request(job)
    workers, copies = _workers(request.how.workers), request.instances.dupe_factor
    once = _over(_text(job), _SHARD_BYTES_A_SECOND, workers)
    work = 1 + _MORE_FOR_A_COPY * (copies - 1)
    id_bytes = 2 if vocab_size(job) <= 1 << 16 else 4
    tokens, shards = estimate_shards(list_inputs(job.inputs), copies=copies, id_bytes=id_bytes)
    return Estimate(
        memory_bytes=_times(_WORKER_BYTES, workers),
        disk_bytes=shards if request.how.scratch else shards.plus(tokens),
        other_seconds=_START_SECONDS.plus(_times(once, work)),
    )


def _pretrain(standing: Standing) -> Estimate:
    job = standing.job
    request = pretrain_request(job)
    config, batch = shape_of(job), request.training.batch_size
    steps, length = _course(job)
    tokens = int(batch * length * _FILLED)
    flops = training_step_flops(
        config,
        num_tokens=tokens,
        sum_squared_lengths=int(tokens * length * _FILLED),
        num_masked=int(tokens * 0.15),
        num_sequences=batch,
    )
    work, seconds = _at_share(_times(steps, flops), _SHARE_OF_PEAK), _START_SECONDS
    if standing.state == "begun" and (logged := _logged(job.output / "log/metrics.jsonl")):
        step, one = logged
        left = Need(max(steps.least - step, 0), max(steps.most - step, 0))
        work, seconds = _NOTHING, seconds.plus(left.times(Need(0.8 * one, 1.2 * one)))
    weights = _parameters(config)
    # A checkpoint more than are kept stands there while it is written.
    checkpoints = (request.how.keep + 1) * _STATE_BYTES * weights
    return Estimate(
        memory_bytes=_memory(weights),
        disk_bytes=Need(_WEIGHT_BYTES * weights, _WEIGHT_BYTES * weights + checkpoints),
        other_seconds=seconds,
        peak_flops=work,
    )


def _finetune(standing: Standing) -> Estimate:
    job = standing.job
    request = finetune_request(job)
    rows = standing.rows or check_files(request)
    config, settings = shape_of(job), request.settings
    runs = settings.seeds * ((settings.folds or 0) + 1)
    epochs = settings.epochs
    if settings.grid:
        runs, epochs = runs * _GRID_CELLS, _GRID_EPOCHS
    # Reading a row is a third of learning from it.
    read = rows["train"] * epochs + (rows.get("validation", 0) * epochs + rows.get("test", 0)) / 3
    size = sum(path.stat().st_size for path in request.files.values()) / max(sum(rows.values()), 1)
    length = min(settings.max_seq_length, max(8, size * _TOKENS_IN_A_BYTE.least))
    flops = training_step_flops(
        config,
        num_tokens=int(read * length),
        sum_squared_lengths=int(read * length * length),
        num_masked=0,
        num_sequences=0,
    )
    weights = _parameters(config)
    return Estimate(
        memory_bytes=_memory(weights),
        disk_bytes=Need(_WEIGHT_BYTES * weights, (_WEIGHT_BYTES + 2 * _STATE_BYTES) * weights),
        other_seconds=_times(_START_SECONDS, runs),
        peak_flops=_at_share(Need(runs * flops, runs * flops), _SHARE_OF_PEAK_FINETUNING),
    )


_ESTIMATES: Mapping[str, Callable[[Standing], Estimate]] = {
    "vocab": _vocab,
    "shard": _shard,
    "pretrain": _pretrain,
    "finetune": _finetune,
}


def _course(job: Job) -> tuple[Need, int]:
    """Return a pretraining's steps, and the tokens of the longest instance of most of them."""
    request = pretrain_request(job)
    if all(is_complete(each) for each in job.made_from):
        plan = plan_of(request)
        return Need(plan.total_steps, plan.total_steps), plan.lessons[0].facts.max_seq_length
    shards = [each for each in job.made_from if each.stage == "shard"]
    lengths = [shard_request(each).instances.max_seq_length for each in shards]
    length = lengths[0] if lengths else InstanceSettings().max_seq_length
    steps, epochs = request.training.steps, request.training.epochs
    if steps is not None:
        return Need(steps, steps), length
    in_a_step = request.training.batch_size * length * _FILLED
    tokens = _text(shards[0]).times(_TOKENS_IN_A_BYTE) if shards else _NOTHING
    return _times(tokens, (epochs or 1) / in_a_step), length


def _parameters(config: BertConfig) -> int:
    """Return the parameters of the encoder with its pooler: heads add little."""
    hidden, inner = config.hidden_size, config.intermediate_size
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    layer = 4 * hidden * (hidden + 1) + 2 * hidden * inner + inner + 5 * hidden
    return rows * hidden + 2 * hidden + config.num_hidden_layers * layer + hidden * (hidden + 1)


def _memory(parameters: int) -> Need:
    state = _STATE_BYTES * parameters
    return _TRAINING_BYTES.plus(Need(state, 2 * state))


def _logged(log: Path) -> tuple[int, float] | None:
    """Return the last step of a run that was begun, and the seconds one takes; None without."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()[-_LOGGED:]
        records = [json.loads(line) for line in lines]
        steps = [each for each in records if "seconds" in each]
        return steps[-1]["step"], statistics.median(each["seconds"] for each in steps)
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def _text(job: Job) -> Need:
    skips = job.settings.get("on_bad_input", "stop")
    return text_of(list_inputs(job.inputs, on_bad_input=skips))


def _over(size: Need, rate: Need, workers: int) -> Need:
    """Return the seconds that `size` takes at a rate a worker."""
    return Need(size.least / rate.most / workers, size.most / rate.least / workers)


def _at_share(flops: Need, share: Need) -> Need:
    """Return how much arithmetic at the peak takes as long as `flops` at a share of it."""
    return Need(flops.least / share.most, flops.most / share.least)


def _times(need: Need, factor: float) -> Need:
    return need.times(Need(factor, factor))


def _per(rate: float) -> Need:
    return Need(1 / rate, 1 / rate)


def _workers(setting: int | str) -> int:
    return available_workers() if isinstance(setting, str) else setting
