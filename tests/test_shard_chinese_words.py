import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rjieba
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus.settings import SentenceSettings
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.shard import chinese_words
from bertctl.pipeline.shard.chinese_words import encode_with_words
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.vocabulary import Normalization, Vocabulary

from .corpora import SPECIAL
from .killing import bytes_of

WORDS = (
    "我们 研究 生命 起源 北京 清华大学 学生 喜欢 下雨天 历史 的 在 了 人工智能 技术 改变 世界 今天 "
    "天气 很 好 老师 说明 操作系统 文件 不可见 密码 程序员 尤其 重要 中华人民共和国 法律"
).split()
TOKENS = [*SPECIAL, *sorted(set("".join(WORDS))), "。", "，", "linux", "py", "##thon", "##s", "か"]
ENCODER = WordPieceEncoder(Vocabulary(tuple(TOKENS)), Normalization())
# Known and unknown characters, of every block that BERT isolates, and what may stand around them.
CHARACTERS = st.sampled_from([*"研究生命起源的程序员linuxpythons，。か가é 豈㐀𠀀\u0301\0"])
LINES = st.lists(
    st.lists(st.one_of(CHARACTERS, st.sampled_from(WORDS)), max_size=20).map("".join), max_size=6
)
HAN_RUN = re.compile("[\u4e00-\u9fff]+")


def write_vocabulary(path: Path) -> Path:
    path.write_text("\n".join(TOKENS) + "\n")
    return path


def write_corpus(directory: Path, *, files: int = 5, seed: int = 1) -> Path:
    random = np.random.default_rng(seed)

    def sentence() -> str:
        words = random.choice([*WORDS, "，", "pythons", "linux"], random.integers(3, 15))
        return "".join(words) + "。"

    directory.mkdir()
    for number in range(files):
        documents = [
            "".join(sentence() for _ in range(random.integers(2, 7))) for _ in range(5 + number)
        ]
        (directory / f"{number}.txt").write_text("\n\n".join(documents) + "\n")
    return directory


def run(corpus: Path, output: Path, *, language: str = "zh", **changes: Any) -> Completion:
    instances = InstanceSettings(
        max_seq_length=512, dupe_factor=2, validation_fraction=0, whole_word_mask=True
    )
    request = ShardRequest(
        inputs=(str(corpus),),
        vocab=changes.pop("vocab", None) or write_vocabulary(corpus.parent / "vocab.txt"),
        sentences=SentenceSettings(language=language),
        instances=replace(instances, **changes.pop("instances", {})),
        how=ShardHow(**changes.pop("how", {"workers": 1})),
    )
    return shard(request, output, reporter=changes.pop("reporter", Silent()))


