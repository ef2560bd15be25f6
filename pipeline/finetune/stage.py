"""`bertctl finetune`: labelled files and an encoder turned into a model for a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..stage.engine import Completion, Finished, Site, complete, look
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..training.model_layout import MODEL, MODEL_FILES
from ..training.starting_point import StartingPoint, open_starting_point
from .architectures import Features, architecture_with
from .compatibility import check_compatibility
from .examples.columns import Columns
from .examples.examples import Examples, Known
from .examples.kinds import Kind, kind_of, settled
from .reading.rows import read_table
from .request import FinetuneRequest, Material
from .settings import FinetuneSettings

if TYPE_CHECKING:
    from .beginning import Beginning

STAGE = "finetune"
FORMAT_VERSION = 2
_OWNS = (
    *(f"{MODEL}/{name}" for name in MODEL_FILES),
    "metrics.json",
    "predictions-validation.jsonl",
    "predictions-test.jsonl",
    "log/*seed-[0-9]*.jsonl",
)


def finetune(
    request: FinetuneRequest, output: Path, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the model and results that `request` describes, going on where it stopped.

    Raises:
        BadInput: a setting, a row or the model can't be used.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
        Stopped: someone asked for it; the last step is kept.
    """
    material = _material(request)
    recipe = _recipe_of(material, request)
    reads = _reads(request, material)
    is_done = look(recipe, output, reads=reads, force=force) is not None
    # What can be wrong with the weights is found before anything is written, too.
    beginning = None if is_done else _begin(material, reporter)
    work = partial(_work, request=request, material=material, beginning=beginning)
    return complete(recipe, output, work, reporter=reporter, reads=reads, force=force)


def look_at(request: FinetuneRequest, output: Path, *, force: bool = False) -> Completion | None:
    """Return the output if it is complete; None where there is work to do, which can begin.

    Raises:
        BadInput, OutputRefused: as `finetune`, before anything heavy is loaded.
    """
    material = _material(request)
    reads = _reads(request, material)
    return look(_recipe_of(material, request), output, reads=reads, force=force)


def check_files(request: FinetuneRequest) -> dict[str, int]:
    """Return how many rows each file has, where nothing is wrong with them or the settings.

    The model need not be there yet. Raises `BadInput` as `finetune` does.
    """
    return {name: len(each.rows) for name, each in _labelled(request).examples.items()}


def _recipe_of(material: Material, request: FinetuneRequest) -> Recipe:
    columns, start = material.columns, material.start
    return Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what={
            **resolved(material.settings),
            "text_column": columns.text,
            "text_pair_column": columns.text_pair,
            "label_column": columns.label,
            "choice_column": list(columns.choices),
        },
        earlier={
            "model": start.fingerprint,
            "vocab": start.vocabulary.fingerprint(start.normalization),
            **{name: each.table.fingerprint for name, each in material.examples.items()},
        },
        numerics=resolved(request.numerics),
        owns=_OWNS,
    )


def _reads(request: FinetuneRequest, material: Material) -> list[Path]:
    start = material.start.directory
    # The run as well as the model in it: what is noted is who made it.
    sources = (start, start and Path(request.model), request.vocab)
    return [*request.files.values(), *(each for each in sources if each is not None)]


@dataclass(frozen=True)
class _Labelled:
    """The labelled files, read and checked, and the settings with what these settle."""

    settings: FinetuneSettings
    kind: Kind
    columns: Columns
    examples: Mapping[str, Examples[Any]]
    known: Known


def _labelled(request: FinetuneRequest) -> _Labelled:
    """Read and check everything that can be wrong without a model.

    Nothing is written yet: whoever mends a row repeats the same command.
    """
    check_settings(request.settings, request.numerics, request.how)
    check_compatibility(request)
    settings = request.settings
    kind = kind_of(settings)
    tables = {name: read_table(path, kinds=kind.files) for name, path in request.files.items()}
    columns = kind.columns(tables["train"], settings)
    kind = settled(kind, tables["train"], columns, settings)
    if settings.task == "sequence-classification":
        settings = replace(settings, problem_type=kind.name)  # pyright: ignore[reportArgumentType]
    if settings.long_text == "auto":
        settings = replace(settings, long_text="head" if kind.pools else "window")
    examples = {
        name: kind.read(table, columns, settings, labelled=name != "test")
        for name, table in tables.items()
    }
    _check_folds(examples["train"], settings)
    known = kind.learn(examples["train"], settings)
    examples = {name: kind.fit(each, known, settings) for name, each in examples.items()}
    return _Labelled(settings, kind, columns, examples, known)


def _material(request: FinetuneRequest) -> Material:
    """Read and check everything that can be wrong before there is work to do."""
    labelled = _labelled(request)
    settings, kind, known = labelled.settings, labelled.kind, labelled.known
    start = open_starting_point(
        request.model,
        request.vocab,
        max_seq_length=settings.max_seq_length,
        pairs=kind.has_pairs(labelled.columns),
    ).dropping(settings.dropout_prob)
    _check_start(start, kind, request)
    keeps_head = _keeps_head(start, kind, known, settings.features)
    if keeps_head:
        known = replace(known, labels=start.label_names if known.labels else ())
    return Material(
        settings=settings,
        kind=kind.name,
        columns=labelled.columns,
        examples=labelled.examples,
        known=known,
        start=start,
        keeps_head=keeps_head,
    )


def _check_folds(train: Examples[Any], settings: FinetuneSettings) -> None:
    count = len({row.content for row in train.rows if row.teaches})
    if settings.folds is not None and count < settings.folds:
        raise BadInput(
            f"--folds is {settings.folds}; {train.table.path} has {count:,} different rows to "
            "learn from, and each fold needs one.",
            hint="Give fewer folds, or leave --folds out.",
        )


def _keeps_head(start: StartingPoint, kind: Kind, known: Known, features: Features) -> bool:
    """Tell whether a model was fitted to the same labels, in whatever order, for the same task."""
    if start.content.get("architectures") != [architecture_with(kind.architecture, features)]:
        return False
    problem = known.config.get("problem_type")
    if problem is not None and start.content.get("problem_type", problem) != problem:
        return False
    return not known.labels or sorted(start.label_names) == sorted(known.labels)


def _check_start(start: StartingPoint, kind: Kind, request: FinetuneRequest) -> None:
    layers = request.settings.train_layers
    if isinstance(layers, int) and layers > start.config.num_hidden_layers:
        raise BadInput(
            f"--train-layers is {layers}; the model {request.model} has "
            f"{start.config.num_hidden_layers} layers.",
            hint="Give fewer, or all to train the embeddings, too.",
        )
    if kind.pools and start.config.is_decoder:
        raise BadInput(
            f"The model {request.model} reads from left to right (is_decoder): the first token, "
            f"from which --task {request.settings.task} judges the whole text, sees nothing of it.",
            hint="Start from a model that was trained on masked tokens.",
        )


def _work(
    site: Site, request: FinetuneRequest, material: Material, beginning: Beginning | None
) -> Finished:
    from .run import run

    return run(site, request, material, beginning or _begin(material, site.reporter))


def _begin(material: Material, reporter: Reporter) -> Beginning:
    # torch takes a second to import: only a run that has work to do pays for it.
    from .beginning import begin

    return begin(material, reporter)
