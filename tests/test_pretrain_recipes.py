"""Curricula, starting points, objectives, and runs made longer: each exact, or refused."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bertctl.pipeline.errors import BadInput, OutputRefused, Stopped
from bertctl.pipeline.pretrain.settings import PretrainSettings, shares_of
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.model_layout import CONFIG

from .corpora import write_corpus, write_vocabulary
from .killing import bytes_of
from .pretrain_toys import HOW, SMALL, TRAINING, Recording, figures_of, run, weights_of


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Shards of one corpus by one vocabulary: short and long pairs, ordered ones, no pairs."""
    directory = tmp_path_factory.mktemp("corpora")
    corpus = write_corpus(directory / "corpus", files=4, per_file=12)
    vocab = write_vocabulary(directory / "vocab.txt")
    kinds: dict[str, dict[str, Any]] = {
        "short": {"max_seq_length": 24},
        "long": {"max_seq_length": 40},
        "ordered": {"max_seq_length": 24, "next_sentence": "order"},
        "single": {"max_seq_length": 24, "next_sentence": "none"},
        "all learnt": {"max_seq_length": 24, "validation_fraction": 0.0},
        "often masked": {"max_seq_length": 40, "masked_lm_prob": 0.4},
    }
    found: dict[str, Path] = {}
    for name, settings in kinds.items():
        instances = InstanceSettings(
            **{"dupe_factor": 2, "num_shards": 2, "validation_fraction": 0.1, **settings}
        )
        request = ShardRequest(inputs=(str(corpus),), vocab=vocab, instances=instances)
        found[name] = directory / name
        shard(request, found[name], reporter=Silent())
    return found


def train(shards: Sequence[Path], output: Path, **changes: Any) -> Completion:
    training = {name: changes.pop(name) for name in list(changes) if name in _TRAINING}
    return run(tuple(shards), output, training=replace(TRAINING, **training), **changes)


_TRAINING = PretrainSettings.__dataclass_fields__


def stopped_at(step: int) -> Any:
    """Return a question that is answered with yes after so many steps."""
    counted = iter(range(1, 10_000))
    return lambda: next(counted) == step


def test_curriculum_reads_each_corpus_for_its_share_of_the_steps(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    both = [corpora["short"], corpora["long"]]
    done = train(both, tmp_path / "run", shares="0.75,0.25")
    tokens = [each["tokens"] for each in figures_of(tmp_path / "run")]
    assert len(tokens) == 12
    assert max(tokens[:9]) <= 11 * 24 < min(tokens[9:]) <= 11 * 40
    recipe = done.manifest.recipe
    assert set(recipe.earlier) == {"shards 1", "shards 2"}
    # One optimizer, one schedule: the rate goes on falling over the border.
    rates = [each["learning_rate"] for each in figures_of(tmp_path / "run")]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("step", [8, 9, 10])
def test_curriculum_stopped_about_its_border_ends_with_the_same_bytes(
    corpora: dict[str, Path], tmp_path: Path, step: int
) -> None:
    both = [corpora["short"], corpora["long"]]
    train(both, tmp_path / "whole", shares="0.75,0.25")
    with pytest.raises(Stopped):
        train(both, tmp_path / "run", shares="0.75,0.25", should_stop=stopped_at(step))
    train(both, tmp_path / "run", shares="0.75,0.25")
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize(
    ("text", "count"),
    [("0.9", 2), ("0.9,0.2", 2), ("1,0", 2), ("a,b", 2), ("0.5,0.5", 3), (None, 2), ("nan,1", 2)],
)
def test_shares_that_make_no_whole_are_refused(text: str | None, count: int) -> None:
    with pytest.raises(BadInput, match="share"):
        shares_of(text, count)


def test_shards_of_another_vocabulary_are_refused(corpora: dict[str, Path], tmp_path: Path) -> None:
    tokens = (corpora["short"] / "vocab.txt").read_text().splitlines()
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join([*tokens[:-2], tokens[-1], tokens[-2]]) + "\n")
    corpus = write_corpus(tmp_path / "corpus", files=4, per_file=12)
    instances = InstanceSettings(max_seq_length=24, dupe_factor=1)
    request = ShardRequest(inputs=(str(corpus),), vocab=vocab, instances=instances)
    shard(request, tmp_path / "other", reporter=Silent())
    with pytest.raises(BadInput, match="another vocabulary"):
        train([corpora["short"], tmp_path / "other"], tmp_path / "run", shares="0.5,0.5")
    train([corpora["short"]], tmp_path / "start")
    with pytest.raises(BadInput, match="another vocabulary"):
        train([tmp_path / "other"], tmp_path / "run", init=tmp_path / "start", architecture=PLAIN)


