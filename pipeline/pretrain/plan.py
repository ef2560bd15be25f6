"""A request turned into what will be trained, on what and how long: checked, and nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import get_args

from ...model.config import SIZES, BertConfig, Objective
from ...model.schedule import warmup_steps
from ..errors import BadInput
from ..shard.settings import FORMAT_VERSION as SHARD_FORMAT_VERSION
from ..stage.earlier import EarlierStage, open_earlier
from ..stage.settings import check_settings
from ..training.starting_point import StartingPoint, open_stored
from .facts import ShardFacts
from .request import PretrainRequest
from .settings import shares_of

OBJECTIVES: Mapping[str, tuple[Objective, ...]] = MappingProxyType(
    {
        "random": ("mlm+nsp", "mlm", "causal"),
        "order": ("mlm+sop", "mlm", "causal"),
        "none": ("mlm", "causal"),
    }
)
"""What can be learnt from shards of each `--next-sentence`, first what they are made for."""
_WARMUP_PROPORTION = 0.01
_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


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
    objective, config = _settle(request, facts, start)
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
        _settle(request, facts, None)


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


def _settle(
    request: PretrainRequest, facts: Sequence[ShardFacts], start: StartingPoint | None
) -> tuple[Objective, BertConfig]:
    """Return what is learnt and by which model, where they fit the shards."""
    objective = _objective(request, facts)
    config = config_of(
        request,
        vocab_size=facts[0].vocab_size,
        pad_token_id=facts[0].pad_token_id,
        objective=objective,
        start=start,
    )
    for path, each in zip(request.shards, facts, strict=True):
        if each.max_seq_length > config.max_position_embeddings:
            raise BadInput(
                f"{path} has instances of up to {each.max_seq_length} tokens; the model reads "
                f"{config.max_position_embeddings}.",
                hint=f"Give --max-position-embeddings {each.max_seq_length}."
                if start is None
                else f"Make shards of --max-seq-length {config.max_position_embeddings}.",
            )
    return objective, config


def config_of(
    request: PretrainRequest,
    *,
    vocab_size: int,
    pad_token_id: int = 0,
    objective: Objective = "mlm+nsp",
    start: StartingPoint | None = None,
) -> BertConfig:
    """Return the model's configuration: the starting point's, the file's or the size's, then
    what was given singly.

    Raises:
        BadInput: the numbers can't make a model.
    """
    given = {
        name: value
        for name, value in asdict(request.architecture).items()
        if name != "model" and value is not None
    }
    if given.get("position_embedding_type") == "learned":
        given["position_embedding_type"] = "absolute"
    if start is not None:
        fixed = [name for name in given if name not in _DROPOUT]
        if fixed:
            flag = "--" + fixed[0].replace("_", "-")
            raise BadInput(
                f"{flag} and --init both say what the model's shape is; expected one of them.",
                hint="A stored model has a shape of its own; only its dropout can be changed.",
            )
        return replace(start.config, **given, is_decoder=objective == "causal")
    try:
        base = SIZES[request.architecture.model]
        if request.config is not None:
            base = BertConfig.from_dict(request.config)
        fixed_here = {
            "vocab_size": vocab_size,
            "pad_token_id": pad_token_id,
            "is_decoder": objective == "causal",
        }
        return replace(base, **{**given, **fixed_here})
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"This isn't a model that can be built: {error}.",
            hint="--hidden-size must be a multiple of --num-attention-heads.",
        ) from error


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


def _objective(request: PretrainRequest, facts: Sequence[ShardFacts]) -> Objective:
    """Return what is learnt, from all shards alike."""
    wanted = request.training.objective
    possible: set[Objective] = set(get_args(Objective))
    for path, each in zip(request.shards, facts, strict=True):
        here = OBJECTIVES.get(each.next_sentence, ())
        if wanted != "auto" and wanted not in here:
            raise BadInput(
                f"{path} was made with --next-sentence {each.next_sentence}; --objective {wanted} "
                "can't be learnt from it.",
                hint=f"Give --objective {' or '.join(here)}, or make shards with --next-sentence "
                + ("order." if wanted == "mlm+sop" else "random."),
            )
        possible &= set(here)
    if wanted != "auto":
        return wanted
    return next(each for each in (*OBJECTIVES[facts[0].next_sentence], "mlm") if each in possible)


def _refuse_other_start(start: StartingPoint, shards: EarlierStage, objective: Objective) -> None:
    if start.vocabulary.fingerprint(start.normalization) != _vocabulary_of(shards):
        raise BadInput(
            f"{shards.directory} was made with another vocabulary than {start.directory} was "
            "trained with.",
            hint=f"Make the shards with --vocab {start.directory}.",
        )
    if ShardFacts.of(shards).vocab_size > start.config.vocab_size:
        raise BadInput(
            f"{start.directory} knows {start.config.vocab_size:,} tokens; {shards.directory} was "
            f"made with {ShardFacts.of(shards).vocab_size:,}.",
            hint="The model's config.json and its vocabulary don't belong together.",
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
