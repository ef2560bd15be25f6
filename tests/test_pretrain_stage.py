import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from bertctl.model.config import BertConfig
from bertctl.model.dropout import DropoutKey
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.tokens import pad_tokens
from bertctl.model.weights import initialise
from bertctl.pipeline.errors import BadInput, Stopped, WorkFailed
from bertctl.pipeline.pretrain.course import Part, PretrainingCourse
from bertctl.pipeline.pretrain.instances import Instances, Ints
from bertctl.pipeline.pretrain.order import Order
from bertctl.pipeline.pretrain.reading import Shard, ShardSet
from bertctl.pipeline.pretrain.request import PretrainRequest
from bertctl.pipeline.pretrain.settings import seconds_of
from bertctl.pipeline.pretrain.shape import config_of
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.loop import MicroBatch

from .corpora import write_predictable_corpus, write_vocabulary
from .killing import bytes_of, kill_when
from .pretrain_toys import (
    HOW,
    NUMERICS,
    SMALL,
    STEPS,
    STILL,
    TRAINING,
    Recording,
    command,
    course_over,
    figures_of,
    flags,
    flip,
    run,
    steps_logged,
    weights_of,
    write_shards,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    output = tmp_path_factory.mktemp("whole") / "run"
    run(shards, output)
    return output


def test_transformers_loads_the_model_with_the_same_logits(shards: Path, whole: Path) -> None:
    theirs = transformers.BertForPreTraining.from_pretrained(whole / "model").eval()
    config = config_of(
        PretrainRequest(shards=(shards,), architecture=SMALL),
        vocab_size=theirs.config.vocab_size,
    )
    ours = BertForPreTraining(config).eval()
    ours.load_state_dict(weights_of(whole / "model"))
    random = torch.Generator().manual_seed(3)
    input_ids = torch.randint(5, config.vocab_size, (2, 7), generator=random)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    types = torch.tensor([[0] * 3 + [1] * 4] * 2)
    with torch.no_grad():
        expected = theirs(input_ids=input_ids, attention_mask=mask, token_type_ids=types)
        predictions, relationship = ours.logits(pad_tokens(input_ids, mask, types))
    predictions = predictions.view(2, 7, -1)
    torch.testing.assert_close(
        predictions[mask.bool()], expected.prediction_logits[mask.bool()], rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(relationship, expected.seq_relationship_logits, rtol=1e-5, atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(whole / "model")
    assert tokenizer("River stone")["input_ids"][0] == tokenizer.cls_token_id


def test_training_learns_which_words_go_together(tmp_path: Path) -> None:
    request = ShardRequest(
        inputs=(str(write_predictable_corpus(tmp_path / "corpus.txt")),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=InstanceSettings(max_seq_length=40, dupe_factor=4, validation_fraction=0.1),
    )
    shard(request, tmp_path / "shards", reporter=Silent())
    longer = replace(TRAINING, steps=300, batch_size=32, learning_rate=1e-2)
    batched = replace(NUMERICS, micro_batch_size=32)
    done = run(
        tmp_path / "shards",
        tmp_path / "run",
        training=longer,
        architecture=STILL,
        numerics=batched,
        how=replace(HOW, checkpoint_every=1000, eval_every=1000),
    )
    measured, baseline = (done.manifest.statistics[name] for name in ("validation", "baseline"))
    assert measured["mlm_loss"] < 0.7 * baseline["mlm_loss"]
    assert measured["mlm_accuracy"] > 3 * baseline["mlm_accuracy"]


def test_up_to_date_run_is_left_alone(shards: Path, whole: Path) -> None:
    assert run(shards, whole).was_up_to_date
    other = replace(HOW, checkpoint_every=5, keep=1)
    assert run(shards, whole, how=other).was_up_to_date


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_run_killed_between_steps_ends_with_the_same_weights(
    shards: Path, whole: Path, tmp_path: Path, by: signal.Signals
) -> None:
    output = tmp_path / "killed"
    ended = kill_when(command(shards, output), lambda: steps_logged(output) >= 5, by)
    assert ended.returncode == (-by if by == signal.SIGKILL else 128 + by), ended.stderr
    assert not (output / "manifest.json").exists()
    # A checkpoint is written while training goes on: whoever is killed may have none yet.
    kept = [int(path.name.removeprefix("step-")) for path in output.glob("checkpoints/step-*")]
    assert max(kept, default=0) < STEPS
    if by == signal.SIGTERM:
        assert max(kept) >= 5, "SIGTERM keeps the last step"
    run(shards, output)
    assert bytes_of(output) == bytes_of(whole)
    lines = (output / "log" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if "learning_rate" in line]
    assert steps == list(range(1, STEPS + 1)), "a step that was taken again stands twice in the log"


HANG_BEFORE_A_CHECKPOINT_STANDS = """
import sys, time
from pathlib import Path
replace = Path.replace
def hang(path, target):
    if Path(target).name == "step-00000006":
        time.sleep(600)
    return replace(path, target)
Path.replace = hang
from bertctl.cli.main import main
main()
"""


def test_run_killed_inside_a_checkpoint_s_write_ends_with_the_same_weights(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    aside = output / ".bertctl" / "aside" / "checkpoint"
    hanging = [sys.executable, "-c", HANG_BEFORE_A_CHECKPOINT_STANDS, *flags(shards, output)]

    def written() -> bool:
        first = output / "checkpoints" / "step-00000003"
        return first.is_dir() and (aside / "checkpoint.json").is_file()

    ended = kill_when(hanging, written, signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL
    # All of it is on the disk, and none of it where checkpoints are looked for.
    assert (aside / "optimizer.safetensors").is_file()
    assert [each.name for each in (output / "checkpoints").iterdir()] == ["step-00000003"]
    run(shards, output)
    assert bytes_of(output) == bytes_of(whole)


def test_run_stopped_by_time_keeps_its_step_and_goes_on(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "stopped"
    timed = [*command(shards, output), "--time", "0.001s", "--plain"]
    ended = subprocess.run(timed, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "Stopped after step 1 of 12" in ended.stderr
    assert (output / "checkpoints" / "step-00000001").is_dir()
    run(shards, output)
    assert bytes_of(output) == bytes_of(whole)


def test_time_that_is_no_duration_is_refused_before_anything_is_written(
    shards: Path, tmp_path: Path
) -> None:
    asked = [*command(shards, tmp_path / "run"), "--time", "soon"]
    ended = subprocess.run(asked, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "--time is 'soon'" in ended.stderr
    assert not (tmp_path / "run").exists()


def _rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda newest: flip(newest / "model" / "model.safetensors"),
        lambda newest: flip(newest / "optimizer.safetensors"),
        lambda newest: (newest / "optimizer.safetensors").unlink(),
        lambda newest: (newest / "checkpoint.json").write_text("{"),
        lambda newest: (newest / "checkpoint.json").write_text("{}"),
        lambda newest: (newest / "checkpoint.json").write_text('{"step": 8, "progress": 5}'),
        lambda newest: _rewrite(newest / "checkpoint.json", files=5),
        lambda newest: _rewrite(newest / "checkpoint.json", files={}),
        lambda newest: _rewrite(newest / "checkpoint.json", files={"model/config.json": 5}),
    ],
)
def test_damaged_newest_checkpoint_is_named_and_the_one_before_it_used(
    shards: Path, whole: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    output, reporter = tmp_path / "run", Recording()
    counted = iter(range(100))
    with pytest.raises(Stopped):
        run(shards, output, should_stop=lambda: next(counted) == 7)
    newest = sorted((output / "checkpoints").iterdir())[-1]
    assert newest.name == "step-00000008"
    damage(newest)
    run(shards, output, reporter=reporter)
    assert any(newest.name in said and "damaged" in said for said in reporter.said)
    assert any("after step 6" in said for said in reporter.said)
    assert bytes_of(output) == bytes_of(whole)


def test_run_whose_checkpoints_are_all_damaged_says_so_and_that_it_begins_again(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    output, reporter = tmp_path / "run", Recording()
    counted = iter(range(100))
    with pytest.raises(Stopped):
        run(shards, output, should_stop=lambda: next(counted) == 7)
    names = sorted(each.name for each in (output / "checkpoints").iterdir())
    assert len(names) == 2
    for name in names:
        flip(output / "checkpoints" / name / "optimizer.safetensors")
    run(shards, output, reporter=reporter)
    (said,) = [each for each in reporter.said if "begins again at step 0" in each]
    assert all(name in said for name in names)
    assert bytes_of(output) == bytes_of(whole)


def test_run_that_ended_before_its_first_checkpoint_says_that_it_begins_at_step_0(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    def fails() -> bool:
        raise KeyError

    output, first, second = tmp_path / "run", Recording(), Recording()
    with pytest.raises(KeyError):
        run(shards, output, reporter=first, should_stop=fails)
    assert not any("No checkpoint yet" in each for each in first.said)
    run(shards, output, reporter=second)
    assert f"No checkpoint yet: it begins at step 0 of {STEPS}." in second.said
    assert bytes_of(output) == bytes_of(whole)


def test_other_numerics_go_on_at_the_same_instance_with_a_notice(
    shards: Path, tmp_path: Path
) -> None:
    # Dropout is keyed by micro-batch: without it other cuts give the same gradients, but for the
    # order of sums.
    run(shards, tmp_path / "whole", architecture=STILL)
    output, reporter = tmp_path / "run", Recording()
    counted = iter(range(100))
    with pytest.raises(Stopped):
        run(shards, output, architecture=STILL, should_stop=lambda: next(counted) == 4)
    other = replace(NUMERICS, micro_batch_size=11)
    run(shards, output, architecture=STILL, numerics=other, reporter=reporter)
    told = [said for said in reporter.said if "micro_batch_size 4 → 11" in said]
    assert len(told) == 1
    assert sum("Other numerics" in said for said in reporter.said) == 1
    figures, expected = (figures_of(each) for each in (output, tmp_path / "whole"))
    assert [each["step"] for each in figures] == [each["step"] for each in expected]
    for name in ("tokens", "mlm_accuracy", "nsp_accuracy"):
        assert [each[name] for each in figures] == pytest.approx([each[name] for each in expected])
    for name in ("mlm_loss", "nsp_loss", "gradient_norm"):
        assert [each[name] for each in figures] == pytest.approx(
            [each[name] for each in expected], rel=1e-4
        )


@pytest.mark.parametrize("size", [1, 4, 11])
def test_gradient_does_not_depend_on_how_a_batch_is_cut(shards: Path, size: int) -> None:
    paths = sorted(shards.glob("train-*.arrow"))
    config = config_of(PretrainRequest(shards=(shards,), architecture=STILL), vocab_size=90)

    def gradients(micro_batch_size: int) -> dict[str, torch.Tensor | None]:
        course = course_over(paths, config, copies=2, micro_batch_size=micro_batch_size)
        model = BertForPreTraining(config)
        initialise(model, config, seed=2)
        model.double().train()
        for micro_batch in course.batch(3):
            loss, _ = course.loss(model, micro_batch, DropoutKey(1, 3, micro_batch.position))
            loss.backward()
        return {name: each.grad for name, each in model.named_parameters()}

    whole = gradients(11)
    for name, gradient in gradients(size).items():
        torch.testing.assert_close(gradient, whole[name], rtol=1e-10, atol=1e-12)


def test_loss_that_is_not_a_number_stops_before_it_reaches_the_weights(
    shards: Path, tmp_path: Path
) -> None:
    wild = replace(TRAINING, learning_rate=1e30, clip_grad_norm=1e30, warmup_proportion=0.0)
    with pytest.raises(WorkFailed, match=r"Step \d+: the loss is") as failure:
        run(shards, tmp_path / "run", training=wild)
    assert "--learning-rate" in failure.value.hint
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_step_whose_loss_is_no_number_names_its_documents(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = PretrainingCourse.loss

    def broken(
        self: PretrainingCourse, model: torch.nn.Module, part: MicroBatch[Part], key: DropoutKey
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor | float]]:
        value, figures = loss(self, model, part, key)
        return value * (torch.nan if (key.step, part.position) == (2, 4) else 1), figures

    monkeypatch.setattr(PretrainingCourse, "loss", broken)
    with pytest.raises(WorkFailed, match=r"Step 3: the loss is nan") as failure:
        run(shards, tmp_path / "run")
    named = re.findall(r"\b[0-9a-f]{16}\b", failure.value.message)
    paths = sorted(shards.glob("train-*.arrow"))
    sizes = [len(Shard(path)) for path in paths]
    # Two copies of two shards each: the third step is well within the first.
    order = Order([sum(sizes[:2]), sum(sizes[2:])], TRAINING.seed)
    table = pa.concat_tables(pa.ipc.open_file(path).read_all() for path in paths)
    rows = table.take(order.rows(np.arange(22, 33))).to_pylist()
    rows.sort(key=lambda row: -len(row["input_ids"]))
    expected = {row[name] for row in rows[4:8] for name in ("document_a", "document_b")}
    assert {int(each, 16) for each in named} == expected
    assert f"bertctl inspect {shards} --document {min(expected):016x}" in failure.value.message


def test_going_on_reads_nothing_of_the_steps_before(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = 1_000_000
    endless = replace(TRAINING, steps=far + 5, schedule="constant", warmup_proportion=0.0)
    counted = iter(range(100))
    with pytest.raises(Stopped):
        run(shards, tmp_path / "run", training=endless, should_stop=lambda: next(counted) == 9)
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "step-00000010").rename(checkpoints / f"step-{far:08d}")
    record = checkpoints / f"step-{far:08d}" / "checkpoint.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "step": far}))
    read: list[int] = []
    positions: list[tuple[int, int]] = []
    rows, read_rows = Order.rows, ShardSet.read

    def asking(self: Order, wanted: Ints) -> Ints:
        positions.append((int(wanted[0]), len(wanted)))
        return rows(self, wanted)

    def reading(self: ShardSet, wanted: Ints) -> Instances:
        read.append(len(wanted))
        return read_rows(self, wanted)

    monkeypatch.setattr(Order, "rows", asking)
    monkeypatch.setattr(ShardSet, "read", reading)
    with pytest.raises(Stopped):
        run(shards, tmp_path / "run", training=endless, should_stop=lambda: True)
    # The step's own instances, those of the step after it, and what was held out.
    assert positions[0] == (far * 11, 11)
    assert positions[1:] in ([], [((far + 1) * 11, 11)])
    assert len(read) <= 3
    assert figures_of(tmp_path / "run")[-1]["step"] == far + 1


def test_flipped_byte_in_a_shard_is_found_when_it_is_first_opened(
    shards: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in shards.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    flip(copy / "train-00001-of-00004.arrow")
    with pytest.raises(BadInput, match=r"train-00001-of-00004\.arrow is damaged"):
        run(copy, tmp_path / "run")
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": replace(TRAINING, epochs=3.0)}, "either --steps or --epochs"),
        ({"training": replace(TRAINING, steps=None)}, "either --steps or --epochs"),
        ({"training": replace(TRAINING, batch_size=0)}, "--batch-size is 0"),
        (
            {"training": replace(TRAINING, warmup_steps=2, warmup_proportion=0.01)},
            "--warmup-steps 2 and --warmup-proportion 0.01 both",
        ),
        ({"architecture": replace(SMALL, hidden_size=33)}, "not a multiple"),
        ({"architecture": replace(SMALL, max_position_embeddings=16)}, "up to 40 tokens"),
        ({"numerics": replace(NUMERICS, threads=99999)}, "--threads is 99999"),
        ({"config": {"model_type": "gpt2"}}, "model_type"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_written(
    shards: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        run(shards, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_epochs_are_turned_into_steps(shards: Path, tmp_path: Path) -> None:
    training = replace(TRAINING, steps=None, epochs=1.5)
    done = run(shards, tmp_path / "run", training=training)
    assert done.manifest.statistics["epochs"] == pytest.approx(1.5, abs=0.1)


def test_durations_are_read_as_people_write_them() -> None:
    assert [seconds_of(each) for each in (None, "90s", "1.5m", "2h", "1d")] == [
        None,
        90,
        90,
        7200,
        86400,
    ]


def test_every_epoch_shows_every_instance_once(shards: Path) -> None:
    paths = sorted(shards.glob("train-*.arrow"))[:2]
    sizes = [len(Shard(path)) for path in paths]
    course = course_over(
        paths,
        BertConfig(),
        copies=1,
        training=replace(TRAINING, batch_size=1),
        micro_batch_size=1,
    )
    # Rows are rounded up with [PAD], which no text has.
    seen = [
        tuple(sorted(filter(None, course.batch(step)[0].inputs.batch.tokens.input_ids.tolist())))
        for step in range(sum(sizes))
    ]
    everything = ShardSet(paths, sizes).read(np.arange(sum(sizes)))
    ends = np.cumsum(everything.lengths)
    expected = [
        tuple(sorted(everything.input_ids[end - length : end].tolist()))
        for end, length in zip(ends, everything.lengths, strict=True)
    ]
    assert sorted(seen) == sorted(expected)


def test_damaged_checkpoint_does_not_outlive_the_ones_written_since(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    one = replace(HOW, keep=1)
    for stop_after in (8, 5):
        counted = iter(range(100))
        with pytest.raises(Stopped):
            run(
                shards,
                output,
                how=one,
                should_stop=lambda c=counted, n=stop_after: next(c) == n - 1,
            )
        (kept,) = (output / "checkpoints").iterdir()
        if stop_after == 8:
            flip(kept / "optimizer.safetensors")
    assert kept.name == "step-00000005"
    run(shards, output, how=one)
    assert bytes_of(output) == bytes_of(whole)
