"""A project's file: what it may say, what it means, and every mistake in it with its line."""

import string
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bertctl.cli.main import bertctl
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.project.choosing import chosen_jobs, named
from bertctl.pipeline.project.commands import arguments_of
from bertctl.pipeline.project.jobs import Job, read_project
from bertctl.pipeline.project.sections import SECTIONS, STAGES
from bertctl.pipeline.project.toml_lines import lines_of_keys

WHOLE = """
[project]
output = "work"

[corpus.en]
input = ["en/*.txt", "more.jsonl"]
text-field = "body"
[corpus.zh]
input = "zh/"
language = "zh"

[vocab]
vocab-size = 8000
[vocab.en]
special-token = ["[NAME]"]
[vocab.zh]
lowercase = false

[shard]
dupe-factor = 3
vocab = "en"
corpus = "en"
[shard.64]
max_seq_length = 64
[shard.128]
[shard.zh]
vocab = "zh"
corpus = "zh"

[pretrain.both]
shards = ["64", "128"]
shares = [0.9, 0.1]
steps = 100
[pretrain.zh]
epochs = 2.5
output = "elsewhere/zh"
[pretrain.onward]
init = "both"
shards = "./their/shards"
steps = 7

[finetune]
train = "train.csv"
[finetune.ours]
model = "both"
[finetune.twice]
model = "finetune.ours"
[finetune.random]
model = "random:tiny"
vocab = "en"
[finetune.theirs]
model = "../bert"
"""


def read(text: str, tmp_path: Path, *overrides: str) -> dict[str, Job]:
    path = tmp_path / "bertctl.toml"
    path.write_text(text, encoding="utf-8")
    return {each.name: each for each in read_project(path, overrides)}


