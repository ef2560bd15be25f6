import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertTokenizer

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.files import (
    TOKENIZER_FILES,
    load_vocabulary,
    write_tokenizer_files,
)
from bertctl.pipeline.wordpiece.library import library_tokenizer
from bertctl.pipeline.wordpiece.vocabulary import SPECIAL_TOKENS, Normalization, Vocabulary

from .wordpiece_oracle import COMPLETE, NORMALIZATIONS, letters_and

WITH_EXTRA = Vocabulary((*COMPLETE.tokens, "<e>", "[TIME]"), ("[TIME]", "<e>"))
TEXTS = [
    "The river, the RIVERS; thermal!",
    "Élan é fußball 中文river",
    "a\tb\x1cc\u200d\u3000d",
    "",
    "x" * 101,
]


def write(
    directory: Path,
    vocabulary: Vocabulary = COMPLETE,
    normalization: Normalization | None = None,
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    write_tokenizer_files(vocabulary, normalization or Normalization(), directory)
    return directory


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
@pytest.mark.parametrize("vocabulary", [COMPLETE, WITH_EXTRA], ids=["plain", "extra"])
def test_transformers_gives_our_ids(
    tmp_path: Path, vocabulary: Vocabulary, normalization: Normalization
) -> None:
    theirs = AutoTokenizer.from_pretrained(write(tmp_path, vocabulary, normalization))
    ours = WordPieceEncoder(vocabulary, normalization)
    cls, sep = vocabulary.cls_id, vocabulary.sep_id
    assert len(theirs) == len(vocabulary)
    for text in TEXTS:
        a = ours.encode_text(text).tolist()
        assert theirs(text)["input_ids"] == [cls, *a, sep]
        for other in filter(None, TEXTS):  # to transformers an empty second text is none
            b = ours.encode_text(other).tolist()
            pair = theirs(text, other)
            assert pair["input_ids"] == [cls, *a, sep, *b, sep]
            assert pair["token_type_ids"] == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    a, b = (ours.encode_text(text).tolist() for text in TEXTS[:2])
    assert len(a) > 9
    cut = theirs(TEXTS[0], TEXTS[1], truncation="only_first", max_length=len(b) + 3 + 7)
    assert cut["input_ids"] == [cls, *a[:7], sep, *b, sep]


def test_transformers_knows_the_special_tokens(tmp_path: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(write(tmp_path, WITH_EXTRA))
    assert (theirs.pad_token_id, theirs.unk_token_id) == (WITH_EXTRA.pad_id, WITH_EXTRA.unk_id)
    assert (theirs.cls_token_id, theirs.sep_token_id) == (WITH_EXTRA.cls_id, WITH_EXTRA.sep_id)
    assert theirs.mask_token_id == WITH_EXTRA.mask_id
    assert theirs.model_max_length == 512
    assert set(theirs.all_special_tokens) == {*SPECIAL_TOKENS, "<e>", "[TIME]"}
    ids = theirs("the [TIME] river", add_special_tokens=False)["input_ids"]
    assert [WITH_EXTRA.tokens[id] for id in ids][1] == "[TIME]"
    assert (
        theirs.decode(theirs("the rivers")["input_ids"], skip_special_tokens=True) == "the rivers"
    )


def test_the_librarys_tokenizer_gives_offsets_into_the_text() -> None:
    text = "The  RIVERS é"
    encoding = library_tokenizer(COMPLETE, Normalization()).encode(text)
    cuts = [text[start:end] for start, end in encoding.offsets]
    assert encoding.tokens == ["[CLS]", "the", "riv", "##er", "##s", "e", "[SEP]"]
    assert cuts == ["", "The", "RIV", "ER", "S", "é", ""]


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
@pytest.mark.parametrize(
    "kept", [TOKENIZER_FILES, TOKENIZER_FILES[1:], TOKENIZER_FILES[:1] + TOKENIZER_FILES[2:]]
)
def test_what_is_written_is_read_again(
    tmp_path: Path, normalization: Normalization, kept: tuple[str, ...]
) -> None:
    write(tmp_path, WITH_EXTRA, normalization)
    for name in set(TOKENIZER_FILES) - set(kept):
        (tmp_path / name).unlink()
    vocabulary, read = load_vocabulary(tmp_path)
    assert (vocabulary.tokens, read) == (WITH_EXTRA.tokens, normalization)
    assert set(vocabulary.extra_special_tokens) == set(WITH_EXTRA.extra_special_tokens)


def test_what_transformers_saves_is_read(tmp_path: Path) -> None:
    normalization = Normalization(lowercase=False, strip_accents=True)
    write(tmp_path / "ours", WITH_EXTRA, normalization)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    vocabulary, read = load_vocabulary(tmp_path / "theirs")
    assert (vocabulary.tokens, read) == (WITH_EXTRA.tokens, normalization)
    assert set(vocabulary.extra_special_tokens) == set(WITH_EXTRA.extra_special_tokens)


def test_a_token_added_after_training_has_the_next_id(tmp_path: Path) -> None:
    theirs = BertTokenizer(vocab=dict(COMPLETE.ids))
    theirs.add_special_tokens({"additional_special_tokens": ["[LATE]"]})
    theirs.save_pretrained(tmp_path)
    vocabulary, _ = load_vocabulary(tmp_path)
    assert vocabulary.tokens == (*COMPLETE.tokens, "[LATE]")
    assert vocabulary.extra_special_tokens == ("[LATE]",)


def test_a_bare_vocab_file_is_cased_if_a_piece_has_capitals(tmp_path: Path) -> None:
    path = tmp_path / "anything"
    path.write_text("\n".join(COMPLETE.tokens), "utf-8")
    assert load_vocabulary(path) == (COMPLETE, Normalization(lowercase=False))
    lower = letters_and("the", letters="abc")
    path.write_text("\r\n".join([*lower.tokens, "[unused0]", "", ""]), newline="")
    vocabulary, normalization = load_vocabulary(path)
    assert vocabulary.tokens == (*lower.tokens, "[unused0]")
    assert normalization == Normalization()


def test_only_a_line_feed_ends_a_token(tmp_path: Path) -> None:
    tokens = (*SPECIAL_TOKENS, "a\x85b", "c\u2028d", "e\x1cf")
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in tokens), "utf-8", newline="")
    assert load_vocabulary(path)[0].tokens == tokens


