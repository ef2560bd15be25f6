"""What every run of a fine-tuning begins with: the task, and weights that fit its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..errors import BadInput
from ..stage.report import Reporter
from ..training.model_files import ModelFiles, check_weights, read_model
from ..wordpiece.encode import WordPieceEncoder
from .examples.examples import Examples
from .pooler import POOLER, has_pooler
from .request import Material
from .tasks.task import Task
from .tasks.tasks import task_of


@dataclass(frozen=True)
class Beginning:
    """What every run begins with."""

    examples: Mapping[str, Examples[Any]]
    """By the name of the part; of the training file the rows to learn from"""
    encoder: WordPieceEncoder
    task: Task
    weights: ModelFiles | None
    """None for random weights."""


def begin(material: Material, reporter: Reporter) -> Beginning:
    """Read what there is to start from.

    Nothing is written yet: whoever names another model repeats the same command.

    Raises:
        BadInput: the model's files are damaged or aren't what its configuration says.
    """
    material.start.verify()
    examples = {
        name: each.to_learn_from() if name == "train" else each
        for name, each in material.examples.items()
    }
    encoder = WordPieceEncoder(material.start.vocabulary, material.start.normalization)
    task = task_of(material.kind, material.known, material.settings, examples["train"], encoder)
    return Beginning(examples, encoder, task, _weights(material, task, reporter))


def _weights(material: Material, task: Task, reporter: Reporter) -> ModelFiles | None:
    """Read the weights to start from, with a head only where it fits what is known."""
    if material.start.directory is None:
        return None
    files = read_model(material.start.directory)
    if material.needs_pooler and not has_pooler(files.weights):
        if material.settings.train_layers == "none":
            raise BadInput(
                f"{files.directory} has no pooler, and --train-layers none would leave a new one "
                "as it is drawn.",
                hint="Give --train-layers head to train it, or --features mix to do without.",
            )
        reporter.notice(f"{files.directory} has no pooler: a new one is trained.")
    if material.keeps_head:
        weights = task.as_trained(dict(files.weights))
    else:
        weights = {name: x for name, x in files.weights.items() if not name.startswith(task.head)}
    files = replace(files, weights=weights)
    with torch.device("meta"):
        model = task.build(material.start.config, "float32")
    check_weights(model, files, may_be_missing=(task.head, POOLER))
    return files