def mistakes_in(text: str, tmp_path: Path, *overrides: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(text, tmp_path, *overrides)
    first, *told = caught.value.message.split("\n")
    assert f"{len(told)} mistake" in first
    return [each.strip() for each in told]


def test_a_file_means_the_commands_that_a_person_would_type(tmp_path: Path) -> None:
    jobs = read(WHOLE, tmp_path)
    told = {name: " ".join(arguments_of(job)) for name, job in jobs.items()}
    assert told == {
        "vocab.en": "vocab en/*.txt more.jsonl --text-field body --vocab-size 8000 "
        "--special-token [NAME] --output work/vocab/en",
        "vocab.zh": "vocab zh/ --vocab-size 8000 --no-lowercase --output work/vocab/zh",
        "shard.64": "shard en/*.txt more.jsonl --vocab work/vocab/en --text-field body "
        "--dupe-factor 3 --max-seq-length 64 --output work/shard/64",
        "shard.128": "shard en/*.txt more.jsonl --vocab work/vocab/en --text-field body "
        "--dupe-factor 3 --output work/shard/128",
        "shard.zh": "shard zh/ --vocab work/vocab/zh --language zh --dupe-factor 3 "
        "--output work/shard/zh",
        "pretrain.both": "pretrain work/shard/64 work/shard/128 --shares 0.9,0.1 --steps 100 "
        "--output work/pretrain/both",
        "pretrain.zh": "pretrain work/shard/zh --epochs 2.5 --output elsewhere/zh",
        "pretrain.onward": "pretrain ./their/shards --init work/pretrain/both --steps 7 "
        "--output work/pretrain/onward",
        "finetune.ours": "finetune --model work/pretrain/both --train train.csv "
        "--output work/finetune/ours",
        "finetune.twice": "finetune --model work/finetune/ours --train train.csv "
        "--output work/finetune/twice",
        "finetune.random": "finetune --model random:tiny --vocab work/vocab/en --train train.csv "
        "--output work/finetune/random",
        "finetune.theirs": "finetune --model ../bert --train train.csv "
        "--output work/finetune/theirs",
    }


def test_every_job_comes_after_what_it_is_made_from(tmp_path: Path) -> None:
    text = "[finetune.a]\nmodel='b'\ntrain='t'\n[finetune.b]\nmodel='./m'\ntrain='t'\n"
    assert list(read(text, tmp_path)) == ["finetune.b", "finetune.a"]


def test_where_there_is_one_of_each_nothing_has_to_be_named(tmp_path: Path) -> None:
    text = "[corpus]\ninput='c'\n[vocab]\n[shard]\n[pretrain]\nsteps=3\n[finetune]\ntrain='t'\n"
    told = [" ".join(arguments_of(each)) for each in read(text, tmp_path).values()]
    assert told == [
        "vocab c --output vocab",
        "shard c --vocab vocab --output shard",
        "pretrain shard --steps 3 --output pretrain",
        "finetune --model pretrain --train t --output finetune",
    ]


def test_every_key_makes_words_that_the_command_line_takes(tmp_path: Path) -> None:
    """A setting given in the file reaches the stage as the flag of that name."""
    examples = {float: "0.5", bool: "true", str: '"text"'}
    for name, section in STAGES.items():
        command = bertctl.get_command(None, name)  # pyright: ignore[reportArgumentType]
        assert command is not None
        flags = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
        for key, setting in section.settings.items():
            value = str(max(7, int(setting.minimum or 0)))
            if setting.is_choice or setting.type is not int:
                value = f'"{setting.words[-1]}"' if setting.is_choice else examples[setting.type]
            files = "\n".join(f"{each} = 'x'" for each, needed in section.files.items() if needed)
            sources = "\n".join(
                f"{each.key} = './x'" for each in section.sources if each.is_place_too
            )
            steps = "steps = 3" if name == "pretrain" and key not in ("steps", "epochs") else ""
            text = f"[corpus]\ninput='c'\n[{name}]\n{key} = {value}\n{files}\n{sources}\n{steps}\n"
            (job,) = read(text, tmp_path).values()
            given = [word for word in arguments_of(job) if word.startswith("--")]
            assert f"--{key}" in given
            assert set(given) <= flags, set(given) - flags


def test_all_mistakes_are_told_at_once_each_with_its_line_and_what_was_meant(
    tmp_path: Path,
) -> None:
    text = """
[corpsu]
[corpus]
input = []
[vocab]
vocab_size = "many"
vocab-sise = 3
[shard.64]
vocab = "vocabb"
max-seq-length = 4
[shard.128]
masked-lm-prob = true
next-sentence = "randm"
[pretrain]
[finetune.a]
train = 3
model = "random:tiny"
[finetune.b]
model = "c"
train = "t"
[finetune.c]
model = "b"
train = "t"
"""
    assert mistakes_in(text, tmp_path) == [
        "line 2: there is no section [corpsu]; did you mean corpus?",
        "line 4: input is []; expected a text in quotes, or a list of some.",
        "line 6: vocab-size is 'many'; expected a whole number.",
        "line 7: [vocab] knows no vocab-sise; did you mean vocab-size?",
        "line 9: there is no [vocab.vocabb] for vocab; did you mean vocab? "
        "A path has a slash: ./vocabb",
        "line 10: max-seq-length is 4; expected at least 8.",
        "line 12: masked-lm-prob is True; expected a number.",
        "line 13: next-sentence is 'randm'; expected one of random, order, none.",
        "line 14: [pretrain] doesn't say of which shards it is made: 64, 128.",
        "line 14: [pretrain] says neither steps nor epochs; expected one of them.",
        "line 16: train is 3; expected a text in quotes.",
        "line 22: finetune.b is made from finetune.c is made from finetune.b: "
        "that has no beginning.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[shard]\n[corpus]\ninput='c'", "line 1: [shard] has no vocab, and there is no section"),
        ("[vocab]", "line 1: [vocab] has no corpus, and there is no section [corpus]."),
        ("[finetune]\nmodel='./m'", "line 1: [finetune] has no train file."),
        ("[corpus]\n[vocab]", "line 1: [corpus] has no input: its files."),
        ("x = 3", "line 1: x stands in no section"),
        ("[project]\nroot = 'x'", "line 2: [project] knows no root"),
        ("[project]\noutput = 3", "line 2: output is 3"),
        ("[corpus]\ninput='c'\n[vocab.'a/b']", "line 3: [vocab.a/b] can't name a directory"),
        ("[corpus]\ninput='c'\n[vocab.a.b]", "line 3: [vocab.a.b] is one table too deep."),
        ("[corpus]\ninput='c'\n[vocab]\nmin-frequency=2\nmin_frequency=3", "says min-frequency"),
        (
            "[corpus]\ninput='c'\n[vocab]\noutput='o'\n[vocab.a]\n[vocab.b]",
            "line 4: [vocab] has variants, and one output for all",
        ),
        (
            "[corpus]\ninput='c'\n[vocab.a]\noutput='o'\n[vocab.b]\noutput='x/../o/in'",
            "line 5: [vocab.b] and [vocab.a] have outputs one inside the other.",
        ),
        ("[project]\noutput='s3://b/x'", "output is s3://b/x; expected a place on this machine."),
        ('[project]\noutput="a\\u0000b"', "expected a name without NUL."),
        ("[[shard]]", "line 1: [[shard]] makes a list; expected [shard], in single brackets."),
        ("[finetune]\nmodel='random:tny'\ntrain='t'", "random:tny is no size of a model; did you"),
        ("[pretrain]\nsteps=1\nepochs=1\nshards='./s'", "[pretrain] says both steps and epochs"),
        (
            "[corpus]\ninput='c'\n[vocab.a]\noutput='o'\n[vocab.b]\noutput='./o'",
            "line 5: [vocab.b] has the output of [vocab.a], o.",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, told: str, tmp_path: Path) -> None:
    assert any(told in each for each in mistakes_in(text, tmp_path)), mistakes_in(text, tmp_path)


def test_a_whole_number_is_what_a_command_line_makes_of_it(tmp_path: Path) -> None:
    """A recipe tells 0 from 0.0: the same value has to be the same however it was given."""
    text = "[pretrain]\nshards='./s'\nhidden-dropout-prob = 0\nepochs = 2\nseed = 3\n"
    settings = read(text, tmp_path)["pretrain"].settings
    assert {name: type(value) for name, value in settings.items()} == {
        "hidden_dropout_prob": float,
        "epochs": float,
        "seed": int,
    }


def test_a_name_that_two_stages_have_is_asked_for(tmp_path: Path) -> None:
    text = (
        "[pretrain.x]\nshards='./s'\nsteps=1\n[finetune]\ntrain='t'\n[finetune.x]\nmodel='./m'\n"
        "[finetune.y]\nmodel='x'\n"
    )
    (told,) = mistakes_in(text, tmp_path)
    assert told == "line 9: model x may be pretrain.x or finetune.x; expected one of them."


def test_places_are_those_that_a_shell_would_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = """
[project]
output = "~/out"
[corpus]
input = ["-c.txt", "~/c.txt", "~t.txt"]
[vocab]
compare = "~/old"
"""
    (job,) = read(text, tmp_path).values()
    assert arguments_of(job)[1:4] == ("./-c.txt", "/home/me/c.txt", "~t.txt")
    assert arguments_of(job)[-2:] == ("--output", "/home/me/out/vocab")
    assert job.settings["compare"] == "/home/me/old"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a = " + b"1" * 5000, "isn't TOML"),
        (b"[vocab\n", "isn't TOML"),
        (b"a = \xff", "isn't UTF-8, at byte 4"),
        (b"", "asks for nothing"),
        (b"[project]\n", "asks for nothing"),
    ],
)
def test_a_file_that_is_no_project_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_bytes(content)
    with pytest.raises(BadInput, match=told):
        read_project(tmp_path / "p.toml")
    with pytest.raises(BadInput, match="no such file"):
        read_project(tmp_path / "none.toml")


