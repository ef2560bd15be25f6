import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.verify.verify import Verdict, verify

from .corpora import write_corpus, write_vocabulary

Row = dict[str, Any]
Rows = list[Row]
MASK, SEP, CLS, PAD = 4, 3, 2, 0
COPY_0, COPY_1 = "train-00000-of-00004.arrow", "train-00002-of-00004.arrow"
INSTANCES = InstanceSettings(max_seq_length=64, dupe_factor=2, num_shards=2)


@pytest.fixture(scope="module")
def shards_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Shards of one corpus, made once for each choice of settings."""
    place = tmp_path_factory.mktemp("shards")
    corpus = write_corpus(place / "corpus", files=5, per_file=37)
    vocab = write_vocabulary(place / "vocab.txt")

    def make(**settings: Any) -> Path:
        output = place / ("-".join(f"{name}-{value}" for name, value in settings.items()) or "-")
        request = ShardRequest(
            inputs=(str(corpus),),
            vocab=vocab,
            instances=replace(INSTANCES, **settings),
            how=ShardHow(workers=1),
        )
        shard(request, output, reporter=Silent())
        return output

    return make


def rows_of(directory: Path, name: str) -> tuple[Rows, pa.Schema]:
    with pa.memory_map(str(directory / name)) as source:
        table = pa.ipc.open_file(source).read_all()
        return table.to_pylist(), table.schema


def write(directory: Path, name: str, rows: Rows, schema: pa.Schema) -> None:
    """Replace a shard by one of other rows, as a writer with a fault would have written it."""
    with pa.OSFile(str(directory / name), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema))
    sign(directory, name)


def sign(directory: Path, name: str) -> None:
    """Make the manifest vouch for a file as it is."""
    manifest = json.loads((directory / "manifest.json").read_text())
    content = (directory / name).read_bytes()
    record = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"][name] = record
    (directory / "manifest.json").write_text(json.dumps(manifest))


def edited(directory: Path, copy_to: Path, edit: Callable[[Rows], object], *names: str) -> Verdict:
    output = shutil.copytree(directory, copy_to)
    for name in names or (COPY_0,):
        rows, schema = rows_of(output, name)
        edit(rows)
        write(output, name, rows, schema)
    return verify(output, reporter=Silent())


def failures(verdict: Verdict) -> set[str]:
    return {each.name for each in verdict.checks if not each.ok}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"next_sentence": "order"},
        {"next_sentence": "none"},
        {"whole_word_mask": True},
        {"whole_word_mask": True, "next_sentence": "none", "max_predictions_per_seq": 3},
        {"mask_token_prob": 0.5, "random_token_prob": 0.5, "masked_lm_prob": 0.3},
        {"mask_token_prob": 1.0, "random_token_prob": 0.0, "dupe_factor": 1},
        {"max_predictions_per_seq": 2, "validation_fraction": 0.0, "short_seq_prob": 0.9},
    ],
    ids=str,
)
def test_shards_as_they_are_written_are_proven(
    shards_of: Callable[..., Path], settings: dict[str, Any]
) -> None:
    verdict = verify(shards_of(**settings), reporter=Silent())
    assert failures(verdict) == set()
    assert len(verdict.checks) > 25
    assert json.loads(json.dumps([each.as_json() for each in verdict.checks]))


def swap_a_label(rows: Rows) -> None:
    rows[5]["next_sentence_label"] ^= 1


def predict_a_separator(rows: Rows) -> None:
    row = rows[7]
    place = row["segment_a_length"] - 1
    predictions = dict(zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True))
    del predictions[row["masked_lm_positions"][0]]
    predictions[place] = SEP
    row["input_ids"][place] = MASK
    row["masked_lm_positions"] = sorted(predictions)
    row["masked_lm_ids"] = [predictions[each] for each in sorted(predictions)]


def drop_a_document(rows: Rows) -> None:
    gone = rows[0]["document_a"]
    rows[:] = [row for row in rows if gone not in (row["document_a"], row["document_b"])]


def repeat_a_row(rows: Rows) -> None:
    longest = max(rows, key=lambda row: len(row["input_ids"]))
    rows[rows.index(longest) - 1] = longest


def add_a_row(rows: Rows) -> None:
    rows.append(rows[4])


def exceed_the_vocabulary(rows: Rows) -> None:
    rows[9]["input_ids"][3] = 5000


def exceed_the_vocabulary_in_an_original(rows: Rows) -> None:
    rows[9]["masked_lm_ids"][0] = 5000


def reverse_positions(rows: Rows) -> None:
    for name in ("masked_lm_positions", "masked_lm_ids"):
        rows[2][name].reverse()


def leave_out_a_prediction(rows: Rows) -> None:
    for name in ("masked_lm_positions", "masked_lm_ids"):
        rows[2][name].pop()


def predict_beyond_the_end(rows: Rows) -> None:
    rows[2]["masked_lm_positions"][-1] = len(rows[2]["input_ids"])


def mask_always(rows: Rows) -> None:
    for row in rows:
        for place in row["masked_lm_positions"]:
            row["input_ids"][place] = MASK


def never_keep(rows: Rows) -> None:
    for row in rows:
        for place, original in zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True):
            if row["input_ids"][place] == original:
                row["input_ids"][place] = 5 + (original + 1) % 40


def draw_the_same_word(rows: Rows) -> None:
    for row in rows:
        for place, original in zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True):
            if row["input_ids"][place] not in (original, MASK):
                row["input_ids"][place] = 11 + (original == 11)


def draw_a_special_token(rows: Rows) -> None:
    row = next(row for row in rows if MASK in row["input_ids"])
    row["input_ids"][row["input_ids"].index(MASK)] = CLS


def hide_padding_beneath_a_mask(rows: Rows) -> None:
    rows[6]["masked_lm_ids"][0] = PAD


def lose_the_first_token(rows: Rows) -> None:
    rows[1]["input_ids"][0] = 9


def shift_the_border(rows: Rows) -> None:
    rows[1]["segment_a_length"] += 1


def lengthen(rows: Rows) -> None:
    row = max(rows, key=lambda row: len(row["input_ids"]))
    row["input_ids"][-1:] = [9] * 20 + [SEP]


def make_all_pairs_random(rows: Rows) -> None:
    documents = sorted({row["document_a"] for row in rows})
    for row in rows:
        row["next_sentence_label"] = 1
        row["document_b"] = documents[documents[0] == row["document_a"]]


def predict_the_beginning(rows: Rows) -> None:
    for row in rows:
        ids = row["input_ids"]
        for place, original in zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True):
            ids[place] = original
        special = {0, row["segment_a_length"] - 1, len(ids) - 1}
        places = [place for place in range(len(ids)) if place not in special]
        row["masked_lm_positions"] = places[: len(row["masked_lm_positions"])]
        row["masked_lm_ids"] = [ids[place] for place in row["masked_lm_positions"]]


def label_by_a_third_number(rows: Rows) -> None:
    rows[8]["next_sentence_label"] = 2


def take_b_from_nowhere(rows: Rows) -> None:
    next(row for row in rows if row["next_sentence_label"])["document_b"] = 12345


def empty_a(rows: Rows) -> None:
    rows[8]["segment_a_length"] = 2


FAULTS: dict[Callable[[Rows], object], str] = {
    swap_a_label: "documents of A and B as labelled",
    predict_a_separator: "no special token is predicted",
    drop_a_document: "all copies of the same documents",
    repeat_a_row: "no instance comes twice",
    add_a_row: f"rows of {COPY_0}",
    exceed_the_vocabulary: "ids below the vocabulary's size",
    exceed_the_vocabulary_in_an_original: "ids below the vocabulary's size",
    reverse_positions: "positions ascend",
    leave_out_a_prediction: "predictions per instance",
    predict_beyond_the_end: "lists fit each other",
    mask_always: "predicted: shows [MASK]",
    never_keep: "predicted: shows what it was",
    draw_the_same_word: "random words are uniform",
    draw_a_special_token: "random words are words",
    hide_padding_beneath_a_mask: "decodes to text",
    lose_the_first_token: "[CLS] and [SEP] where they belong",
    shift_the_border: "[CLS] and [SEP] where they belong",
    lengthen: "longest instance",
    make_all_pairs_random: "pairs with a random B",
    label_by_a_third_number: "labels are 0 or 1",
    take_b_from_nowhere: "B is from the shard's documents",
    empty_a: "A and B hold text",
    predict_the_beginning: "predicted: mean place, 0 to 1",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_of_a_writer_is_found_in_the_rows_though_the_checksums_are_right(
    shards_of: Callable[..., Path], tmp_path: Path, fault: Callable[[Rows], object]
) -> None:
    names = sorted(each.name for each in shards_of().glob("train-*.arrow"))
    everywhere = fault in (mask_always, never_keep, draw_the_same_word, make_all_pairs_random)
    verdict = edited(shards_of(), tmp_path / "bad", fault, *(names if everywhere else names[:1]))
    assert "files whole" not in failures(verdict)
    assert any(each.startswith(FAULTS[fault]) for each in failures(verdict)), failures(verdict)


def test_document_that_is_in_no_copy_is_missed(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    rows, _ = rows_of(shards_of(), COPY_0)
    gone = rows[0]["document_a"]

    def drop(rows: Rows) -> None:
        rows[:] = [row for row in rows if gone not in (row["document_a"], row["document_b"])]

    verdict = edited(shards_of(), tmp_path / "bad", drop, COPY_0, COPY_1)
    assert "different documents" in failures(verdict)
    assert "all copies of the same documents" not in failures(verdict)


def test_copy_that_repeats_the_one_before_it_is_found(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    output = shutil.copytree(shards_of(), tmp_path / "bad")
    shutil.copy(output / COPY_0, output / COPY_1)
    sign(output, COPY_1)
    assert "no instance comes twice" in failures(verify(output, reporter=Silent()))


def test_held_out_document_in_a_training_copy_is_found(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    held_out, _ = rows_of(shards_of(), "validation-00000-of-00001.arrow")

    def leak(rows: Rows) -> None:
        rows[4] = held_out[4]

    assert "held-out documents stay out" in failures(edited(shards_of(), tmp_path / "bad", leak))


def test_word_of_which_one_piece_is_shown_is_found(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    directory = shards_of(whole_word_mask=True)

    def show_a_piece(rows: Rows) -> None:
        for row in rows:
            first, *_ = row["masked_lm_positions"]
            if first + 1 in row["masked_lm_positions"] and row["input_ids"][first] == MASK:
                row["input_ids"][first] = row["masked_lm_ids"][0]

    verdict = edited(directory, tmp_path / "bad", show_a_piece)
    assert "words are treated whole" in failures(verdict)


@pytest.mark.parametrize("mode", ["order", "none"])
def test_token_that_got_lost_is_missed_where_every_token_must_come_once(
    shards_of: Callable[..., Path], tmp_path: Path, mode: str
) -> None:
    def lose(rows: Rows) -> None:
        row = max(rows, key=lambda row: len(row["input_ids"]) - row["masked_lm_positions"][-1])
        del row["input_ids"][-2]

    verdict = edited(shards_of(next_sentence=mode), tmp_path / "bad", lose)
    assert "text tokens of each copy" in failures(verdict)


def test_flipped_byte_missing_file_and_stranger_are_named(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    output = shutil.copytree(shards_of(), tmp_path / "bad")
    content = bytearray((output / COPY_0).read_bytes())
    content[len(content) // 2] ^= 1
    (output / COPY_0).write_bytes(content)
    (output / COPY_1).unlink()
    shutil.copy(output / COPY_0, output / "train-00004-of-00005.arrow")
    verdict = verify(output, reporter=Silent())
    assert {COPY_0, COPY_1, "train-00004-of-00005.arrow"} < failures(verdict)
    assert verdict.unjudged


@pytest.mark.parametrize("place", [0.02, 0.5, 0.97])
def test_garbage_that_the_manifest_vouches_for_is_told_and_not_read(
    shards_of: Callable[..., Path], tmp_path: Path, place: float
) -> None:
    output = shutil.copytree(shards_of(), tmp_path / "bad")
    content = bytearray((output / COPY_0).read_bytes())
    start = int(len(content) * place)
    content[start : start + 400] = b"\xff" * 400
    (output / COPY_0).write_bytes(content)
    sign(output, COPY_0)
    verdict = verify(output, reporter=Silent())
    assert failures(verdict)
    assert "files whole" not in failures(verdict)


def test_column_that_is_not_documented_is_told(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    output = shutil.copytree(shards_of(), tmp_path / "bad")
    rows, schema = rows_of(output, COPY_0)
    write(output, COPY_0, rows, schema.remove(schema.get_field_index("document_b")))
    (failed,) = (each for each in verify(output, reporter=Silent()).checks if not each.ok)
    assert (failed.name, "document_b" in failed.found) == (COPY_0, True)


def test_shard_of_another_recipe_is_told(shards_of: Callable[..., Path], tmp_path: Path) -> None:
    output = shutil.copytree(shards_of(), tmp_path / "bad")
    rows, schema = rows_of(output, COPY_0)
    metadata = json.loads(schema.metadata[b"bertctl"]) | {"fingerprint": "0" * 64}
    write(output, COPY_0, rows, schema.with_metadata({"bertctl": json.dumps(metadata)}))
    assert failures(verify(output, reporter=Silent())) == {"shards name their recipe"}


def test_setting_that_is_not_the_one_of_the_rows_is_found(
    shards_of: Callable[..., Path], tmp_path: Path
) -> None:
    output = shutil.copytree(shards_of(), tmp_path / "bad")
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["recipe"]["what"]["masked_lm_prob"] = 0.25
    (output / "manifest.json").write_text(json.dumps(manifest))
    failed = failures(verify(output, reporter=Silent()))
    assert {"fingerprint", "recipe.json", "predictions per instance"} <= failed