def test_the_configuration_overrules_the_tokenizer_file_as_in_transformers(tmp_path: Path) -> None:
    write(tmp_path)
    edit_json(tmp_path / "tokenizer_config.json", do_lower_case=False)
    _, normalization = load_vocabulary(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert normalization == Normalization(lowercase=False)
    assert theirs.tokenize("River") == ["River"]


def test_the_bytes_written_do_not_vary_with_the_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from bertctl.pipeline.wordpiece.files import write_tokenizer_files\n"
        "from bertctl.pipeline.wordpiece.vocabulary import *\n"
        "extra = tuple(f'<{number}>' for number in range(30))\n"
        "words = tuple(f'w{number}' for number in range(300))\n"
        "vocabulary = Vocabulary((*SPECIAL_TOKENS, *extra, *words), extra)\n"
        "write_tokenizer_files(vocabulary, Normalization(), pathlib.Path(sys.argv[1]))\n"
    )
    for seed in ("1", "2", "3"):
        directory = tmp_path / seed
        directory.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, directory], env=environment, check=True)
        for name in TOKENIZER_FILES:
            assert (directory / name).read_bytes() == (tmp_path / "1" / name).read_bytes()


def test_reading_a_vocabulary_imports_no_tokenizers(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from bertctl.pipeline.wordpiece.files import load_vocabulary\n"
        "load_vocabulary(pathlib.Path(sys.argv[1]))\n"
        "assert not {'tokenizers', 'pyarrow', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program, write(tmp_path)], check=True)


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_vocabulary(path)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("[PAD]\n[UNK]\na\n\nb\n[CLS]\n[SEP]\n[MASK]\n", "line 4: an empty line"),
        ("[PAD]\n[UNK]\na\nb\na\n", "line 5: the token 'a' stands in line 3 too"),
        ("[PAD]\n[UNK]\na\n[SEP]\n", "no [CLS], [MASK] among the 4 tokens"),
        (b"[PAD]\n\xff\n", "byte 6: not UTF-8"),
    ],
)
def test_a_bad_vocab_file_is_refused_with_the_place(
    tmp_path: Path, content: str | bytes, found: str
) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for each in (path, tmp_path):
        message = refusal(each)
        assert found in message
        assert str(tmp_path) in message


def test_a_path_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    assert "holds neither vocab.txt nor tokenizer.json" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "missing")


@pytest.mark.parametrize(
    ("part", "changes", "found"),
    [
        ("model", {"type": "BPE"}, "model is 'BPE'"),
        ("model", {"continuing_subword_prefix": "@@"}, "continuing_subword_prefix is '@@'"),
        ("model", {"max_input_chars_per_word": 50}, "max_input_chars_per_word is 50"),
        ("model", {"unk_token": "<unk>"}, "unk_token is '<unk>'"),
        ("normalizer", {"type": "NFC"}, "normalizer is 'NFC'"),
        ("normalizer", {"clean_text": False}, "clean_text is False"),
        ("pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer is 'Whitespace'"),
    ],
)
def test_a_tokenizer_file_that_is_not_berts_is_refused(
    tmp_path: Path, part: str, changes: dict[str, Any], found: str
) -> None:
    path = write(tmp_path) / "tokenizer.json"
    edit_json(path, **{part: {**json.loads(path.read_text())[part], **changes}})
    assert found in refusal(tmp_path)


def test_ids_with_a_gap_or_given_twice_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "tokenizer.json"
    model = json.loads(path.read_text())["model"]
    for token, id in (("##é", len(COMPLETE) + 7), ("##é", 6)):
        edit_json(path, model={**model, "vocab": {**model["vocab"], token: id}})
        assert "leave out or double" in refusal(tmp_path)


def test_two_vocabularies_in_one_directory_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "other"]))
    assert "hold different vocabularies" in refusal(tmp_path)


def test_another_tokenizer_over_a_vocab_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    edit_json(tmp_path / "tokenizer_config.json", tokenizer_class="BertJapaneseTokenizer")
    assert "names the tokenizer BertJapaneseTokenizer" in refusal(tmp_path)


def test_broken_json_is_refused_with_its_line(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{\n"do_lower_case": yes}')
    assert "tokenizer_config.json, line 2: not JSON" in refusal(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    assert "not a JSON object" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("token", "found"),
    [("ß\n", r"'ß\n' holds a line break"), ("ß\ud800", r"'ß\ud800' is no text")],
)
def test_a_token_that_no_file_could_hold_is_refused(tmp_path: Path, token: str, found: str) -> None:
    path = write(tmp_path) / "tokenizer.json"
    (tmp_path / "vocab.txt").unlink()
    model = json.loads(path.read_text())["model"]
    ids = {token if each == "ß" else each: id for each, id in model["vocab"].items()}
    edit_json(path, model={**model, "vocab": ids})
    assert found in refusal(tmp_path)
