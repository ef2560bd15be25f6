"""A request turned into what will be trained, on what and how long: checked, and nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ...model.config import BertConfig, Objective
from ...model.schedule import warmup_steps
from ..errors import BadInput
from ..shard.settings import FORMAT_VERSION as SHARD_FORMAT_VERSION
from ..stage.earlier import EarlierStage, open_earlier
from ..stage.settings import check_settings
from ..training.starting_point import StartingPoint, open_stored
from .facts import ShardFacts
from .request import PretrainRequest
from .settings import shares_of
from .shape import settle

_WARMUP_PROPORTION = 0.01


@dataclass(frozen=True)
class Lesson:
    """One directory of shards, and the steps that read it: from `begin` up to before `end`."""

    stage: EarlierStage
    facts: ShardFacts
    begin: int
    end: int


@dataclass(frozen=True)
class Plan:
    """What a request means, with every `auto` that doesn't depend on the machine settled."""

    request: PretrainRequest
    lessons: tuple[Lesson, ...]
    shares: tuple[float, ...]
    """Of the lessons, in their order."""
    config: BertConfig
    objective: Objective
    total_steps: int
    warmup_steps: int
    start: StartingPoint | None
    """Whose weights to begin with; None for random ones."""

    @property
    def longest(self) -> int:
        """Tokens of the longest instance there may be."""
        return max(each.facts.max_seq_length for each in self.lessons)


def plan_of(request: PretrainRequest) -> Plan:
    """Open the shards and the model to start from, and settle the course of the training.

    Raises:
        BadInput: a setting can't be used, or something isn't finished, damaged or doesn't fit.
    """
    _check_settings(request)
    opened = [
        open_earlier(path, "shard", format_version=SHARD_FORMAT_VERSION) for path in request.shards
    ]
    facts = [ShardFacts.of(each) for each in opened]
    _refuse_other_vocabularies(opened)
    start = None if request.init is None else open_stored(request.init, None, flag="--init")
    objective, config = settle(request, facts, start)
    if start is not None:
        _refuse_other_start(start, opened[0], objective)
    total_steps = _total_steps(request, facts)
    shares = shares_of(request.training.shares, len(opened))
    return Plan(
        request=request,
        lessons=_lessons(shares, opened, facts, total_steps),
        shares=shares,
        config=config,
        objective=objective,
        total_steps=total_steps,
        warmup_steps=_warmup_steps(request, total_steps),
        start=start,
    )


def check_before_shards(request: PretrainRequest, facts: Sequence[ShardFacts]) -> None:
    """Raise `BadInput` for what `plan_of` will refuse, as far as `facts` of shards that are to be
    made tell; a model to go on from is taken to fit.
    """
    _check_settings(request)
    shares_of(request.training.shares, len(facts))
    if request.init is None:
        settle(request, facts, None)


def _check_settings(request: PretrainRequest) -> None:
    """Check what needs neither shards nor a model."""
    check_settings(
        request.architecture,
        request.training,
        request.numerics,
        request.processes,
        request.how,
    )
    training = request.training
    if (training.steps is None) == (training.epochs is None):
        raise BadInput(
            "How long to train isn't said, or said twice: expected either --steps or --epochs.",
            hint="BERT was trained for about 40 epochs: --epochs 40.",
        )
    _refuse_too_small_batch(request)


def _refuse_other_vocabularies(opened: Sequence[EarlierStage]) -> None:
    first = opened[0]
    for each in opened[1:]:
        if _vocabulary_of(each) != _vocabulary_of(first):
            raise BadInput(
                f"{each.directory} was made with another vocabulary than {first.directory}; a "
                "model has one.",
                hint="Make both with the same --vocab.",
            )


def _vocabulary_of(shards: EarlierStage) -> str | None:
    return shards.manifest.recipe.earlier.get("vocab")


def _refuse_other_start(start: StartingPoint, shards: EarlierStage, objective: Objective) -> None:
    if start.vocabulary.fingerprint(start.normalization) != _vocabulary_of(shards):
        raise BadInput(
            f"{shards.directory} was made with another vocabulary than {start.directory} was "
            "trained with.",
            hint=f"Make the shards with --vocab {start.directory}.",
        )
    if objective != "causal" and start.content.get("is_decoder"):
        raise BadInput(
            f"{start.directory} reads from left to right only; --objective {objective} reads both "
            "ways.",
            hint="Give --objective causal, or start from another model.",
        )


def _total_steps(request: PretrainRequest, facts: Sequence[ShardFacts]) -> int:
    settings = request.training
    sizes = [each.copy_sizes() for each in facts]
    for path, each in zip(request.shards, sizes, strict=True):
        if not sum(each):
            raise BadInput(f"{path} holds no training instances.")
    if settings.steps is not None:
        return settings.steps
    assert settings.epochs is not None
    if len(facts) > 1:
        raise BadInput(
            "--epochs with several SHARDS doesn't say whose epochs; expected --steps.",
            hint="Give --steps, of which each directory gets its share.",
        )
    instances = settings.epochs * sum(sizes[0]) / len(sizes[0])
    return max(1, round(instances / settings.batch_size))


def _warmup_steps(request: PretrainRequest, total_steps: int) -> int:
    settings = request.training
    share = settings.warmup_proportion
    if settings.warmup_steps is None:
        return warmup_steps(total_steps, _WARMUP_PROPORTION if share is None else share)
    if share is not None:
        raise BadInput(
            f"--warmup-steps {settings.warmup_steps:,} and --warmup-proportion {share:g} both say "
            "how long the rate rises; expected one of them.",
            hint="Leave one out.",
        )
    if settings.warmup_steps > total_steps:
        raise BadInput(
            f"--warmup-steps is {settings.warmup_steps:,}; the run has {total_steps:,} steps.",
            hint="Give fewer, or --warmup-proportion.",
        )
    return settings.warmup_steps


def _refuse_too_small_batch(request: PretrainRequest) -> None:
    processes = request.processes.nproc_per_node
    count = max(request.place.size, 1 if processes == "auto" else processes)
    if request.training.batch_size < count:
        raise BadInput(
            f"--batch-size is {request.training.batch_size}, for {count} processes; expected an "
            "instance for each.",
            hint=f"Give at least --batch-size {count}, or fewer processes.",
        )


def _lessons(
    shares: Sequence[float],
    opened: Sequence[EarlierStage],
    facts: Sequence[ShardFacts],
    total_steps: int,
) -> tuple[Lesson, ...]:
    # The shares may add up to a little less than 1; the last step has shards all the same.
    ends = [*(round(total_steps * part) for part in accumulate(shares[:-1])), total_steps]
    lessons = tuple(
        Lesson(stage, each, begin, end)
        for stage, each, begin, end in zip(opened, facts, [0, *ends], ends, strict=False)
    )
    for lesson in lessons:
        if lesson.begin == lesson.end:
            raise BadInput(
                f"{lesson.stage.directory} gets no step: its share of {total_steps:,} is less than "
                "one.",
                hint="Give more --steps, or a larger share.",
            )
    return lessons