def test_a_value_on_the_command_line_takes_the_place_of_the_files(tmp_path: Path) -> None:
    jobs = read(
        WHOLE,
        tmp_path,
        "shard.128.dupe-factor=2",
        "shard.max_seq_length=96",
        "shard.64.max-seq-length=32",
        "project.output=there",
        "pretrain.zh.schedule=cosine",
        'corpus.zh.input=["a", "b"]',
    )
    assert jobs["shard.128"].settings["dupe_factor"] == 2
    assert jobs["shard.64"].settings["dupe_factor"] == 3
    assert jobs["shard.128"].settings["max_seq_length"] == 96
    assert jobs["shard.64"].settings["max_seq_length"] == 32
    assert jobs["shard.64"].output == Path("there/shard/64")
    assert jobs["pretrain.zh"].settings["schedule"] == "cosine"
    assert jobs["vocab.zh"].inputs == ("a", "b")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("shard.129.dupe-factor=2", "[shard] has no variant 129"),
        ("shrd.dupe-factor=2", "there is no [shrd]; did you mean shard?"),
        ("shard.128.dupe-facto=2", "knows no dupe-facto; did you mean dupe-factor?"),
        ("shard.128.dupe-factor=x", "dupe-factor is 'x'; expected a whole number."),
        ("dupe-factor=2", "expected SECTION.KEY=VALUE"),
        ("shard.128.dupe-factor", "expected SECTION.KEY=VALUE"),
        ("shard.128.dupe-factor=" + "[" * 3000, "dupe-factor is '[[["),
    ],
)
def test_a_mistake_on_the_command_line_is_told_as_one(
    override: str, told: str, tmp_path: Path
) -> None:
    mistakes = mistakes_in(WHOLE, tmp_path, override)
    assert [each for each in mistakes if each.startswith(f"--set {override}: ") and told in each]


