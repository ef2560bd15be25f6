import random
from collections import Counter

import pytest

from bertctl.pipeline.vocab.counting import count_words
from bertctl.pipeline.vocab.lesson import spell
from bertctl.pipeline.vocab.measuring import AS_WRITTEN, measure
from bertctl.pipeline.vocab.scripts import script_of, scripts_of
from bertctl.pipeline.wordpiece.library import text_tokenizer
from bertctl.pipeline.wordpiece.vocabulary import Normalization, Vocabulary

from .wordpiece_oracle import COMPLETE, NORMALIZATIONS, SCANT

TEXT = "The café’s River, 3.5 km: 中文和한국어 мир Ω ́ x² ﬁne ÉÉ café River 中 3.5"


@pytest.mark.parametrize(
    ("script", "characters"),
    [
        ("Latin", "aZéßﬁａ"),
        ("Han", "中々〇豈"),
        ("Cyrillic", "мЖ"),
        ("Greek", "Ωσ"),
        ("Hangul", "한ㄱ"),
        ("Hiragana", "ひ"),
        ("Katakana", "カｶ"),
        ("Arabic", "عﷲ"),
        ("Devanagari", "अ"),
        ("Thai", "ไ"),
        ("Old Italic", "𐌀"),
        ("Common", "3²,。・ー€µ😀𝐀ª\x00\ue000"),
    ],
)
def test_scripts_are_told_as_unicode_names_them(script: str, characters: str) -> None:
    expected = {"〇": "Common"}  # a number to Unicode's categories
    assert [script_of(each) for each in characters] == [
        expected.get(each, script) for each in characters
    ]


def test_a_word_is_in_the_script_of_its_first_letter() -> None:
    words = count_words(["3d x2 -- мир2 2мир".encode()], AS_WRITTEN)
    scripts, which = scripts_of(spell(words))
    told = dict(zip(words.words.to_pylist(), (scripts[each] for each in which), strict=True))
    assert told == {"3d": "Latin", "x2": "Latin", "-": "Common"} | dict.fromkeys(
        ("мир2", "2мир"), "Cyrillic"
    )


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
@pytest.mark.parametrize("vocabulary", [COMPLETE, SCANT], ids=["complete", "scant"])
def test_figures_equal_those_of_tokenising_each_word(
    vocabulary: Vocabulary, normalization: Normalization
) -> None:
    chooser = random.Random(1)
    text = " ".join(chooser.choices(TEXT.split(), k=300))
    counts = count_words([text.encode()], AS_WRITTEN)
    tokenizer = text_tokenizer(vocabulary, normalization)
    expected: dict[str, Counter[str]] = {}
    for word, count in zip(counts.words.to_pylist(), counts.counts.to_pylist(), strict=True):
        pieces = tokenizer.encode(word, add_special_tokens=False).tokens
        scripts = [script_of(each) for each in word if script_of(each) != "Common"]
        for script in ("all", [*scripts, "Common"][0]):
            totals = expected.setdefault(script, Counter())
            totals["words"] += count
            totals["pieces"] += count * len(pieces)
            totals["unknown"] += count * ("[UNK]" in pieces)
            totals["characters"] += count * len(word)
            totals["covered"] += count * len(word) * ("[UNK]" not in pieces)
    figures = measure(vocabulary, normalization, [counts[:4], counts[4:]])
    assert figures is not None
    assert set(figures["scripts"]) == set(expected) - {"all"}
    assert [each["words"] for each in figures["scripts"].values()] == sorted(
        (totals["words"] for name, totals in expected.items() if name != "all"), reverse=True
    )
    for script, totals in expected.items():
        found = figures if script == "all" else figures["scripts"][script]
        assert found["words"] == totals["words"]
        assert found["fertility"] == totals["pieces"] / totals["words"]
        assert found["unknown_rate"] == totals["unknown"] / totals["words"]
        assert found["coverage"] == pytest.approx(totals["covered"] / totals["characters"], 1e-12)


def test_nothing_to_measure_on_has_no_figures() -> None:
    assert measure(COMPLETE, Normalization(), []) is None
