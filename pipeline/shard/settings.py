"""The settings of `bertctl shard`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from ..corpus.settings import SentenceSettings, language_code
from ..errors import BadInput
from ..stage.labour import LabourSettings
from ..stage.settings import setting

_CHINESE = ("zh", "zho")
_ROUNDING = 1e-9
"""0.7 and 0.3 make 1, whatever their binary fractions do."""


FORMAT_VERSION = 2
MOST_SHARDS = 99_999
"""For training, of all copies: names that number them with five digits keep their order."""


@dataclass(frozen=True)
class InstanceSettings:
    """*What*: how documents become masked instances (Devlin et al. 2018, section 3.1, A.2)."""

    max_seq_length: int = setting(
        128, "Longest instance in tokens, [CLS] and [SEP] included.", minimum=8, maximum=65_535
    )
    masked_lm_prob: float = setting(
        0.15, "Share of an instance's tokens that is predicted.", minimum=0.0001, maximum=0.9
    )
    max_predictions_per_seq: int | Literal["auto"] = setting(
        "auto", "Most predictions in an instance; auto never caps.", minimum=1
    )
    mask_token_prob: float = setting(
        0.8, "Share of the predicted tokens that show [MASK].", minimum=0, maximum=1
    )
    random_token_prob: float = setting(
        0.1, "Share that shows a random token; the rest is shown as it is.", minimum=0, maximum=1
    )
    whole_word_mask: bool = setting(
        False,
        "Choose whole words for prediction and treat all pieces of one alike. Chinese words are "
        "known with --language zh and the extra zh.",
    )
    short_seq_prob: float = setting(
        0.1, "Share of instances aimed at a random shorter length.", minimum=0, maximum=1
    )
    dupe_factor: int = setting(
        5, "Copies of the corpus, each with pairs and masks of its own.", minimum=1, maximum=1000
    )
    next_sentence: Literal["random", "order", "none"] = setting(
        "random",
        "What B is when it doesn't follow A: text of a random other document, or, with order, what "
        "precedes A. With none there is no B: one segment of a single document fills the length.",
    )
    validation_fraction: float = setting(
        0.005, "Share of the documents held out, at least 64 or a tenth.", minimum=0, maximum=0.5
    )
    num_shards: int | Literal["auto"] = setting(
        "auto", "Shards per copy; auto makes one per 32 MB of text.", minimum=1, maximum=MOST_SHARDS
    )
    seed: int = setting(12345, "Whatever is drawn at random is keyed by this number.", minimum=0)


@dataclass(frozen=True)
class ShardHow(LabourSettings):
    """*How*: none of these changes a byte."""

    scratch: str | None = setting(
        None,
        "Directory where the tokenised text stays, so that other lengths or masks, or a corpus "
        "that has grown, take it from there; by default it is in the output until that is done. An "
        "output that goes elsewhere is made there, and its copy stays.",
        is_place=True,
    )


def needs_chinese_words(instances: InstanceSettings, sentences: SentenceSettings) -> bool:
    """Whether words are to be known in text that has no spaces between them."""
    language, *_ = language_code(sentences.language).split("-")
    return instances.whole_word_mask and language in _CHINESE


def check_instance_settings(instances: InstanceSettings, sentences: SentenceSettings) -> None:
    """Raise `BadInput` for settings that contradict each other or need what isn't installed."""
    if needs_chinese_words(instances, sentences) and find_spec("rjieba") is None:
        raise BadInput(
            "--whole-word-mask with --language zh needs rjieba, which knows Chinese words and "
            "isn't installed.",
            hint="pip install 'bertctl[zh]'",
        )
    if instances.num_shards != "auto":
        total, most = instances.num_shards * instances.dupe_factor, MOST_SHARDS
        if total > most:
            raise BadInput(
                f"--num-shards {instances.num_shards} and --dupe-factor {instances.dupe_factor} "
                f"make {total:,} shards; expected at most {most:,}.",
                hint=f"Give --num-shards {most // instances.dupe_factor} or fewer, or auto.",
            )
    shares = instances.mask_token_prob + instances.random_token_prob
    if shares > 1 + _ROUNDING:
        raise BadInput(
            f"--mask-token-prob {instances.mask_token_prob} and --random-token-prob "
            f"{instances.random_token_prob} make {shares:g}; expected at most 1 together.",
            hint="What they leave of 1 is shown as it is: 0.8 and 0.1 leave 0.1.",
        )
