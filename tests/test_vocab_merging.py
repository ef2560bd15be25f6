import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.vocab import ranking
from bertctl.pipeline.vocab.counting import count_words
from bertctl.pipeline.vocab.lesson import choose_words
from bertctl.pipeline.vocab.merging import train_wordpiece
from bertctl.pipeline.vocab.ranking import Algorithm
from bertctl.pipeline.vocab.tables import WordCounts
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.vocabulary import SPECIAL_TOKENS, Normalization, Vocabulary

NUM_SPECIAL = len(SPECIAL_TOKENS)


def counted(counts: dict[str, int]) -> WordCounts:
    words = sorted(counts)
    numbers = [counts[word] for word in words]
    return WordCounts(pa.array(words, pa.string()), pa.array(numbers, pa.int64()))


def train(
    counts: dict[str, int],
    *,
    vocab_size: int = 10_000,
    min_frequency: int = 1,
    limit: int | Literal["auto"] = 10_000,
    algorithm: Algorithm = "bpe",
) -> list[str]:
    return train_wordpiece(
        choose_words([counted(counts)], limit),
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        algorithm=algorithm,
    )


def reference(
    counts: dict[str, int], *, vocab_size: int, min_frequency: int, algorithm: Algorithm = "bpe"
) -> list[str]:
    """Either algorithm as its authors wrote it: count everything anew before each merge."""
    longer = {word for word in counts if len(word) > 1}
    tokens = [*SPECIAL_TOKENS, *sorted(set("".join(counts)))]
    tokens += sorted({f"##{character}" for word in longer for character in word})
    pieces = {word: [word[0], *(f"##{character}" for character in word[1:])] for word in counts}
    while len(tokens) < vocab_size:
        pairs: Counter[tuple[str, str]] = Counter()
        often: Counter[str] = Counter()
        for word, count in counts.items():
            for piece in pieces[word]:
                often[piece] += count
            for pair in zip(pieces[word], pieces[word][1:], strict=False):
                pairs[pair] += count
        frequent = [pair for pair in pairs if pairs[pair] >= min_frequency]
        if not frequent:
            break
        scores = {
            pair: Fraction(
                pairs[pair], 1 if algorithm == "bpe" else often[pair[0]] * often[pair[1]]
            )
            for pair in frequent
        }
        best = min(frequent, key=lambda pair: (-scores[pair], pair))
        merged = best[0] + best[1].removeprefix("##")
        for word in counts:
            pieces[word] = replaced(pieces[word], best, merged)
        if merged not in tokens:
            tokens.append(merged)
    return tokens


def replaced(pieces: Sequence[str], pair: tuple[str, str], merged: str) -> list[str]:
    if len(pieces) < 2:
        return list(pieces)
    if (pieces[0], pieces[1]) == pair:
        return [merged, *replaced(pieces[2:], pair, merged)]
    return [pieces[0], *replaced(pieces[1:], pair, merged)]


WORDS = st.text("ab", min_size=1, max_size=9) | st.text("abcé中", min_size=1, max_size=5)


COUNTS = st.integers(1, 40) | st.integers(2**31 - 2, 2**31)


@pytest.mark.parametrize("algorithm", ["bpe", "wordpiece"])
def test_tokens_equal_those_of_counting_all_pairs_anew(algorithm: Algorithm) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(WORDS, COUNTS, max_size=12), st.integers(1, 30))
    def holds(counts: dict[str, int], min_frequency: int) -> None:
        for vocab_size in (25, 10_000):
            asked = {"vocab_size": vocab_size, "min_frequency": min_frequency}
            expected = reference(counts, **asked, algorithm=algorithm)
            assert train(counts, **asked, algorithm=algorithm) == expected

    holds()


@pytest.mark.parametrize(("algorithm", "room"), [("bpe", 99), ("wordpiece", 99), ("wordpiece", 1)])
def test_tokens_equal_the_references_on_text(
    algorithm: Algorithm, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "_FEW_PAIRS", room)
    text = " ".join(f"{__doc__} {function.__doc__}" for function in (random.sample, re_documented))
    words = count_words([(text * 3).encode()], Normalization())
    counts = dict(zip(words.words.to_pylist(), words.counts.to_pylist(), strict=True))
    assert len(counts) > 40
    trained = train(counts, vocab_size=300, min_frequency=4, algorithm=algorithm)
    assert trained == reference(counts, vocab_size=300, min_frequency=4, algorithm=algorithm)
    assert len(trained) > 100


def re_documented() -> None:
    """Repeated sub-sequences of subsequent sequences: bananas, papayas, mississippi, aaaaaaaaaa.

    Unrepeatable, unrepeated; subsequently consequent. The consequences of consequences.
    """