PLAIN = replace(SMALL, hidden_size=None, num_attention_heads=None, intermediate_size=None)


def test_run_starts_from_another_ones_weights(corpora: dict[str, Path], tmp_path: Path) -> None:
    train([corpora["short"]], tmp_path / "first")
    checkpoint = tmp_path / "first" / "checkpoints" / "step-00000009"
    for number, start in enumerate([tmp_path / "first", tmp_path / "first" / "model", checkpoint]):
        output = tmp_path / f"second-{number}"
        done = train(
            [corpora["short"]],
            output,
            init=start,
            architecture=PLAIN,
            steps=1,
            learning_rate=0.0,
            weight_decay=0.0,
        )
        model = start if start.name == "model" else start / "model"
        before, after = weights_of(model), weights_of(output / "model")
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert "init" in done.manifest.recipe.earlier


def test_missing_heads_of_a_starting_point_begin_at_random_and_are_named(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    train([corpora["single"]], tmp_path / "first")
    reporter = Recording()
    train(
        [corpora["short"]],
        tmp_path / "second",
        init=tmp_path / "first",
        architecture=PLAIN,
        reporter=reporter,
    )
    told = " ".join(reporter.said)
    assert "has no next-sentence head" in told
    assert "has no pooler" in told
    assert "head for masked tokens" not in told


def test_shape_beside_a_starting_point_is_refused(corpora: dict[str, Path], tmp_path: Path) -> None:
    train([corpora["short"]], tmp_path / "first", steps=1)
    with pytest.raises(BadInput, match="--hidden-size and --init"):
        train([corpora["short"]], tmp_path / "second", init=tmp_path / "first")


@pytest.mark.parametrize(
    ("kind", "objective", "expected", "architecture"),
    [
        ("short", "auto", "mlm+nsp", "BertForPreTraining"),
        ("short", "mlm", "mlm", "BertForMaskedLM"),
        ("short", "causal", "causal", "BertLMHeadModel"),
        ("ordered", "auto", "mlm+sop", "BertForPreTraining"),
        ("single", "auto", "mlm", "BertForMaskedLM"),
    ],
)
def test_objective_makes_a_model_that_transformers_computes_alike(
    corpora: dict[str, Path],
    tmp_path: Path,
    kind: str,
    objective: str,
    expected: str,
    architecture: str,
) -> None:
    done = train([corpora[kind]], tmp_path / "run", objective=objective)
    assert done.manifest.recipe.what["objective"] == expected
    config = json.loads((tmp_path / "run" / "model" / CONFIG).read_text())
    assert config["architectures"] == [architecture]
    theirs = getattr(transformers, architecture).from_pretrained(tmp_path / "run" / "model")
    assert theirs.config.is_decoder == (expected == "causal")
    figures = figures_of(tmp_path / "run")
    assert all((each["nsp_loss"] > 0) == ("+" in expected) for each in figures)
    statistics = done.manifest.statistics
    assert ("nsp_accuracy" in statistics["validation"]) == ("+" in expected)


def test_left_to_right_loss_is_that_of_transformers_on_the_unmasked_text(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    done = train([corpora["short"]], tmp_path / "run", objective="causal")
    theirs = transformers.BertLMHeadModel.from_pretrained(tmp_path / "run" / "model").eval()
    import pyarrow as pa

    total = count = 0
    for path in sorted(corpora["short"].glob("validation-*.arrow")):
        for row in pa.ipc.open_file(path).read_all().to_pylist():
            ids = list(row["input_ids"])
            for position, original in zip(
                row["masked_lm_positions"], row["masked_lm_ids"], strict=True
            ):
                ids[position] = original
            types = [int(at >= row["segment_a_length"]) for at in range(len(ids))]
            with torch.no_grad():
                loss = theirs(
                    input_ids=torch.tensor([ids]),
                    token_type_ids=torch.tensor([types]),
                    labels=torch.tensor([ids]),
                ).loss
            total += float(loss) * (len(ids) - 1)
            count += len(ids) - 1
    measured = done.manifest.statistics["validation"]["mlm_loss"]
    assert measured == pytest.approx(total / count, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "objective"),
    [("single", "mlm+nsp"), ("ordered", "mlm+nsp"), ("short", "mlm+sop"), ("single", "mlm+sop")],
)
def test_objective_that_shards_can_not_teach_is_refused(
    corpora: dict[str, Path], tmp_path: Path, kind: str, objective: str
) -> None:
    with pytest.raises(BadInput, match=r"--next-sentence \w+; --objective"):
        train([corpora[kind]], tmp_path / "run", objective=objective)
    assert not (tmp_path / "run").exists()


def test_evaluations_of_one_lesson_are_not_held_against_those_of_the_next(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    how = replace(HOW, eval_every=3, checkpoint_every=50)
    both = [corpora["short"], corpora["long"]]
    train(both, tmp_path / "run", shares="0.5,0.5", how=how)
    (kept,) = (tmp_path / "run").glob("checkpoints/*/checkpoint.json")
    # Its border is after step 6: what was measured after 3 and 6 is the first lesson's.
    assert json.loads(kept.read_text())["progress"]["first"]["step"] == 9
    done = train(
        [corpora["short"], corpora["all learnt"]], tmp_path / "other", shares="0.5,0.5", how=how
    )
    figures = done.manifest.statistics
    assert (figures["validation"], figures["baseline"], figures["health"]) == (None, None, None)


@pytest.mark.parametrize("schedule", ["constant", "wsd"])
def test_run_made_longer_has_the_weights_of_a_run_that_was_as_long_from_the_start(
    corpora: dict[str, Path], tmp_path: Path, schedule: str
) -> None:
    settings = {"schedule": schedule, "warmup_steps": 2}
    how = replace(HOW, keep=1)
    train([corpora["short"]], tmp_path / "whole", steps=31, how=how, **settings)
    train([corpora["short"]], tmp_path / "run", steps=20, how=how, **settings)
    reporter = Recording()
    done = train(
        [corpora["short"]], tmp_path / "run", steps=31, how=how, reporter=reporter, **settings
    )
    assert not done.was_up_to_date
    (told,) = [each for each in reporter.said if "Going on after step" in each]
    # The last checkpoint of a falling rate isn't on the longer run's way; the one before is.
    assert ("after step 20 of 31" if schedule == "constant" else "after step 19 of 31") in told
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "whole")
    again = train([corpora["short"]], tmp_path / "run", steps=31, how=how, **settings)
    assert again.was_up_to_date


def test_run_made_longer_keeps_its_warm_up_where_none_is_asked_for(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    # A hundredth of the steps, which is taken unless something is said, would grow from 0 to 1.
    settings = {"schedule": "constant", "batch_size": 2, "how": replace(HOW, checkpoint_every=50)}
    train([corpora["short"]], tmp_path / "run", steps=50, **settings)
    with pytest.raises(OutputRefused, match="Its warm-up would be another"):
        train([corpora["short"]], tmp_path / "run", steps=51, warmup_proportion=0.01, **settings)
    done = train([corpora["short"]], tmp_path / "run", steps=51, **settings)
    assert not done.was_up_to_date
    assert done.manifest.recipe.what["warmup_steps"] == 0
    assert train([corpora["short"]], tmp_path / "run", steps=51, **settings).was_up_to_date


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({"schedule": "linear"}, {"schedule": "linear"}, "Only constant and wsd"),
        (
            {"schedule": "constant", "warmup_proportion": 0.5},
            {"schedule": "constant", "warmup_proportion": 0.5},
            "keep that: --warmup-steps 6",
        ),
    ],
)
def test_run_that_can_not_be_made_longer_says_why(
    corpora: dict[str, Path],
    tmp_path: Path,
    before: dict[str, Any],
    after: dict[str, Any],
    why: str,
) -> None:
    train([corpora["short"]], tmp_path / "run", **before)
    kept = bytes_of(tmp_path / "run")
    with pytest.raises(OutputRefused, match=why) as refused:
        train([corpora["short"]], tmp_path / "run", steps=30, **after)
    assert "--steps: 12 → 30" in refused.value.message
    assert bytes_of(tmp_path / "run") == kept


