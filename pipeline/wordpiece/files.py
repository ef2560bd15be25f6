"""Read a vocabulary from anybody's BERT directory or `vocab.txt`; write the files others read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .vocabulary import (
    CLS,
    CONTINUATION,
    MASK,
    MAX_WORD_CHARACTERS,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    Normalization,
    Vocabulary,
)

VOCAB_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
TOKENIZER_FILES = (VOCAB_FILE, TOKENIZER_FILE, CONFIG_FILE, SPECIAL_TOKENS_FILE)

_CAPITAL = re.compile("[A-Z]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_BERT = "bertctl works with BERT's WordPiece tokenizers only; make one with: bertctl vocab"
_BERT_CLASSES = {
    name + suffix
    for name in ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
    for suffix in ("", "Fast")
}


def load_vocabulary(path: Path) -> tuple[Vocabulary, Normalization]:
    """Read a directory of ours, any Hugging Face BERT directory, or a bare vocab.txt.

    The normalisation is what `tokenizer_config.json` says, else `tokenizer.json`. Where neither
    does, a vocabulary with capital letters is a cased one. Raises `BadInput`.
    """
    if not path.is_dir():
        tokens = _read_vocab_file(path)
        return _checked(path, tokens, ()), _guess_normalization(tokens)
    config = _read_json(path / CONFIG_FILE)
    special = _named_special_tokens(config, _read_json(path / SPECIAL_TOKENS_FILE))
    vocab_path, tokenizer_path = path / VOCAB_FILE, path / TOKENIZER_FILE
    if tokenizer_path.exists():
        tokens, added, normalization = _read_tokenizer_file(tokenizer_path)
        special = (*special, *added)
        if vocab_path.exists() and tokens[: len(plain := _read_vocab_file(vocab_path))] != plain:
            raise BadInput(
                f"{vocab_path} and {tokenizer_path} hold different vocabularies.",
                hint="Delete the one that is not the model's.",
            )
    elif vocab_path.exists():
        if config.get("tokenizer_class") not in (None, *_BERT_CLASSES):
            raise BadInput(
                f"{path / CONFIG_FILE} names the tokenizer {config['tokenizer_class']}.",
                hint=_NOT_BERT,
            )
        tokens = _read_vocab_file(vocab_path)
        normalization = _guess_normalization(tokens)
    else:
        raise BadInput(
            f"{path} holds neither {VOCAB_FILE} nor {TOKENIZER_FILE}.",
            hint="Name the output directory of `bertctl vocab`, a Hugging Face BERT directory or "
            "a vocab.txt.",
        )
    return _checked(path, tokens, special), _configured(normalization, config)


def write_tokenizer_files(
    vocabulary: Vocabulary,
    normalization: Normalization,
    directory: Path,
    *,
    model_max_length: int = 512,
) -> None:
    """Write `TOKENIZER_FILES`, from which `transformers.AutoTokenizer` gives the ids ours gives.

    The same vocabulary gives the same bytes. `model_max_length` is where that tokenizer truncates.
    """
    # Only here: to read a vocabulary, as every "up to date" does, must not wait for tokenizers.
    from .library import library_tokenizer

    listed = "\n".join((*vocabulary.tokens, ""))
    assert listed.count("\n") == len(vocabulary)
    assert "\r" not in listed
    special: dict[str, Any] = {
        "pad_token": PAD,
        "unk_token": UNK,
        "cls_token": CLS,
        "sep_token": SEP,
        "mask_token": MASK,
    }
    if vocabulary.extra_special_tokens:
        special["additional_special_tokens"] = list(vocabulary.extra_special_tokens)
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalization.lowercase,
        "strip_accents": normalization.strip_accents,
        "tokenize_chinese_chars": normalization.tokenize_chinese_chars,
        "model_max_length": model_max_length,
        **special,
    }
    tokenizer = library_tokenizer(vocabulary, normalization)
    contents = {
        VOCAB_FILE: listed,
        TOKENIZER_FILE: tokenizer.to_str(pretty=True) + "\n",
        CONFIG_FILE: json.dumps(config, ensure_ascii=False, indent=2) + "\n",
        SPECIAL_TOKENS_FILE: json.dumps(special, ensure_ascii=False, indent=2) + "\n",
    }
    for name in TOKENIZER_FILES:
        (directory / name).write_bytes(contents[name].encode())


def _read_vocab_file(path: Path) -> list[str]:
    # Only a line feed ends a token: str.splitlines would also cut at U+2028 and its like.
    lines = _read_text(path).replace("\r\n", "\n").removesuffix("\r").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise BadInput(f"{path} is empty.", hint="A vocab.txt holds one token a line.")
    if all(lines) and len(set(lines)) == len(lines):
        return lines
    line_of: dict[str, int] = {}
    for number, token in enumerate(lines, start=1):
        if not token:
            raise BadInput(
                f"{path}, line {number}: an empty line.",
                hint="A token's id is its line's number, so each line must hold one; put "
                f"[unused{number}] there.",
            )
        if line_of.setdefault(token, number) != number:
            raise BadInput(
                f"{path}, line {number}: the token {token!r} stands in line {line_of[token]} too.",
                hint="Replace one of the two by [unusedN], so that the ids after it stay.",
            )
    raise AssertionError("every line holds a token of its own")


def _read_tokenizer_file(path: Path) -> tuple[list[str], tuple[str, ...], Normalization]:
    """Return tokens by id, special tokens and normalisation of a `tokenizer.json`."""
    content = _read_json(path)
    model, normalizer = content.get("model") or {}, content.get("normalizer") or {}
    expected = (
        ("model", model.get("type", "WordPiece"), "WordPiece"),
        ("continuing_subword_prefix", model.get("continuing_subword_prefix"), CONTINUATION),
        ("unk_token", model.get("unk_token"), UNK),
        ("max_input_chars_per_word", model.get("max_input_chars_per_word"), MAX_WORD_CHARACTERS),
        ("normalizer", normalizer.get("type"), "BertNormalizer"),
        ("clean_text", normalizer.get("clean_text"), True),
        ("pre_tokenizer", (content.get("pre_tokenizer") or {}).get("type"), "BertPreTokenizer"),
    )
    for name, found, wanted in expected:
        if found != wanted:
            raise BadInput(
                f"{path} is not a BERT WordPiece tokenizer: {name} is {found!r}, not {wanted!r}.",
                hint=_NOT_BERT,
            )
    added = content.get("added_tokens") or []
    ids: dict[str, int] = {**model["vocab"], **{each["content"]: each["id"] for each in added}}
    tokens = sorted(ids, key=ids.__getitem__)
    for expected_id, token in enumerate(tokens):
        if ids[token] != expected_id:
            raise BadInput(
                f"{path}: the ids leave out or double {expected_id}, next to the token {token!r}.",
                hint="Give the ids from 0 on to one token each; [unusedN] can fill a gap.",
            )
    special = tuple(each["content"] for each in added if each.get("special"))
    return (
        tokens,
        special,
        Normalization(
            lowercase=normalizer["lowercase"],
            strip_accents=normalizer.get("strip_accents"),
            tokenize_chinese_chars=normalizer.get("handle_chinese_chars", True),
        ),
    )


def _checked(path: Path, tokens: Sequence[str], special: Iterable[str]) -> Vocabulary:
    """Make the vocabulary, or say what it lacks."""
    extra = dict.fromkeys(token for token in special if token not in SPECIAL_TOKENS)
    known = set(tokens)
    missing = [token for token in (*SPECIAL_TOKENS, *extra) if token not in known]
    if missing:
        raise BadInput(
            f"{path}: no {', '.join(missing)} among the {len(tokens):,} tokens.",
            hint=f"BERT needs {', '.join(SPECIAL_TOKENS)}; one can replace an [unusedN].",
        )
    together = "".join(tokens)
    if "\n" in together or "\r" in together:
        broken = next(token for token in tokens if "\n" in token or "\r" in token)
        raise BadInput(f"{path}: the token {broken!r} holds a line break.", hint=_NOT_BERT)
    if lone := _LONE_SURROGATE.search(together):
        broken = next(token for token in tokens if lone.group() in token)
        raise BadInput(
            f"{path}: the token {broken!r} is no text: half a pair of surrogates is in it.",
            hint="Replace it by [unusedN], so that the ids after it stay.",
        )
    return Vocabulary(tuple(tokens), tuple(extra))


def _guess_normalization(tokens: Iterable[str]) -> Normalization:
    cased = any(not each.startswith("[") and _CAPITAL.search(each) for each in tokens)
    return Normalization(lowercase=not cased)


def _configured(normalization: Normalization, config: Mapping[str, Any]) -> Normalization:
    """Let `tokenizer_config.json` overrule, as transformers does."""
    named = {
        "lowercase": "do_lower_case",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "tokenize_chinese_chars",
    }
    found = {field: config[key] for field, key in named.items() if key in config}
    return replace(normalization, **found)


def _named_special_tokens(*sources: Mapping[str, Any]) -> tuple[str, ...]:
    """List the special tokens beyond BERT's own that a directory's JSON files name."""
    named = [
        token["content"] if isinstance(token, dict) else token
        for source in sources
        for key in ("additional_special_tokens", "extra_special_tokens")
        for token in source.get(key) or ()
    ]
    return tuple(dict.fromkeys(named))


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a file that isn't there is an empty one."""
    if not path.exists():
        return {}
    try:
        content = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{path}, line {error.lineno}: not JSON ({error.msg}).", hint="Fetch the file again."
        ) from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} is not a JSON object.", hint="Fetch the file again.")
    return content


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path}, byte {error.start}: not UTF-8.", hint="Is this a vocab.txt?"
        ) from error
