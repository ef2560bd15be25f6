"""What `tokenizers` makes of a vocabulary: the reference our ids equal, and the files' content."""

from __future__ import annotations

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


def library_model(token_ids: dict[str, int]) -> models.WordPiece:
    """Make the model that cuts one word into its longest pieces, from the left."""
    return models.WordPiece(
        vocab=token_ids,
        unk_token=UNK,
        continuing_subword_prefix=CONTINUATION,
        max_input_chars_per_word=MAX_WORD_CHARACTERS,
    )


def text_tokenizer(token_ids: dict[str, int], normalization: Normalization) -> Tokenizer:
    """Make the library's tokenizer for text alone: `[MASK]` in it is ordinary text."""
    tokenizer = Tokenizer(library_model(token_ids))
    tokenizer.normalizer = library_normalizer(normalization)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def library_tokenizer(vocabulary: Vocabulary, normalization: Normalization) -> Tokenizer:
    """Make the tokenizer users of `tokenizers` expect: `[CLS] A [SEP] B [SEP]`, offsets, decoding.

    Unlike our own encoding it recognises special tokens written in the text.
    """
    tokenizer = text_tokenizer(vocabulary.ids, normalization)
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
