"""What a person can say about raw text: where documents and sentences end, what may be skipped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ..errors import BadInput
from ..stage.settings import setting

_TWO_LETTERS = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv
dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie
ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv
mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm
rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr
ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
"""ISO 639-1."""


@dataclass(frozen=True)
class CorpusSettings:
    """How raw text is read into documents; every field decides what comes out."""

    documents: Literal["blank-line", "line", "file"] = setting(
        "blank-line",
        "What ends a document in a text file: a blank line, the end of the line, or the end of the "
        "file. A record of any other format is one document.",
    )
    text_field: str = setting(
        "text", "The field of a record that holds the text (JSON Lines, Parquet, Arrow, CSV, TSV)."
    )
    unwrap: bool = setting(
        False,
        "Join hard-wrapped lines into paragraphs. A blank line then ends a paragraph, and with "
        "--documents blank-line two or more end a document.",
    )
    on_bad_input: Literal["stop", "skip"] = setting(
        "stop",
        "What to do with text that can't be read: stop with its place, or leave out that line, "
        "record, or rest of an archive or row group, count it and report it.",
    )
    max_document_bytes: int = setting(
        4 << 20,
        "Cut longer documents at line and sentence ends into parts that remember their document.",
        minimum=1024,
    )
    max_documents: int | None = setting(
        None, "Read only the first N documents: for a try.", minimum=1
    )


MENDABLE = ("on_bad_input",)
"""A piece in which nothing was left out is the same either way."""


@dataclass(frozen=True)
class SentenceSettings:
    """How a document's text becomes sentences."""

    sentences: Literal["auto", "line"] = setting(
        "auto", "Find the sentences in each line, or take each line for a sentence already."
    )
    language: str = setting(
        "en",
        "Language of the text (ISO 639: en, zh, de, ...), for abbreviations and the like. One "
        "without rules of its own is split by those of a related language or of English.",
    )


def check_corpus_settings(corpus: CorpusSettings, sentences: SentenceSettings) -> None:
    """Raise `BadInput` for settings that contradict each other or name no language."""
    if corpus.unwrap and corpus.documents == "line":
        raise BadInput(
            "--unwrap joins lines, but with --documents line each line is a document.",
            hint="Leave out one of the two.",
        )
    if corpus.unwrap and sentences.sentences == "line":
        raise BadInput(
            "--unwrap joins lines, but with --sentences line each line is a sentence.",
            hint="Leave out one of the two.",
        )
    language_code(sentences.language)


@lru_cache
def language_code(language: str) -> str:
    """Return the code in lower case; raise `BadInput` where it can't be a language's."""
    code = language.lower().replace("_", "-")
    base, *_ = code.split("-")
    if not re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", code) or (
        len(base) == 2 and base not in _TWO_LETTERS.split()
    ):
        raise BadInput(
            f"--language is {language!r}; expected an ISO 639 code.",
            hint="For example en for English, zh for Chinese, de for German.",
        )
    return code