def test_jobs_are_chosen_by_stage_or_by_name(tmp_path: Path) -> None:
    jobs = tuple(read(WHOLE, tmp_path).values())

    def chosen(*, only: tuple[str, ...] = (), until: tuple[str, ...] = ()) -> list[str]:
        found = chosen_jobs(
            jobs, only=named(jobs, only, flag="--only"), until=named(jobs, until, flag="--until")
        )
        return [each.name for each in found]

    assert chosen() == [each.name for each in jobs]
    assert chosen(only=("shard",)) == ["shard.64", "shard.128", "shard.zh"]
    assert chosen(until=("pretrain.zh",)) == ["vocab.zh", "shard.zh", "pretrain.zh"]
    assert chosen(until=("finetune.random",)) == ["vocab.en", "finetune.random"]
    assert chosen(only=("vocab.en",), until=("shard.zh",)) == ["vocab.en", "vocab.zh", "shard.zh"]
    with pytest.raises(BadInput, match="did you mean"):
        chosen(only=("shard.zz",))


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=6)
VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.text("ab\n[]='\"#\\ ", max_size=12),
    st.lists(st.integers(), max_size=4),
)


def written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""\n{escaped}"""'
    if isinstance(value, list):
        return "[" + "".join(f"\n  {each},  # ]" for each in value) + "\n]"
    return str(value)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4), st.data())
def test_the_line_of_a_key_is_where_it_was_written(
    content: dict[str, dict[str, object]], data: st.DataObject
) -> None:
    text, expected = "", {}
    for table, values in content.items():
        text += "\n" * data.draw(st.integers(0, 2)) + "# [x]\n"
        expected[(table,)] = text.count("\n") + 1
        text += f"[{table}]\n"
        for key, value in values.items():
            expected[(table, key)] = text.count("\n") + 1
            text += f"{key} = {written(value)}\n"
    assert tomllib.loads(text) == content
    assert lines_of_keys(text) == expected


@pytest.mark.parametrize("language", ["en", "zh", "de", "sw"])
def test_the_file_that_init_writes_is_a_project(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project").mkdir()
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/a.txt").write_text("A text.\n")
    (tmp_path / 't"1".csv').write_text("text,label\na,b\n")
    with_rows = ["init", "corpus/", "--train", 't"1".csv']
    for name, arguments in (("bare.toml", ["init"]), ("project/whole.toml", with_rows)):
        file = Path(name)
        run = CliRunner().invoke(bertctl, [*arguments, "--language", language, "-o", str(file)])
        assert run.exit_code == 0, run.output
        jobs = {each.name: each for each in read_project(file)}
        expected = ["vocab", "shard", "pretrain"]
        if arguments is with_rows:
            expected += ["finetune.pretrained", "finetune.random"]
            assert jobs["finetune.random"].files["train"] == Path('../t"1".csv')
            assert jobs["vocab"].inputs == ("../corpus/",)
        assert list(jobs) == expected
        assert jobs["shard"].settings["language"] == language
        # What is commented out can be commented in.
        commented = [
            line.removeprefix("# ")
            for line in file.read_text().splitlines()
            if line.startswith("# ") and "=" in line.split("  ")[0] and "docs" not in line
        ]
        known = {key for section in SECTIONS.values() for key in section.keys}
        for line in commented:
            assert line.removeprefix("# ").split(" = ")[0] in known, line
            tomllib.loads(line)


def test_init_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    file = tmp_path / "bertctl.toml"
    file.write_text("mine")
    run = CliRunner().invoke(bertctl, ["init", "-o", str(file)], catch_exceptions=True)
    assert isinstance(run.exception, BadInput)
    assert file.read_text() == "mine"
    assert CliRunner().invoke(bertctl, ["init", "-o", str(file), "--force"]).exit_code == 0
    assert read_project(file)
    run = CliRunner().invoke(bertctl, ["init", "-o", str(tmp_path), "--force"])
    assert isinstance(run.exception, BadInput)
    assert "is a directory" in run.exception.message