def test_curriculum_can_not_be_made_longer_for_its_borders_would_move(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    both = [corpora["short"], corpora["long"]]
    settings = {"schedule": "constant", "warmup_steps": 2, "shares": "0.5,0.5"}
    train(both, tmp_path / "run", **settings)
    with pytest.raises(OutputRefused, match="borders between several SHARDS would move"):
        train(both, tmp_path / "run", steps=30, **settings)
    # The same shares, written otherwise, are the same.
    settings["shares"] = "0.50,.5"
    assert train(both, tmp_path / "run", **settings).was_up_to_date


def test_run_can_not_be_made_shorter(corpora: dict[str, Path], tmp_path: Path) -> None:
    constant = {"schedule": "constant", "warmup_steps": 2}
    train([corpora["short"]], tmp_path / "run", **constant)
    with pytest.raises(OutputRefused, match="can't be made shorter"):
        train([corpora["short"]], tmp_path / "run", steps=6, **constant)


def test_optimizer_state_of_lamb_survives_a_stop(corpora: dict[str, Path], tmp_path: Path) -> None:
    train([corpora["short"]], tmp_path / "whole", optimizer="lamb")
    with pytest.raises(Stopped):
        train([corpora["short"]], tmp_path / "run", optimizer="lamb", should_stop=stopped_at(7))
    train([corpora["short"]], tmp_path / "run", optimizer="lamb")
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "whole")


