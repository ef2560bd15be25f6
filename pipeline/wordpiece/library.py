"""What `tokenizers` makes of a vocabulary: the reference our ids equal, and the files' content."""

from __future__ import annotations

from functools import lru_cache

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from .vocabulary import CLS, CONTINUATION, MAX_WORD_CHARACTERS, SEP, UNK, Normalization, Vocabulary


def library_normalizer(normalization: Normalization) -> normalizers.Normalizer:
    """Make BERT's normaliser, which also drops controls and turns any whitespace into a space."""
    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=normalization.tokenize_chinese_chars,
        strip_accents=normalization.strip_accents,
        lowercase=normalization.lowercase,
    )


@lru_cache(maxsize=1)
def library_model(vocabulary: Vocabulary, *more_tokens: str) -> models.WordPiece:
    """Make the model that cuts one word into its longest pieces, from the left.

    Tokens not in the vocabulary may be added after it. The last model is kept: it takes its time to
    make, and all tokenizers made with it share it.
    """
    ids = {token: id for id, token in enumerate(more_tokens, start=len(vocabulary))}
    return models.WordPiece(
        vocab={**vocabulary.ids, **ids},
        unk_token=UNK,
        continuing_subword_prefix=CONTINUATION,
        max_input_chars_per_word=MAX_WORD_CHARACTERS,
    )


def text_tokenizer(
    vocabulary: Vocabulary, normalization: Normalization, *more_tokens: str
) -> Tokenizer:
    """Make the library's tokenizer for text alone: `[MASK]` in it is ordinary text."""
    tokenizer = Tokenizer(library_model(vocabulary, *more_tokens))
    tokenizer.normalizer = library_normalizer(normalization)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def library_tokenizer(vocabulary: Vocabulary, normalization: Normalization) -> Tokenizer:
    """Make the tokenizer users of `tokenizers` expect: `[CLS] A [SEP] B [SEP]`, offsets, decoding.

    Unlike our own encoding it recognises special tokens written in the text.
    """
    tokenizer = text_tokenizer(vocabulary, normalization)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in vocabulary.special_tokens]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(CLS, vocabulary.cls_id), (SEP, vocabulary.sep_id)],
    )
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    return tokenizer
