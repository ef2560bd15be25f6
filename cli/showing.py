"""What `bertctl inspect` found, as text: readable in colour, without it, and in a pipe."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ..pipeline.inspect.corpus import CorpusLook, ShownDocument
from ..pipeline.inspect.instances import Instance, Segment, Token
from ..pipeline.inspect.model import ModelLook
from ..pipeline.inspect.vocabulary import VocabularyLook
from ..pipeline.wordpiece.vocabulary import CONTINUATION

_STYLES = {"masked": "bold magenta", "random": "bold red", "kept": "green"}
_SHOWN_SENTENCES, _SHOWN_CHARACTERS = 6, 300
_SHOWN_LABELS = 8
NUMBER_COLUMNS = 4
"""What a sentence's number takes, and the space after it."""
LEGEND = Text.assemble(
    ("[MASK→word]", _STYLES["masked"]),
    " masked   ",
    ("{random→word}", _STYLES["random"]),
    " a random word in its place   ",
    ("(word)", _STYLES["kept"]),
    " shown as it is; all three are predicted",
)


def instance_lines(instance: Instance) -> Iterator[Text]:
    """Yield one instance: where it stands, A and B, and the original beneath each."""
    counts = {fate: instance.count(fate) for fate in ("masked", "random", "kept")}
    told = ", ".join(f"{count} {fate}" for fate, count in counts.items() if count)
    label = f"; {instance.label}" if instance.label else ""
    head = f"{instance.file}, row {instance.row:,}: {instance.length} tokens, "
    yield Text(f"{head}{sum(counts.values())} predicted ({told}){label}", style="bold")
    for segment in instance.segments:
        yield Text(f"{segment.name}  document {segment.document}", style="dim")
        yield _shown(segment)
        yield Text(f"   was: {segment.original}", style="dim italic")


def _shown(segment: Segment) -> Text:
    text = Text()
    for number, token in enumerate(segment.tokens):
        if number and not token.joined:
            text.append(" ")
        text.append(_marked(token), style=_STYLES.get(token.fate))
    return text


def _marked(token: Token) -> str:
    match token.fate:
        case "masked":
            return f"[MASK→{token.original}]"
        case "random":
            return f"{{{token.shown}→{token.original}}}"
        case "kept":
            return f"({token.original})"
        case "plain":
            return token.shown.removeprefix(CONTINUATION) if token.joined else token.shown


def document_lines(document: ShownDocument) -> Iterator[Text]:
    """Yield a document's first sentences, numbered, one a line."""
    part = ", part of a long document" if document.is_part else ""
    count = len(document.sentences)
    yield Text(f"{document.file}{part}: {count:,} {_plural('sentence', count)}", style="bold")
    for number, sentence in enumerate(document.sentences[:_SHOWN_SENTENCES], start=1):
        cut = sentence[:_SHOWN_CHARACTERS] + ("…" if len(sentence) > _SHOWN_CHARACTERS else "")
        yield Text.assemble((f"{number:>{NUMBER_COLUMNS - 1}} ", "dim"), cut)
    if count > _SHOWN_SENTENCES:
        yield Text(f"    … and {count - _SHOWN_SENTENCES:,} more", style="dim")


def corpus_rows(look: CorpusLook) -> list[tuple[str, str]]:
    """Return the figures of a corpus, names and values."""
    read = f"{look.text_bytes / 1e6:,.1f} MB of text"
    where = f"{read}, from {look.places} places" if look.places > 1 else f"the first {read}"
    rows = [
        ("files", f"{look.files:,}, {look.file_bytes / 1e6:,.1f} MB"),
        ("read here", f"all, {read}" if look.is_whole else where),
        ("documents", f"{look.documents:,}"),
    ]
    if not look.is_whole and look.estimated_documents:
        rows.append(("  in the whole corpus", f"about {look.estimated_documents:,}"))
    rows += [
        ("sentences", f"{look.sentences:,}"),
        ("  mean length", f"{look.mean_sentence_characters:,.0f} characters"),
    ]
    if look.median_sentences is not None:
        share = look.one_sentence_documents / look.documents
        rows += [
            ("  to a document", f"{look.median_sentences:,.0f} (median)"),
            ("documents of one sentence", f"{share:.1%}"),
        ]
    return rows


def vocabulary_rows(look: VocabularyLook) -> list[tuple[str, str]]:
    """Return what a vocabulary holds, names and values."""
    scripts = ", ".join(f"{script} {count:,}" for script, count in look.characters.items())
    rows = [
        ("tokens", f"{look.tokens:,}"),
        ("  special", " ".join(look.special_tokens)),
        ("  unused", f"{look.unused:,}"),
        (f"  inside words ({CONTINUATION})", f"{look.continuing / look.tokens:.1%}"),
        ("text is lower-cased", "yes" if look.lowercase else "no"),
        ("characters", scripts),
        ("longest", " ".join(look.longest)),
    ]
    if look.pieces is not None:
        rows.append((f"the text, {len(look.pieces):,} tokens", " ".join(look.pieces)))
    for script, characters in look.unknown_characters.items():
        rows.append((f"  unknown, {script}", " ".join(characters)))
    return rows


PARTS_HEADING = ("part", "parameters", "norm", "rms", "largest")


def model_rows(look: ModelLook) -> list[tuple[str, str]]:
    """Return what a model is and comes from, names and values."""
    shape = look.shape
    rows = [
        ("kind", look.kind),
        ("architecture", look.architecture),
        ("layers", f"{shape['num_hidden_layers']}"),
        ("hidden size", f"{shape['hidden_size']:,}"),
        ("attention heads", f"{shape['num_attention_heads']}"),
        ("intermediate size", f"{shape['intermediate_size']:,}"),
        ("vocabulary", f"{shape['vocab_size']:,} tokens"),
        ("reads up to", f"{shape['max_position_embeddings']:,} tokens"),
        ("parameters", f"{look.parameters:,} ({look.dtype})"),
    ]
    if look.labels:
        shown = ", ".join(look.labels[:_SHOWN_LABELS])
        more = ", …" if len(look.labels) > _SHOWN_LABELS else ""
        rows.append(("labels", f"{len(look.labels):,}: {shown}{more}"))
    if look.step is not None:
        rows.append(("as it was after step", f"{look.step:,}"))
    rows += [(name.replace("_", " "), str(value)) for name, value in look.training.items()]
    rows += [
        (f"made from {role}", fingerprint[:12]) for role, fingerprint in look.made_from.items()
    ]
    for name, figures in look.figures.items():
        rows += [
            (f"{name} {figure.replace('_', ' ')}", _figure(figure, value))
            for figure, value in figures.items()
        ]
    return rows


def part_rows(look: ModelLook) -> list[tuple[str, ...]]:
    """Return a model's parts, a row each."""
    return [
        (
            part.name,
            f"{part.parameters:,}",
            f"{part.norm:,.2f}",
            f"{part.rms:.4f}",
            f"{part.largest:.3f}",
        )
        for part in look.parts
    ]


def _figure(name: str, value: float) -> str:
    if name.endswith(("accuracy", "f1")):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"