def test_counts_alone_decide_not_the_order_of_words() -> None:
    chooser = random.Random(1)
    words = ["".join(chooser.choices("abcd", k=chooser.randint(1, 8))) for _ in range(200)]
    counts = {word: chooser.randint(1, 3) for word in words}
    expected = train(counts, vocab_size=150)
    shuffled = list(counts)
    chooser.shuffle(shuffled)
    table = WordCounts(
        pa.array(shuffled, pa.string()), pa.array([counts[word] for word in shuffled], pa.int64())
    )
    tokens = train_wordpiece(choose_words([table], 10_000), vocab_size=150, min_frequency=1)
    assert tokens == expected


def test_equal_pairs_are_merged_in_the_order_of_their_text() -> None:
    tokens = train({"zb": 7, "ab": 7, "ac": 7, "é!": 7, "xx": 8})
    assert tokens[-5:] == ["xx", "ab", "ac", "zb", "é!"]


def test_ids_begin_with_special_tokens_then_the_unused_then_the_alphabet() -> None:
    tokens = train_wordpiece(
        choose_words([counted({"ba": 5, "c": 2, "中": 3})], "auto"),
        vocab_size=100,
        min_frequency=2,
        special_tokens=("[B]", "<a>"),
        unused_tokens=2,
    )
    assert tokens == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[B]", "<a>", "[unused0]", "[unused1]"),
        *("a", "b", "c", "中", "##a", "##b", "ba"),
    ]


def test_a_pair_rarer_than_min_frequency_is_not_merged() -> None:
    counts = {"ab": 3, "cd": 2}
    assert train(counts, min_frequency=3)[-1] == "ab"
    assert train(counts, min_frequency=2)[-1] == "cd"


def test_the_automatic_alphabet_covers_all_but_one_in_2000_characters() -> None:
    counts = {"a": 99_900, "b": 51, "c": 48, "d": 1, "bd": 1}
    tokens = train(counts, limit="auto")
    assert tokens[NUM_SPECIAL:] == ["a", "b"]  # 99,952 of 100,003; `bd` is unknown


def test_the_rarest_characters_beyond_the_limit_are_left_out_with_their_words() -> None:
    tokens = train({"aa": 5, "ab": 4, "cc": 4, "b": 1}, limit=2)
    assert tokens[NUM_SPECIAL:] == ["a", "c", "##a", "##c", "aa", "cc"]


def test_a_word_wordpiece_would_not_cut_teaches_nothing() -> None:
    tokens = train({"ab" * 51: 9, "cd" * 50: 9})
    assert any(token.startswith("cdcd") for token in tokens)
    assert not any("ab" in token for token in tokens)


def test_what_is_learnt_is_what_wordpiece_cuts() -> None:
    counts = {"lower": 9, "lowest": 7, "newer": 8, "newest": 5, "wide": 2}
    tokens = train(counts, vocab_size=40)
    encoder = WordPieceEncoder(Vocabulary(tuple(tokens)), Normalization())
    for word in counts:
        pieces = [tokens[id] for id in encoder.encode_text(word)]
        assert "".join(piece.removeprefix("##") for piece in pieces) == word
        assert len(pieces) < len(word)


def test_a_size_below_the_alphabet_is_refused_with_the_numbers() -> None:
    with pytest.raises(BadInput, match="3 characters, 2 of them again") as caught:
        train({"ab": 3, "c": 1}, vocab_size=9)
    assert "--vocab-size 10 " in caught.value.hint
    assert len(train({"ab": 3, "c": 1}, vocab_size=10)) == 10


def test_no_words_give_the_special_tokens() -> None:
    assert train({}) == list(SPECIAL_TOKENS)


def test_the_original_merges_what_is_least_often_apart_however_rare() -> None:
    # a and b come together 60 times, but each often without the other; q never comes without u.
    counts = {"ab": 60, "a": 50, "xb": 50, "qu": 3}
    size = NUM_SPECIAL + len({*"abxqu"}) * 2 + 1
    merged = [train(counts, vocab_size=size, algorithm=each)[-1] for each in ("bpe", "wordpiece")]
    assert merged == ["ab", "qu"]


def test_scores_that_floats_cannot_tell_apart_are_compared_exactly() -> None:
    n = 2**53 - 2
    assert 1 / n == 1 / (n + 1)
    assert train({"ab": n + 1, "cd": n}, algorithm="wordpiece")[-2:] == ["cd", "ab"]
    assert train({"ab": n, "cd": n + 1}, algorithm="wordpiece")[-2:] == ["ab", "cd"]
