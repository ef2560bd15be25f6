"""How far an unfinished output is, from the names of its files and the smallest of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage.files import read_json
from ..stage.units import WORK
from .finding import Output

_UNITS = f"{WORK}/units/"
_PIECE = re.compile(re.escape(_UNITS) + r".*-[0-9a-f]{8}-[0-9]{5}\.json")
_SHARD = re.compile(r"(train|validation)-[0-9]{5}-of-([0-9]{5})\.arrow")
_CHECKPOINT = re.compile(r"(.*)checkpoints/step-([0-9]+)/checkpoint\.json")
_RUN = re.compile(re.escape(_UNITS) + r"((?:.*-)?seed-[0-9]+(?:-fold-[0-9]+)?)\.json")
_LOG = "log/metrics.jsonl"
_MOST_UNITS_READ = 100
"""Of more, so many tell how large a piece is in the mean: there may be a hundred thousand."""
_TAIL_BYTES = 1 << 14


@dataclass(frozen=True)
class Progress:
    """`share`: from 0 to 1, of the phase that `phase` names; None where it can't be told."""

    share: float | None
    phase: str


def progress_of(output: Output, sources: Sequence[Output], *, at_work: bool) -> Progress:
    """Tell how far an unfinished output is; `sources` is what it is made from.

    What counts is what the next run goes on from; where somebody is `at_work`, what that one says.
    """
    if output.recipe is None:
        return Progress(None, "")
    if output.stage == "pretrain":
        return _of_steps(output, sources, at_work=at_work)
    tell = _TELLERS.get(output.stage)
    return Progress(None, "") if tell is None else tell(output, output.recipe.what)


def _of_vocab(output: Output, what: Mapping[str, Any]) -> Progress:
    share = _share_read(output, what)
    return Progress(share, "merging pieces" if share == 1 else "counting words")


def _of_shards(output: Output, what: Mapping[str, Any]) -> Progress:
    shards = [match for name in output.sizes if (match := _SHARD.fullmatch(name))]
    if shards:
        total = sum({match[1]: int(match[2]) for match in shards}.values())
        return Progress(len(shards) / total, "writing shards")
    return Progress(_share_read(output, what), "tokenising")


def _share_read(output: Output, what: Mapping[str, Any]) -> float | None:
    """Return the share of the input's bytes that committed pieces were made of."""
    assert output.recipe is not None
    pieces = sorted(name for name in output.sizes if _PIECE.fullmatch(name))
    total = sum(each.size for each in output.recipe.inputs)
    if not total or what.get("max_documents") is not None:
        return None
    some = pieces[:: -(-len(pieces) // _MOST_UNITS_READ)] if pieces else []
    records = [read_json(output.directory / name) or {} for name in some]
    read = sum(each.get("result", {}).get("source_bytes", 0) for each in records)
    return min(1.0, read / total * len(pieces) / max(1, len(some)))


def _of_steps(output: Output, sources: Sequence[Output], *, at_work: bool) -> Progress:
    assert output.recipe is not None
    step = max([0, *_checkpoints(output).values()])
    if at_work:
        step = max(step, _step_logged(output.directory / _LOG))
    total = _total_steps(output.recipe.what, sources)
    if total is None:
        return Progress(None, f"step {step:,}")
    return Progress(min(1.0, step / total), f"step {step:,} of {total:,}")


def _total_steps(what: Mapping[str, Any], sources: Sequence[Output]) -> int | None:
    """Return how many steps there will be; None where that depends on what isn't here."""
    if isinstance(steps := what.get("steps"), int):
        return steps
    shards = [each.manifest for each in sources if each.stage == "shard" and each.manifest]
    if len(shards) != 1:
        return None
    rows, copies = shards[0].statistics.get("rows"), shards[0].recipe.what.get("dupe_factor")
    epochs, batch_size = what.get("epochs"), what.get("batch_size")
    if not (isinstance(rows, dict) and copies and epochs and batch_size):
        return None
    instances = sum(count for name, count in rows.items() if name.startswith("train-"))
    return max(1, round(epochs * instances / copies / batch_size))


def _of_runs(output: Output, what: Mapping[str, Any]) -> Progress:
    """Tell of finished runs, a seed's or a fold's each, and of the epochs of the one under way."""
    seeds, epochs = what.get("seeds"), what.get("epochs")
    if not (isinstance(seeds, int) and isinstance(epochs, int) and seeds and epochs):
        return Progress(None, "")
    done = {match[1] for name in output.sizes if (match := _RUN.fullmatch(name))}
    if what.get("grid"):
        return Progress(None, f"{len(done):,} runs of a grid")
    # Over all rows, once more, when every fold is done.
    total = seeds * ((what.get("folds") or 0) + 1)
    begun = [
        len((read_json(output.directory / name) or {}).get("progress", {}).get("epochs", ()))
        for name in _checkpoints(output)
        if not any(f"/{run}/" in name for run in done)
    ]
    epoch = max(begun, default=0)
    kind = "run" if what.get("folds") else "seed"
    run = f"{kind} {min(len(done) + 1, total)} of {total}, " if total > 1 else ""
    share = min(1.0, (len(done) + epoch / epochs) / total)
    return Progress(share, f"{run}epoch {epoch} of {epochs}")


_TELLERS: Mapping[str, Callable[[Output, Mapping[str, Any]], Progress]] = {
    "vocab": _of_vocab,
    "shard": _of_shards,
    "finetune": _of_runs,
}


def _checkpoints(output: Output) -> dict[str, int]:
    """Return the steps of its checkpoints, by the names of their records."""
    matches = map(_CHECKPOINT.fullmatch, output.sizes)
    return {match[0]: int(match[2]) for match in matches if match}


def _step_logged(log: Path) -> int:
    """Return the last step that was logged; 0 where none was."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0
