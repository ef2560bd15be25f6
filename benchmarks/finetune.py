"""Real examples per second of fine-tuning a classifier, ours against transformers.Trainer's.

    python benchmarks/finetune.py [train.csv] [--vocab DIR] [--model mini] [--max-seq-length 128]

Everyone trains the same configuration, from random weights, on rows drawn from the same file, in
steps of `--batch-size` with dropout 0.1, clipping and fused AdamW. We tokenise what we draw each
time; for `Trainer` that is done before. It pads each batch to its longest text
(`DataCollatorWithPadding`), rows in random order or grouped by length, which it does within 50
batches, as many as a round has steps; bfloat16 is its autocast. Each has a process of its own, and
they take turns, one at a time; models and libraries are loaded before, nobody saves or evaluates.
Without a file the demo's docstrings and their packages are learnt. Needs the `dev` extra.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from corpus import BERTCTL, docstrings
from processes import spread, table

from bertctl.model.config import SIZES, BertConfig
from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.optimiser import adamw
from bertctl.model.precision import Precision
from bertctl.model.weights import initialise
from bertctl.pipeline.finetune.course import FinetuningCourse
from bertctl.pipeline.finetune.examples.columns import Columns
from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.examples.kinds import kind_named
from bertctl.pipeline.finetune.examples.texts import TextRow
from bertctl.pipeline.finetune.reading.rows import read_table
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.tasks.tasks import task_of
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.loop import Hooks, TrainingState, train
from bertctl.pipeline.training.machine import set_up
from bertctl.pipeline.training.settings import NumericsSettings
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.files import load_vocabulary

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
OURS, PADDED, GROUPED = "bertctl", "Trainer", "Trainer by length"
CONTENDERS = tuple(
    f"{who} {precision}" for precision in PRECISIONS for who in (OURS, PADDED, GROUPED)
)

Take = Callable[[int, int], int]
"""Trains in a round, by its number, for so many steps, and returns on how many rows."""
WARM_UP = 5
"""Steps before those that count"""


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    train: Path
    columns: Columns
    vocab: Path
    model: str
    max_seq_length: int
    batch_size: int
    steps: int
    threads: int
    cpu_time: bool

    @property
    def settings(self) -> FinetuneSettings:
        return FinetuneSettings(
            max_seq_length=self.max_seq_length,
            batch_size=self.batch_size,
            epochs=1,
            long_text="head",
        )

    def examples(self) -> tuple[Examples[TextRow], Known]:
        kind = kind_named("single_label_classification")
        table = read_table(self.train, kinds=kind.files)
        examples = kind.read(table, self.columns, self.settings, labelled=True)
        return examples, kind.learn(examples, self.settings)

    def rows(self, number: int, steps: int, count: int) -> list[int]:
        """Return the rows of a round: a draw of its own."""
        generator = torch.Generator().manual_seed(number)
        order = torch.randperm(count, generator=generator)
        return order.repeat(1 + steps * self.batch_size // count)[
            : steps * self.batch_size
        ].tolist()

    def clock(self) -> float:
        return time.process_time() if self.cpu_time else time.perf_counter()


def our_training(setting: Setting, config: BertConfig, precision: Precision) -> Take:
    """Build what `bertctl finetune` does between reading its files and saving."""
    numerics = NumericsSettings(device="cpu", precision=precision, threads=setting.threads)
    machine = set_up(numerics, longest=setting.max_seq_length)
    whole, known = setting.examples()
    encoder = WordPieceEncoder(*load_vocabulary(setting.vocab))
    task = task_of("single_label_classification", known, setting.settings, whole, encoder)
    model = task.build(config, precision)
    initialise(model, config, seed=1)
    silent = Silent()

    def take(number: int, steps: int) -> int:
        some = whole.select(setting.rows(number, steps, len(whole)))
        course = FinetuningCourse(
            task=task,
            items=task.encode(encoder, some),
            numbers=some.numbers,
            settings=setting.settings,
            seed=number,
            micro_batch_size=machine.micro_batch_size,
            device=machine.device,
        )
        optimizer = adamw(model, learning_rate=2e-5, weight_decay=0.01)
        state = TrainingState(model, optimizer)
        never = 1 + course.total_steps
        hooks = Hooks(
            after_step=lambda state, figures: None,
            evaluate=lambda state: None,
            save=lambda state: None,
            should_stop=lambda: False,
            evaluate_every=never,
            save_every=never,
            shown=lambda figures: {},
        )
        with silent.phase("train", total=course.total_steps, unit="steps", done=0) as progress:
            train(state, course, hooks, clip_grad_norm=1.0, progress=progress)
        return len(some)

    assert isinstance(model, BertForSequenceClassification)
    return take


def their_training(
    setting: Setting, config: BertConfig, precision: Precision, *, grouped: bool, aside: Path
) -> Take:
    """Build what a user of `transformers` writes, tokenising with the same vocabulary."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    whole, known = setting.examples()
    ids = known.label_ids
    tokenizer = transformers.AutoTokenizer.from_pretrained(setting.vocab)
    theirs = transformers.BertConfig(**config.to_dict(), num_labels=len(known.labels))
    model = transformers.BertForSequenceClassification(theirs)
    encoded = tokenizer(
        [row.text for row in whole.rows], truncation=True, max_length=setting.max_seq_length
    )
    features = [
        {**{name: encoded[name][place] for name in encoded}, "labels": ids[str(row.label)]}
        for place, row in enumerate(whole.rows)
    ]

    def take(number: int, steps: int) -> int:
        arguments = transformers.TrainingArguments(
            output_dir=str(aside),
            max_steps=steps,
            seed=number,
            per_device_train_batch_size=setting.batch_size,
            learning_rate=2e-5,
            weight_decay=0.01,
            warmup_steps=0.1,
            max_grad_norm=1.0,
            train_sampling_strategy="group_by_length" if grouped else "random",
            bf16=precision == "bfloat16",
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=features,
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return steps * setting.batch_size

    return take


def work(name: str, setting: Setting, aside: Path, pipe: Connection) -> None:
    """Train in whatever round is named; answer with rows per second."""
    torch.set_num_threads(setting.threads)
    who, _, precision = name.rpartition(" ")
    assert precision in PRECISIONS
    vocabulary, _ = load_vocabulary(setting.vocab)
    config = replace(
        SIZES[setting.model], vocab_size=len(vocabulary), pad_token_id=vocabulary.pad_id
    )
    if who == OURS:
        take = our_training(setting, config, precision)
    else:
        take = their_training(setting, config, precision, grouped=who == GROUPED, aside=aside)
    pipe.send(None)
    while (number := pipe.recv()) is not None:
        begun = setting.clock()
        count = take(number, setting.steps if number else WARM_UP)
        pipe.send(count / (setting.clock() - begun))


def measure(
    contenders: Sequence[str], setting: Setting, aside: Path, *, rounds: int
) -> dict[str, list[float]]:
    """Let all contenders take their rounds in turn."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name in contenders:
        pipes[name], theirs = context.Pipe()
        context.Process(target=work, args=(name, setting, aside, theirs), daemon=True).start()
        pipes[name].recv()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(number)
            rates[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(None)
    return rates


def show(rates: dict[str, list[float]]) -> None:
    """Print a row each: rows per second, and how much faster we are in the same precision."""
    rows = [("", "examples/s", "bertctl is × faster")]
    for name, each in rates.items():
        ours = rates.get(f"{OURS} {name.rpartition(' ')[2]}", each)
        factors = [mine / theirs for mine, theirs in zip(ours, each, strict=True)]
        rows.append((name, spread(each), spread(factors, ".2f")))
    print(table(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", nargs="?", type=Path, help="rows to learn; default: docstrings")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--vocab", type=Path, help="default: learnt from docstrings")
    parser.add_argument("--model", choices=list(SIZES), default="mini")
    parser.add_argument("--max-seq-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50, help="of a round")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--cpu-time", action="store_true", help="count CPU seconds: for a busy machine, one thread"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        aside = Path(name)
        train, vocab = args.train, args.vocab
        if train is None or vocab is None:
            corpus = docstrings(aside)
            train = train or aside / "harvest" / "train.tsv"
        if vocab is None:
            vocab = aside / "vocab"
            command = [*BERTCTL, "vocab", str(corpus), "-o", str(vocab), "-q"]
            subprocess.run(command, check=True, stdout=sys.stderr)
        setting = Setting(
            train=train,
            columns=Columns(args.text_column, None, args.label_column),
            vocab=vocab,
            model=args.model,
            max_seq_length=args.max_seq_length,
            batch_size=args.batch_size,
            steps=args.steps,
            threads=args.threads,
            cpu_time=args.cpu_time,
        )
        rates = measure(args.contenders, setting, aside, rounds=1 + args.repetitions)
    counted = {name: each[1:] for name, each in rates.items()}
    show(counted)


if __name__ == "__main__":
    main()
