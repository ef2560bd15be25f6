import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pytest

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.inspect.instances import read_instances
from bertctl.pipeline.inspect.settings import InspectHow
from bertctl.pipeline.inspect.subject import subject_of
from bertctl.pipeline.inspect.vocabulary import look_at_vocabulary
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent

from .corpora import SPECIAL, write_corpus, write_vocabulary

BERTCTL = [sys.executable, "-m", "bertctl", "inspect"]
INSTANCES = InstanceSettings(max_seq_length=40, dupe_factor=2, masked_lm_prob=0.3)


@pytest.fixture(scope="module", params=["random", "order", "none"])
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shards")
    asked = ShardRequest(
        inputs=(str(write_corpus(place / "corpus", files=3)),),
        vocab=write_vocabulary(place / "vocab.txt"),
        instances=replace(INSTANCES, next_sentence=request.param),
        how=ShardHow(workers=1),
    )
    shard(asked, place / "out", reporter=Silent())
    return place / "out"


def rows_of(path: Path) -> list[dict[str, Any]]:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all().to_pylist()


def test_instance_shows_what_the_row_holds(shards: Path) -> None:
    path = shards / "train-00001-of-00002.arrow"
    tokens = (shards / "vocab.txt").read_text().split("\n")
    for number, row in enumerate(rows_of(path)):
        (shown,) = read_instances(path, InspectHow(row=(number,)))
        assert (shown.file, shown.row, shown.length) == (path.name, number, len(row["input_ids"]))
        assert [each.document for each in shown.segments] == [
            f"{row[name]:016x}"
            for name in ("document_a", "document_b")[: 1 + ("next_sentence_label" in row)]
        ]
        parts = [[token.shown for token in each.tokens] for each in shown.segments]
        framed = ["[CLS]", *(token for part in parts for token in (*part, "[SEP]"))]
        assert framed == [tokens[each] for each in row["input_ids"]]
        fates = [each for one in shown.segments for each in one.tokens if each.fate != "plain"]
        assert [each.original for each in fates] == [tokens[each] for each in row["masked_lm_ids"]]
        for each in fates:
            expected = "kept" if each.shown == each.original else "random"
            assert each.fate == ("masked" if each.shown == "[MASK]" else expected)


def test_original_is_the_text_with_its_words_whole(shards: Path) -> None:
    for instance in read_instances(shards, InspectHow(number=9)):
        for segment in instance.segments:
            rest = segment.original.split(" ", 1)[-1]  # truncation may cut the first word
            assert "##" not in rest
            assert "[MASK]" not in segment.original


