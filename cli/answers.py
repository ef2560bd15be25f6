"""What a model says of a row, as lines for a person: what is likeliest, and of which text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..pipeline.predict.rows import Row

_SHOWN_CHARACTERS = 100

Answer = Mapping[str, Any]


def shown(row: Row, answer: Answer) -> Iterator[str]:
    """Yield an answer's lines."""
    texts = [row.text] if row.text_pair is None else [row.text, row.text_pair]
    text = " | ".join(map(_short, texts))
    if "masks" in answer:
        yield text
        yield from _masks(answer["masks"])
    elif row.choices:
        yield text
        yield from _choices(row.choices, answer["probabilities"])
    elif "question" in answer:
        yield _short(answer["question"])
        yield from _found(answer)
    elif "entities" in answer:
        yield text
        for each in answer["entities"] or [None]:
            yield "  (none)" if each is None else _entity(each)
    elif "tokens" in answer:
        pairs = zip(answer["tokens"], answer["predictions"], strict=True)
        yield " ".join(token if tag is None else f"{token}/{tag}" for token, tag in pairs)
    elif "predictions" in answer:
        yield f"{', '.join(answer['predictions']) or '(none)'}\t{text}"
    else:
        yield _label(answer, text)


def _masks(masks: list[list[dict[str, Any]]]) -> Iterator[str]:
    for number, tokens in enumerate(masks, start=1):
        if len(masks) > 1:
            yield f"  [MASK] {number}"
        for each in tokens:
            yield f"  {each['probability']:6.1%}  {each['token']}"


def _choices(choices: tuple[str, ...], probabilities: Mapping[str, float]) -> Iterator[str]:
    """Yield the choices, the likeliest first, each with its name."""
    several = zip(probabilities.items(), choices, strict=True)
    for (name, probability), choice in sorted(several, key=lambda each: -each[0][1]):
        yield f"  {probability:6.1%}  {name}  {_short(choice)}"


def _found(answer: Answer) -> Iterator[str]:
    """Yield the answer to a question, then the others that were asked for."""
    said = answer["prediction"]
    yield f"  {answer['probability'] or 0:6.1%}  {said or '(no answer)'}"
    for each in answer.get("n_best", ()):
        if each["text"] != said:
            yield f"  {each['probability']:6.1%}  {each['text']}"


def _entity(entity: Mapping[str, Any]) -> str:
    return f"  {entity['type']}  {entity.get('text') or ' '.join(entity['tokens'])}"


def _label(answer: Answer, text: str) -> str:
    prediction = answer["prediction"]
    if prediction is None:
        return "(blank)"
    if isinstance(prediction, str):
        return f"{answer['probabilities'][prediction]:6.1%}  {prediction}\t{text}"
    return f"{prediction:g}\t{text}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
