"""`bertctl finetune`: labelled files and an encoder turned into a model for a task."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..stage.engine import Completion, Finished, Site, complete
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..training.model_layout import MODEL, MODEL_FILES
from ..training.starting_point import open_starting_point
from .columns import choose_columns
from .examples import label_names, read_examples
from .request import FinetuneRequest, Material
from .rows import read_table

STAGE = "finetune"
FORMAT_VERSION = 1
_OWNS = (
    *(f"{MODEL}/{name}" for name in MODEL_FILES),
    "metrics.json",
    "predictions-validation.jsonl",
    "predictions-test.jsonl",
    "log/seed-[0-9]*.jsonl",
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
    check_settings(request.settings, request.numerics, request.how)
    material = _material(request)
    columns, start = material.columns, material.start
    recipe = Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what={
            **resolved(request.settings),
            "text_column": columns.text,
            "text_pair_column": columns.text_pair,
            "label_column": columns.label,
        },
        earlier={
            "model": start.fingerprint,
            "vocab": start.vocabulary.fingerprint(start.normalization),
            **{name: each.table.fingerprint for name, each in material.examples.items()},
        },
        numerics=resolved(request.numerics),
        owns=_OWNS,
    )
    work = partial(_work, request=request, material=material)
    sources = (start.directory, request.vocab)
    reads = [*request.files.values(), *(each for each in sources if each is not None)]
    return complete(recipe, output, work, reporter=reporter, reads=reads, force=force)


def _material(request: FinetuneRequest) -> Material:
    """Read and check everything that can be wrong before there is work to do.

    Nothing is written yet: whoever mends a row repeats the same command.
    """
    settings = request.settings
    tables = {name: read_table(path) for name, path in request.files.items()}
    columns = choose_columns(tables["train"], settings)
    examples = {
        name: read_examples(
            table, columns, ignore_label=settings.ignore_label, labelled=name != "test"
        )
        for name, table in tables.items()
    }
    labels = label_names(examples["train"])
    start = open_starting_point(
        request.model,
        request.vocab,
        max_seq_length=settings.max_seq_length,
        pairs=columns.text_pair is not None,
    ).dropping(settings.dropout_prob)
    keeps_head = sorted(start.label_names) == sorted(labels)
    labels = start.label_names if keeps_head else labels
    return Material(
        columns=columns,
        examples=examples,
        labels=labels,
        label_ids={name: each.label_ids(labels) for name, each in examples.items()},
        start=start,
        keeps_head=keeps_head,
    )


def _work(site: Site, request: FinetuneRequest, material: Material) -> Finished:
    # torch takes a second to import: only a run that has work to do pays for it.
    from .run import run

    return run(site, request, material)
