from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bertctl.model.dropout import DropoutKey
from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.weights import initialise
from bertctl.pipeline.errors import WorkFailed
from bertctl.pipeline.finetune.course import FinetuningCourse, by_length, predict
from bertctl.pipeline.finetune.examples.classes import SINGLE
from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.reading.rows import Table
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.tasks.classes import classes
from bertctl.pipeline.finetune.tasks.sequences import Sequences
from bertctl.pipeline.finetune.tasks.task import Items, Task, whole_sequences

from .finetune_toys import CONFIG

ROWS, CLASSES = 23, 3
CPU = torch.device("cpu")


def task() -> Task:
    table = Table(Path("some.csv"), "", {}, [])
    known = Known(("x", "y", "z"), {"problem_type": SINGLE})
    return classes(known, FinetuneSettings(), Examples(table, [], []))


def items() -> Items:
    random = np.random.default_rng(5)
    lengths = random.integers(3, 17, size=ROWS)
    sequences = Sequences(
        input_ids=random.integers(5, CONFIG.vocab_size, size=lengths.sum()).astype(np.uint16),
        lengths=lengths,
        segment_a_lengths=lengths - random.integers(0, 3, size=ROWS),
    )
    targets = np.random.default_rng(6).integers(0, CLASSES, size=ROWS)
    return whole_sequences(sequences, np.arange(ROWS), targets, num_rows=ROWS)


def course(*, seed: int = 3, micro_batch_size: int = 4) -> FinetuningCourse:
    return FinetuningCourse(
        task=task(),
        items=items(),
        numbers=range(0, 2 * ROWS, 2),
        settings=FinetuneSettings(epochs=3, batch_size=10),
        seed=seed,
        micro_batch_size=micro_batch_size,
        device=CPU,
    )


def model() -> BertForSequenceClassification:
    made = BertForSequenceClassification(CONFIG, num_labels=CLASSES)
    initialise(made, CONFIG, seed=2)
    return made.double()


def test_every_epoch_reads_every_row_once_in_an_order_of_its_own() -> None:
    each = course()
    assert (each.steps_per_epoch, each.total_steps) == (3, 9)
    epochs = [
        np.concatenate([each.rows(3 * epoch + step) for step in range(3)]) for epoch in range(3)
    ]
    assert all(sorted(rows.tolist()) == list(range(ROWS)) for rows in epochs)
    assert len({tuple(rows.tolist()) for rows in epochs}) == 3
    assert [len(each.rows(step)) for step in range(4)] == [10, 10, 3, 10]


def test_order_is_a_function_of_seed_and_step_alone() -> None:
    first, other = course(), course(seed=4)
    backwards = [course().rows(step) for step in reversed(range(9))][::-1]
    assert all((first.rows(step) == backwards[step]).all() for step in range(9))
    assert any((first.rows(step) != other.rows(step)).any() for step in range(9))


def test_rows_of_a_step_are_named_as_the_file_counts_them() -> None:
    each = course()
    rows = sorted(1 + 2 * each.rows(2))
    assert each.describe(2, []) == f"Its training rows: {', '.join(map(str, rows))}."


def test_gradient_of_a_step_does_not_depend_on_how_the_batch_is_cut() -> None:
    gradients: list[list[Tensor]] = []
    for micro_batch_size in (1, 4, 10):
        learner, each = model().eval(), course(micro_batch_size=micro_batch_size)
        losses: list[float] = []
        for micro_batch in each.batch(2):
            loss, _ = each.loss(learner, micro_batch, DropoutKey(1, 2, micro_batch.position))
            loss.backward()
            losses.append(float(loss.detach()))
        rows = each.rows(2)
        whole = predict(task(), learner, each.items, micro_batch_size=ROWS, device=CPU)[rows]
        expected = torch.nn.functional.cross_entropy(
            torch.from_numpy(whole), torch.from_numpy(each.items.targets[rows])
        )
        assert sum(losses) == pytest.approx(float(expected), rel=1e-12)
        gradients.append([p.grad for p in learner.parameters() if p.grad is not None])
    for cut in gradients[1:]:
        for one, other in zip(gradients[0], cut, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_memory_too_small_for_predictions_names_the_setting_that_needs_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def large(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")

    monkeypatch.setattr(BertForSequenceClassification, "forward", large)
    with pytest.raises(WorkFailed, match="isn't enough memory") as failed:
        predict(task(), model(), items(), micro_batch_size=4, device=CPU)
    assert "--micro-batch-size" in failed.value.hint


def test_predictions_come_in_the_order_of_the_rows() -> None:
    learner, some = model(), items()
    together = predict(task(), learner, some, micro_batch_size=4, device=CPU)
    alone = predict(task(), learner, some, micro_batch_size=1, device=CPU)
    assert together.shape == (ROWS, CLASSES)
    np.testing.assert_allclose(together, alone, rtol=1e-9)
    assert len(np.unique(together[:, 0].round(9))) > 1


def test_parts_go_from_long_to_short_and_hold_every_row() -> None:
    lengths = np.array([3, 9, 4, 9, 2, 7])
    ones = np.ones_like(lengths)
    parts = list(by_length(lengths, ones, np.array([5, 1, 0, 4, 3]), 2))
    assert [position for position, _ in parts] == [0, 2, 4]
    assert np.concatenate([rows for _, rows in parts]).tolist() == [1, 3, 5, 0, 4]


def test_item_of_several_sequences_is_never_parted() -> None:
    lengths, sizes = np.array([3, 9, 4, 8]), np.array([2, 3, 2, 5])
    parts = list(by_length(lengths, sizes, np.arange(4), 4))
    assert [rows.tolist() for _, rows in parts] == [[1], [3], [2, 0]]
    assert [position for position, _ in parts] == [0, 1, 2]
