"""What pretraining learns and how it is told: against figures that are worked out elsewhere."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
import torch
import transformers

from bertctl.pipeline.pretrain.settings import ArchitectureSettings
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent

from .corpora import WORDS, write_vocabulary
from .pretrain_toys import HOW, NUMERICS, TRAINING, figures_of, run, write_shards


def write_corpus_of_two_halves(path: Path, *, count: int = 240) -> Path:
    """Write documents of two sentences, whose words tell which of the two each one is."""
    random = np.random.default_rng(2)
    words = np.array(WORDS[:18])
    halves = (words[:9], words[9:])
    texts = [
        "\n".join(" ".join(random.choice(half, random.integers(4, 9))) + "." for half in halves)
        for _ in range(count)
    ]
    path.write_text("\n\n".join(texts) + "\n")
    return path


def test_training_learns_which_segment_comes_first(tmp_path: Path) -> None:
    request = ShardRequest(
        inputs=(str(write_corpus_of_two_halves(tmp_path / "corpus.txt")),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=InstanceSettings(
            max_seq_length=24, dupe_factor=2, next_sentence="order", validation_fraction=0.2
        ),
    )
    shard(request, tmp_path / "shards", reporter=Silent())
    done = run(
        tmp_path / "shards",
        tmp_path / "run",
        # Weights as small as a wide model's would take a narrow one many steps to grow.
        config={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "initializer_range": 0.15,
        },
        architecture=ArchitectureSettings(),
        training=replace(TRAINING, steps=80, batch_size=24, learning_rate=5e-3),
        numerics=replace(NUMERICS, micro_batch_size=24),
        how=replace(HOW, checkpoint_every=1000, eval_every=1000),
    )
    measured = done.manifest.statistics["validation"]
    assert measured["nsp_accuracy"] > 0.9
    assert measured["nsp_loss"] < 0.5 * np.log(2)
    learnt = figures_of(tmp_path / "run")[-9:]
    assert np.mean([each["nsp_accuracy"] for each in learnt]) > 0.9
    assert np.mean([each["nsp_loss"] for each in learnt]) < 0.5 * np.log(2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def statistics(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("whole") / "run"
    run(shards, output)
    return {
        "model": output / "model",
        **json.loads((output / "manifest.json").read_text())["statistics"],
    }


def held_out_rows(shards: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(shards.glob("validation-*.arrow")):
        with pa.memory_map(str(path)) as source:
            rows += pa.ipc.open_file(source).read_all().to_pylist()
    return rows


def test_evaluation_is_that_of_transformers_over_the_validation_shards(
    shards: Path, statistics: dict[str, Any]
) -> None:
    model = transformers.BertForPreTraining.from_pretrained(statistics["model"]).eval()
    rows = held_out_rows(shards)
    mlm_losses, mlm_right, nsp_losses, nsp_right = [], [], [], []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        types = (torch.arange(ids.shape[1]) >= row["segment_a_length"]).long()[None]
        with torch.no_grad():
            told = model(input_ids=ids, token_type_ids=types)
        scores = told.prediction_logits[0, row["masked_lm_positions"]]
        labels = torch.tensor(row["masked_lm_ids"])
        mlm_losses.append(torch.nn.functional.cross_entropy(scores, labels, reduction="none"))
        mlm_right.append((scores.argmax(dim=1) == labels).float())
        label = torch.tensor([row["next_sentence_label"]])
        relation = told.seq_relationship_logits
        nsp_losses.append(torch.nn.functional.cross_entropy(relation, label, reduction="none"))
        nsp_right.append((relation.argmax(dim=1) == label).float())
    expected = {
        "mlm_loss": mlm_losses,
        "mlm_accuracy": mlm_right,
        "nsp_loss": nsp_losses,
        "nsp_accuracy": nsp_right,
    }
    for name, parts in expected.items():
        mean = float(torch.cat(parts).mean())
        assert statistics["validation"][name] == pytest.approx(mean, rel=1e-4), name


def test_baseline_is_the_entropy_of_the_words_that_were_masked(
    shards: Path, statistics: dict[str, Any]
) -> None:
    masked = Counter(id for row in held_out_rows(shards) for id in row["masked_lm_ids"])
    baseline = statistics["baseline"]
    assert baseline["mlm_loss"] == pytest.approx(scipy.stats.entropy(list(masked.values())))
    assert baseline["mlm_accuracy"] == pytest.approx(max(masked.values()) / masked.total())
    assert baseline["nsp_loss"] == pytest.approx(scipy.stats.entropy([1, 1]))
    assert baseline["nsp_accuracy"] == 0.5