def test_rows_shown_are_the_same_each_time_and_others_with_another_seed(shards: Path) -> None:
    def drawn(seed: int) -> list[tuple[str, int]]:
        how = InspectHow(number=7, seed=seed)
        return [(each.file, each.row) for each in read_instances(shards, how)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 7


def test_row_of_a_directory_is_counted_over_its_shards(shards: Path) -> None:
    first = len(rows_of(shards / "train-00000-of-00002.arrow"))
    (shown,) = read_instances(shards, InspectHow(row=(first + 3,)))
    assert (shown.file, shown.row) == ("train-00001-of-00002.arrow", 3)
    with pytest.raises(BadInput, match=r"--row 99,999: .* has the rows 0 to"):
        list(read_instances(shards, InspectHow(row=(99_999,))))


def test_document_is_found_however_it_is_written_and_shown_as_often_as_asked(shards: Path) -> None:
    rows = [row for path in sorted(shards.glob("*.arrow")) for row in rows_of(path)]
    document = rows[5]["document_a"]
    expected = [row for row in rows if document in (row["document_a"], row.get("document_b"))]
    for written in (f"{document:016x}", f"{document:016X}", str(document)):
        shown = list(read_instances(shards, InspectHow(document=written, number=999)))
        assert len(shown) == len(expected)
        assert all(f"{document:016x}" in (s.document for s in each.segments) for each in shown)
    few = list(read_instances(shards, InspectHow(document=str(document), number=2)))
    assert few == shown[:2]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (InspectHow(document="0123456789abcdef"), "no instance in .* was made from it"),
        (InspectHow(document="x12"), "16 hexadecimal digits"),
        (InspectHow(document="12", row=(3,)), "--row and --document"),
    ],
)
def test_document_that_can_not_be_shown_is_refused(
    shards: Path, how: InspectHow, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        list(read_instances(shards, how))


def test_damaged_shard_is_named(shards: Path, tmp_path: Path) -> None:
    bad = tmp_path / "train-00000-of-00001.arrow"
    bad.write_bytes((shards / "train-00000-of-00002.arrow").read_bytes()[:-500])
    (tmp_path / "vocab.txt").write_bytes((shards / "vocab.txt").read_bytes())
    with pytest.raises(BadInput, match="isn't a whole Arrow file"):
        list(read_instances(bad, InspectHow()))


def inspect(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BERTCTL, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_three_fates_are_told_apart_without_colour(shards: Path) -> None:
    done = inspect(shards, "--number", 25, COLUMNS="60")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    for mark in (r"\[MASK→[a-z#]+\]", r"\{[a-z#.]+→[a-z#.]+\}", r"\([a-z#]+\)", "   was: "):
        assert re.search(mark, done.stdout), mark


def test_three_fates_have_three_colours_where_there_is_colour(shards: Path) -> None:
    done = inspect(shards, "--number", 25, FORCE_COLOR="1", TERM="xterm")
    styles = {
        re.search(r"\x1b\[([0-9;]+)m" + re.escape(mark), done.stdout)[1]  # type: ignore[index]
        for mark in ("[MASK→", "{", "(")
    }
    assert len(styles) == 3


def test_result_is_one_json_object(shards: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=2)
    for subject, arguments in {
        "shard": [shards, "--number", 2],
        "vocab": [write_vocabulary(tmp_path / "vocab.txt")],
        "corpus": [corpus],
    }.items():
        done = inspect(*arguments, "--json")
        assert json.loads(done.stdout)["subject"] == subject


@pytest.mark.parametrize("flag", [("--language", "de"), ("--text", "river"), ("--unwrap",)])
def test_setting_that_is_about_something_else_is_refused(
    shards: Path, flag: tuple[str, ...]
) -> None:
    done = inspect(shards, *flag)
    assert done.returncode == 2
    assert f"{flag[0]} is about" in done.stderr


def test_subject_is_told_from_what_is_there(shards: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=1)
    vocabulary = write_vocabulary(tmp_path / "vocab.txt")
    pa.feather.write_feather(pa.table({"text": ["A river."]}), str(tmp_path / "text.arrow"))
    for path, subject in {
        shards: "shard",
        shards / "train-00000-of-00002.arrow": "shard",
        tmp_path / "text.arrow": "corpus",
        vocabulary: "vocab",
        tmp_path: "vocab",
        corpus: "corpus",
        tmp_path / "nowhere": "corpus",
    }.items():
        assert subject_of([str(path)]) == subject, path
    assert subject_of([str(shards), str(corpus)]) == "corpus"
    of_another_version = {"kind": "bertctl recipe", "stage": "distil", "shape": "unknown"}
    (tmp_path / "recipe.json").write_text(json.dumps(of_another_version))
    with pytest.raises(BadInput, match="made by `bertctl distil`, a stage that"):
        subject_of([str(tmp_path)])


def test_vocabulary_tells_what_it_holds_and_how_it_cuts(tmp_path: Path) -> None:
    tokens = [*SPECIAL, "[unused0]", "river", "bank", "##s", "a", "河", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    found = look_at_vocabulary(tmp_path / "vocab.txt", "A riverbank, rivers 河 水 é ж.")
    assert (found.tokens, found.unused, found.continuing) == (12, 1, 1)
    assert found.longest[:2] == ("river", "bank")
    assert found.characters == {"Latin": 2, "Han": 1, "Common": 1}
    assert found.pieces is not None
    assert " ".join(found.pieces) == "a [UNK] [UNK] river ##s 河 [UNK] [UNK] [UNK] ."
    assert found.unknown_characters == {
        "Latin": "rivebnké",
        "Common": ",",
        "Han": "水",
        "Cyrillic": "ж",
    }