def test_held_out_loss_is_told_at_fifteen_percent_whatever_is_masked_for_training(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    from bertctl.pipeline.pretrain.held_out import held_out
    from bertctl.pipeline.pretrain.reading import Shard, ShardSet

    paths = sorted(corpora["often masked"].glob("validation-*.arrow"))
    shards = ShardSet(paths, [len(Shard(path)) for path in paths])
    everything = held_out(shards, "mlm", masked_lm_prob=0.15, whole_words=False)
    fewer = held_out(shards, "mlm", masked_lm_prob=0.4, whole_words=False)
    assert everything is not None
    assert fewer is not None
    most = (fewer.instances.lengths * 0.15).round().clip(1)
    assert (fewer.instances.num_masked == most).all()
    assert (everything.instances.num_masked > most).any()
    # What was masked and isn't any more is the text itself; masks that stay are as they were.
    text = everything.instances.unmasked().input_ids
    assert (fewer.instances.unmasked().input_ids == text).all()
    changed = fewer.instances.input_ids != everything.instances.input_ids
    assert changed.any()
    assert (fewer.instances.input_ids[changed] == text[changed]).all()


def test_output_of_another_objective_is_another_recipe(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    train([corpora["short"]], tmp_path / "run", steps=1)
    with pytest.raises(OutputRefused, match=r"--objective: mlm\+nsp → mlm"):
        train([corpora["short"]], tmp_path / "run", steps=1, objective="mlm")
    # What auto stands for is what was named.
    assert train([corpora["short"]], tmp_path / "run", steps=1, objective="mlm+nsp").was_up_to_date


def test_copied_shards_are_the_same_shards(corpora: dict[str, Path], tmp_path: Path) -> None:
    train([corpora["short"]], tmp_path / "run", steps=1)
    copy = Path(shutil.copytree(corpora["short"], tmp_path / "copy"))
    assert train([copy], tmp_path / "run", steps=1).was_up_to_date
