"""A model card in Markdown, with Hugging Face's front matter: what is known, and what isn't said.

No date, no path and no name of a person or machine is in it: the same model has the same card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...model.config import BertConfig
from .facts import Facts

_PIPELINES = {
    "BertForPreTraining": "fill-mask",
    "BertForMaskedLM": "fill-mask",
    "BertLMHeadModel": "text-generation",
    "BertModel": "feature-extraction",
    "BertForSequenceClassification": "text-classification",
    "BertForTokenClassification": "token-classification",
    "BertForQuestionAnswering": "question-answering",
    "BertForMultipleChoice": "multiple-choice",
}
_AUTO = {
    "BertForPreTraining": "AutoModelForPreTraining",
    "BertForMaskedLM": "AutoModelForMaskedLM",
    "BertLMHeadModel": "AutoModelForCausalLM",
    "BertModel": "AutoModel",
}
_SETTINGS = {
    "steps": "steps",
    "epochs": "epochs",
    "batch_size": "batch size",
    "learning_rate": "learning rate",
    "schedule": "schedule",
    "weight_decay": "weight decay",
    "max_seq_length": "sequence length",
    "long_text": "longer texts",
    "seeds": "seeds",
    "seed": "first seed",
}
"""Settings that a card tells, and what people call them"""
_MOST_LABELS = 50


def card(
    name: str,
    content: Mapping[str, Any],
    config: BertConfig,
    statistics: Mapping[str, Any],
    facts: Facts,
) -> str:
    """Return the card of a model; `content` is its config.json beside its shape."""
    architecture = statistics["architecture"]
    parts = [
        _front_matter(architecture, facts.language),
        f"# {name}",
        _summary(config, statistics, facts),
        _use(architecture, has_pooler=statistics["has_pooler"]),
    ]
    labels = list((content.get("id2label") or {}).values())
    if len(labels) > 1:
        shown = ", ".join(f"`{each}`" for each in labels[:_MOST_LABELS])
        more = f", and {len(labels) - _MOST_LABELS:,} more" if len(labels) > _MOST_LABELS else ""
        parts.append(f"## Labels\n\n{shown}{more}")
    if facts.settings:
        parts.append("## Training\n\n" + _table(("", ""), list(_training(facts))))
    if results := list(_results(facts)):
        parts.append("## Results\n\n" + "\n\n".join(results))
    parts.append(
        "## Intended use and limits\n\n"
        "Not told yet: what it is for, on which text it was trained, and where it fails."
    )
    return "\n\n".join(parts) + "\n"


def _front_matter(architecture: str, language: str | None) -> str:
    lines = ["---", "# Yours to fill in:", f"# language: {language or ''}".rstrip()]
    lines.append("# license: apache-2.0")
    lines.append("library_name: transformers")
    if architecture in _PIPELINES:
        lines.append(f"pipeline_tag: {_PIPELINES[architecture]}")
    return "\n".join([*lines, "tags:", "- bert", "- bertctl", "---"])


def _summary(config: BertConfig, statistics: Mapping[str, Any], facts: Facts) -> str:
    shape = (
        f"{config.num_hidden_layers} layers of {config.hidden_size}, "
        f"{config.num_attention_heads} attention heads, up to {config.max_position_embeddings:,} "
        f"tokens of a vocabulary of {config.vocab_size:,}; {statistics['parameters']:,} "
        f"parameters, stored as {statistics['dtype']}"
    )
    made = {
        "pretrain": "Pretrained",
        "finetune": f"Fine-tuned for {facts.settings.get('task', 'a task')}",
    }.get(facts.made_by or "", "Exported")
    return f"{made} with bertctl: a BERT (`{statistics['architecture']}`) of {shape}."


def _use(architecture: str, *, has_pooler: bool) -> str:
    if architecture.startswith("BertMix"):
        return (
            "Its head reads a mix of all layers, which transformers has no class for:\n\n"
            "```sh\nbertctl predict --model … rows.csv\n```"
        )
    auto = _AUTO.get(architecture, architecture.replace("BertFor", "AutoModelFor"))
    pooler = ", add_pooling_layer=False" if architecture == "BertModel" and not has_pooler else ""
    return (
        "```python\n"
        f"from transformers import {auto}, AutoTokenizer\n\n"
        'here = "…"  # this directory, or its name on the hub\n'
        "tokenizer = AutoTokenizer.from_pretrained(here)\n"
        f"model = {auto}.from_pretrained(here{pooler})\n"
        "```"
    )


def _training(facts: Facts) -> Iterator[tuple[str, str]]:
    told = {**facts.settings, **{n: v for n, v in facts.figures.items() if n in _SETTINGS}}
    if "objective" in told:
        yield "objective", str(told["objective"])
    for name, words in _SETTINGS.items():
        if (value := told.get(name)) is not None:
            # A seed is a name, not a number.
            yield words, str(value) if name == "seed" else _number(value)
    for name, count in (facts.figures.get("rows") or {}).items():
        yield f"{name} rows", f"{count:,}"


def _results(facts: Facts) -> Iterator[str]:
    figures = facts.figures
    if facts.made_by == "pretrain":
        held_out = figures.get("validation")
        if held_out:
            always = figures.get("baseline") or {}
            rows = [
                (_words(name), _number(value), _number(always.get(name)))
                for name, value in held_out.items()
                if name != "step" and isinstance(value, int | float)
            ]
            heading = ("on held-out documents", "model", "word counts, or a coin")
            yield _table(heading, rows)
        return
    means = {split: each for split, each in (figures.get("mean") or {}).items() if each}
    for split, figure_means in means.items():
        deviations = (figures.get("sd") or {}).get(split) or {}
        interval = (figures.get("interval") or {}).get(split) or {}
        rows = [
            (
                _words(name),
                _number(mean) + (f" ± {_number(deviations[name])}" if name in deviations else ""),
                "–".join(map(_number, interval[name])) if name in interval else "",
            )
            for name, mean in figure_means.items()
        ]
        runs = "mean ± sd over seeds" if deviations else "value"
        yield _table((f"{split} rows", runs, "95 % interval, this model"), rows)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("mlm", "MLM").replace("nsp", "NSP").replace("f1", "F1")


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; a bar in a cell would end it."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in each) + " |" for each in lines
    )