@settings(deadline=None)
@given(LINES)
def test_knowing_the_words_changes_no_token_and_no_line(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    ids, ends = ENCODER.encode_lines(text.encode())
    with_words = encode_with_words(ENCODER, text)
    assert with_words[0].tolist() == ids.tolist()
    assert with_words[1].tolist() == ends.tolist()
    assert len(with_words[2]) == len(ids)


@settings(deadline=None)
@given(LINES)
def test_words_of_a_line_do_not_depend_on_its_neighbours(lines: list[str]) -> None:
    together = encode_with_words(ENCODER, "".join(f"{line}\n" for line in lines))
    alone = [encode_with_words(ENCODER, f"{line}\n") for line in lines]
    assert together[2].tolist() == [flag for each in alone for flag in each[2].tolist()]


def test_text_longer_than_a_block_has_the_words_of_its_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(1)
    text = "".join("".join(random.choice(WORDS, 9)) + "\n" for _ in range(40))
    whole = encode_with_words(ENCODER, text)
    monkeypatch.setattr(chinese_words, "_BLOCK_CHARACTERS", 33)
    for ours, theirs in zip(encode_with_words(ENCODER, text), whole, strict=True):
        assert ours.tolist() == theirs.tolist()


def test_token_continues_a_word_where_rjieba_or_the_vocabulary_says_so() -> None:
    text = "我们喜欢pythons，清华大学的程序员linux。\n研究生命起源\n"
    ids, ends, continues = encode_with_words(ENCODER, text)
    pieces = [TOKENS[id] for id in ids]
    words: list[str] = []
    for piece, goes_on in zip(pieces, continues, strict=True):
        words[len(words) - goes_on :] = ["".join(words[-1:] if goes_on else []) + piece]
    expected = "我们 喜欢 py##thon##s ， 清华大学 的 程序员 linux 。 研究 生命 起源"
    assert words == expected.split()
    assert ends.tolist() == [18, 24]


def test_chinese_words_are_predicted_whole(tmp_path: Path) -> None:
    done = run(write_corpus(tmp_path / "corpus"), tmp_path / "out")
    words = num_long = 0
    for path in sorted((tmp_path / "out").glob("train-*.arrow")):
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).read_all().to_pylist()
        for row in rows:
            ids = np.array(row["input_ids"])
            ids[row["masked_lm_positions"]] = row["masked_lm_ids"]
            predicted = np.isin(np.arange(len(ids)), row["masked_lm_positions"])
            # Each token is one character here, special ones and pieces of Latin words replaced.
            tokens = [TOKENS[id] for id in ids]
            text = "".join(each if len(each) == 1 else "|" for each in tokens)
            for han in HAN_RUN.finditer(text):
                start = han.start()
                for word in rjieba.cut(han[0]):
                    share = predicted[start : start + len(word)].mean()
                    assert share in (0, 1)
                    words += int(share)
                    num_long += int(share) * (len(word) > 1)
                    start += len(word)
    figures = done.manifest.statistics["train"]
    assert num_long > 100
    assert words <= figures["words"]
    assert figures["predictions_in_long_words"] > 0.5 * figures["predictions"]


@pytest.mark.parametrize("how", [{"workers": 2}, {"workers": 1, "chunk_megabytes": 0.0004}])
def test_chinese_words_depend_on_no_worker_and_no_chunk(tmp_path: Path, how: dict) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    run(corpus, tmp_path / "one")
    run(corpus, tmp_path / "two", how=how)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_kept_tokens_that_know_no_words_are_not_taken_for_whole_words(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    kept = {"workers": 1, "scratch": str(tmp_path / "kept")}
    run(corpus, tmp_path / "plain", how=kept, instances={"whole_word_mask": False})
    run(corpus, tmp_path / "words", how=kept)
    run(corpus, tmp_path / "at-once")
    assert bytes_of(tmp_path / "words") == bytes_of(tmp_path / "at-once")


def test_whole_words_that_are_never_long_are_warned_about(tmp_path: Path) -> None:
    warnings: list[str] = []

    class Recording(Silent):
        def warn(self, text: str) -> None:
            warnings.append(text)

    corpus = tmp_path / "characters.txt"
    corpus.write_text("".join(f"研究生命{n * '起源'}。的密码。\n\n" for n in range(1, 20)))
    run(corpus, tmp_path / "en", language="en", reporter=Recording())
    assert "--language zh" in warnings.pop()
    run(corpus, tmp_path / "zh", reporter=Recording())
    assert not warnings


@pytest.mark.parametrize("language", ["zh", "zh-TW", "ZH_cn"])
def test_chinese_words_without_their_extra_are_refused_before_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    def nothing(_: str) -> None:
        return None

    corpus = write_corpus(tmp_path / "corpus")
    monkeypatch.setattr("bertctl.pipeline.shard.settings.find_spec", nothing)
    with pytest.raises(BadInput, match="rjieba") as refusal:
        run(corpus, tmp_path / "out", language=language)
    assert "bertctl[zh]" in refusal.value.hint
    assert not (tmp_path / "out").exists()
    run(corpus, tmp_path / "out", language=language, instances={"whole_word_mask": False})


def test_vocabulary_that_joins_characters_is_refused_for_chinese_words(tmp_path: Path) -> None:
    vocab = tmp_path / "vocab"
    vocab.mkdir()
    write_vocabulary(vocab / "vocab.txt")
    (vocab / "tokenizer_config.json").write_text('{"tokenize_chinese_chars": false}')
    with pytest.raises(BadInput, match="tokenize_chinese_chars"):
        run(write_corpus(tmp_path / "corpus"), tmp_path / "out", vocab=vocab)
    assert not (tmp_path / "out").exists()
