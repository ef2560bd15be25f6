"""Small vocabularies, and what `tokenizers` makes of text with them: the ids ours must equal."""

import string
from collections.abc import Iterable, Sequence

import numpy as np

from bertctl.pipeline.wordpiece.library import text_tokenizer
from bertctl.pipeline.wordpiece.vocabulary import SPECIAL_TOKENS, Normalization, Vocabulary

NORMALIZATIONS = (
    Normalization(),
    Normalization(lowercase=False),
    Normalization(lowercase=False, strip_accents=True),
    Normalization(lowercase=True, strip_accents=False),
    Normalization(tokenize_chinese_chars=False),
)


def make_vocabulary(pieces: Iterable[str], extra_special_tokens: Sequence[str] = ()) -> Vocabulary:
    tokens = dict.fromkeys((*SPECIAL_TOKENS, *extra_special_tokens, *pieces))
    return Vocabulary(tuple(tokens), tuple(extra_special_tokens))


def letters_and(*pieces: str, letters: str = string.ascii_letters + string.digits) -> Vocabulary:
    """Each letter at the start and inside of words, ASCII punctuation, and these pieces."""
    inside = [f"##{letter}" for letter in letters]
    return make_vocabulary([*letters, *inside, *string.punctuation, *pieces])


# Every letter is in it, so no ASCII word is unknown; the longer pieces decide where words are cut.
COMPLETE = letters_and("the", "##er", "riv", "##iver", "River", "é", "##é", "中", "文", "ß", "##ß")
# Almost every word is unknown or the start of one is; the marks that end up alone are there, and
# two marks that stay, which change places beside each other.
SCANT = make_vocabulary(
    [
        *["a", "##a", "b", "##b", "##ab", "=", "<", "`", ";", "一", "한", "##국", "…", "##́"],
        *["##\u302e", "##\U0001d165"],
    ]
)


def library_ids(
    lines: Sequence[str], vocabulary: Vocabulary, normalization: Normalization
) -> tuple[list[int], list[int]]:
    """Return what `encode_lines` must: all ids in a row, and their number up to each line's end."""
    tokenizer = text_tokenizer(vocabulary, normalization)
    encodings = tokenizer.encode_batch_fast(list(lines), add_special_tokens=False)
    ids = [encoding.ids for encoding in encodings]
    ends = np.cumsum([len(each) for each in ids], dtype=np.int64)
    return [id for each in ids for id in each], ends.tolist()
