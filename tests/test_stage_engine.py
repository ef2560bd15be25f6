import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bertctl.pipeline.errors import BadInput, OutputRefused, ShareDone, WorkFailed
from bertctl.pipeline.stage.earlier import open_earlier
from bertctl.pipeline.stage.files import FileRecord, write_json
from bertctl.pipeline.stage.labour import Share
from bertctl.pipeline.stage.lock import holder_of, locked
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.units import UnitBuilder, UnitStore
from bertctl.pipeline.stage.workers import run_tasks

from .killing import bytes_of, committed_units, kill_when
from .toy_stage import BUCKETS, run_toy

CHUNKS = 9
TOY = [sys.executable, "-m", "tests.toy_stage"]


class Recording(Silent):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    directory = tmp_path / "corpus"
    directory.mkdir()
    for number in range(CHUNKS):
        words = [("x" * (word % 11 + 1)) + str(number) for word in range(40 + number)]
        (directory / f"{number}.txt").write_text(" ".join(words))
    return directory


def test_finished_output_is_up_to_date_and_untouched(corpus: Path, tmp_path: Path) -> None:
    first = run_toy(corpus, tmp_path / "out", size=3)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    second = run_toy(corpus, tmp_path / "out", size=3)
    assert not first.was_up_to_date
    assert second.was_up_to_date
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert {path.name for path in before} == {
        "recipe.json",
        "manifest.json",
        *(f"bucket-{number}.txt" for number in range(BUCKETS)),
    }


def test_workers_do_not_change_a_byte(corpus: Path, tmp_path: Path) -> None:
    one = run_toy(corpus, tmp_path / "one", workers=1)
    three = run_toy(corpus, tmp_path / "three", workers=3)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "three")
    assert one.manifest.fingerprint == three.manifest.fingerprint


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("phase", ["chunk", "bucket"])
def test_killed_run_continues_to_the_bytes_of_an_uninterrupted_one(
    corpus: Path, tmp_path: Path, by: signal.Signals, workers: int, phase: str
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_toy(corpus, whole)

    def reached() -> bool:
        return sum(name.startswith(phase) for name in committed_units(killed)) >= 2

    ended = kill_when([*TOY, str(corpus), str(killed), str(workers), "0.05"], reached, by)
    assert ended.returncode == -by
    kept = committed_units(killed)
    assert 0 < len(kept) < CHUNKS + BUCKETS
    assert not (killed / "manifest.json").exists()

    records = killed / ".bertctl" / "units"
    before = {name: (records / f"{name}.json").stat().st_mtime_ns for name in kept}
    seen: dict[str, int] = {}

    class Watching(Silent):
        def notice(self, text: str) -> None:
            seen.update({name: (records / f"{name}.json").stat().st_mtime_ns for name in kept})

    run_toy(corpus, killed, workers=workers, reporter=Watching())
    assert seen == before, "a committed unit was made again"
    assert bytes_of(killed) == bytes_of(whole)


def test_committed_units_are_not_made_again(corpus: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    kill_when(
        [*TOY, str(corpus), str(killed), "1", "0.05"],
        lambda: len(committed_units(killed)) >= 4,
        signal.SIGKILL,
    )
    unread = corpus / "0.txt"
    listed = unread.stat()
    assert "chunk-0" in committed_units(killed)
    # Same size, same time, other words: made again, the unit would show them.
    unread.write_text("y" * listed.st_size)
    os.utime(unread, ns=(listed.st_atime_ns, listed.st_mtime_ns))
    run_toy(corpus, killed)
    assert "y" not in "".join(path.read_text() for path in killed.glob("bucket-*.txt"))


def test_input_mended_half_way_redoes_only_its_own_units(corpus: Path, tmp_path: Path) -> None:
    killed, whole, reporter = tmp_path / "killed", tmp_path / "whole", Recording()
    kill_when(
        [*TOY, str(corpus), str(killed), "1", "0.05"],
        lambda: len(committed_units(killed)) >= 4,
        signal.SIGKILL,
    )
    (corpus / "1.txt").write_text("mended words")
    run_toy(corpus, killed, reporter=reporter)
    run_toy(corpus, whole)
    assert bytes_of(killed) == bytes_of(whole)
    assert any("1.txt" in notice for notice in reporter.notices)


def test_other_setting_is_refused_by_name_and_force_replaces(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output, word_size=3, seed=1)
    (output / "notes.md").write_text("mine")
    with pytest.raises(OutputRefused, match=r"--word-size: 3 → 4") as refusal:
        run_toy(corpus, output, word_size=4, seed=1)
    assert "--seed" not in refusal.value.message
    assert "--force" in refusal.value.hint
    assert "--output" in refusal.value.hint
    forced = run_toy(corpus, output, word_size=4, seed=1, force=True)
    assert not forced.was_up_to_date
    assert forced.manifest.recipe.what["word_size"] == 4
    assert (output / "notes.md").read_text() == "mine"


def test_changed_corpus_is_refused_and_a_moved_or_touched_one_is_not(
    corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output)
    os.utime(corpus / "3.txt")
    assert run_toy(corpus, output).was_up_to_date
    moved = corpus.rename(tmp_path / "moved")
    (moved / "2.txt").rename(moved / "renamed.txt")
    told = Recording()
    assert run_toy(moved, output, reporter=told).was_up_to_date
    assert any("moved or touched" in each for each in told.notices)
    # What was found the same once isn't read again.
    again = Recording()
    assert run_toy(moved, output, reporter=again).was_up_to_date
    assert not again.notices
    (moved / "4.txt").write_text("other words")
    with pytest.raises(OutputRefused, match=r"4\.txt"):
        run_toy(moved, output)


def test_numerics_are_recorded_and_may_change_on_resume(corpus: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    kill_when(
        [*TOY, str(corpus), str(killed), "1", "0.05"],
        lambda: len(committed_units(killed)) >= 2,
        signal.SIGKILL,
    )
    done = run_toy(corpus, killed, numerics={"threads": 2})
    assert run_toy(corpus, killed, numerics={"threads": 8}).was_up_to_date
    assert done.manifest.recipe.numerics == {"threads": 2}


@pytest.mark.parametrize("force", [False, True])
def test_directory_of_another_program_is_never_written_to(
    corpus: Path, tmp_path: Path, force: bool
) -> None:
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "bucket-0.txt").write_text("my thesis")
    with pytest.raises(OutputRefused, match="isn't ours"):
        run_toy(corpus, output, force=force)
    assert [path.name for path in output.iterdir()] == ["bucket-0.txt"]
    assert (output / "bucket-0.txt").read_text() == "my thesis"


@pytest.mark.parametrize("kind", ["dangling link", "link to itself", "below a file", "long name"])
def test_output_that_can_not_be_made_is_refused_with_the_reason(
    corpus: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / "out"
    if kind == "dangling link":
        output.symlink_to(tmp_path / "nowhere")
    elif kind == "link to itself":
        output.symlink_to(output)
    elif kind == "below a file":
        output.write_text("mine")
        output = output / "deeper"
    else:
        output = tmp_path / ("x" * 300)
    with pytest.raises(OutputRefused, match="can't be used"):
        run_toy(corpus, output)


@pytest.mark.parametrize("force", [False, True])
def test_output_that_holds_what_is_read_is_never_touched(
    corpus: Path, tmp_path: Path, force: bool
) -> None:
    made = tmp_path / "made"
    run_toy(corpus, made)
    (link := tmp_path / "link").symlink_to(made)
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    for output, reads in ((made, made), (made, link), (link, made), (made, made / "bucket-0.txt")):
        with pytest.raises(OutputRefused, match="which this command reads"):
            run_toy(corpus, output, force=force, reads=[reads], size=4)
    with pytest.raises(OutputRefused, match="which this command reads"):
        run_toy(made, made, force=force)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("lost", [None, "recipe.json", "manifest.json"])
def test_output_inside_another_is_refused_and_one_beside_or_below_its_parent_is_not(
    corpus: Path, tmp_path: Path, force: bool, lost: str | None
) -> None:
    made = tmp_path / "made"
    run_toy(corpus, made)
    if lost:
        (made / lost).unlink()
    (link := tmp_path / "link").symlink_to(made)
    before = sorted(made.rglob("*"))
    for inside in (made / "new", made / "checkpoints" / "step-00000003", link / "new"):
        with pytest.raises(OutputRefused, match=re.escape(str(made))) as refused:
            run_toy(corpus, inside, force=force, size=4)
        assert "outside it" in refused.value.message
    assert sorted(made.rglob("*")) == before
    assert not run_toy(corpus, tmp_path / "beside" / "it", size=4).was_up_to_date


def test_output_that_stands_inside_another_since_long_is_up_to_date(
    corpus: Path, tmp_path: Path
) -> None:
    inside = tmp_path / "made" / "inside"
    run_toy(corpus, inside)
    run_toy(corpus, tmp_path / "other")
    shutil.copy(tmp_path / "other" / "recipe.json", tmp_path / "made")
    assert run_toy(corpus, inside).was_up_to_date


@pytest.mark.parametrize("name", ["../victim/*", "../victim/mine.txt", "{tmp}/victim/mine.txt"])
@pytest.mark.parametrize("file", ["recipe.json", "manifest.json"])
def test_force_removes_nothing_elsewhere_whatever_the_directory_says(
    corpus: Path, tmp_path: Path, name: str, file: str
) -> None:
    output, victim = tmp_path / "out", tmp_path / "victim" / "mine.txt"
    run_toy(corpus, output)
    victim.parent.mkdir()
    victim.write_text("mine")
    content = json.loads((output / file).read_text())
    name = name.format(tmp=tmp_path)
    if file == "recipe.json":
        content["owns"] = [name]
    else:
        content["files"][name] = {"size": 4, "sha256": "0"}
    (output / file).write_text(json.dumps(content))
    with pytest.raises(OutputRefused, match="which is elsewhere"):
        run_toy(corpus, output, force=True, size=4)
    assert victim.read_text() == "mine"


def test_force_removes_nothing_behind_a_link(corpus: Path, tmp_path: Path) -> None:
    output, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    run_toy(corpus, output)
    elsewhere.mkdir()
    (elsewhere / "bucket-9.txt").write_text("mine")
    (output / "sub").symlink_to(elsewhere)
    recipe = json.loads((output / "recipe.json").read_text())
    recipe["owns"] = ["sub/bucket-*.txt"]
    (output / "recipe.json").write_text(json.dumps(recipe))
    run_toy(corpus, output, force=True, size=4)
    assert (elsewhere / "bucket-9.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("manifest.json", {"files": [1]}),
        ("manifest.json", {"files": {"a": 5}}),
        ("manifest.json", {"statistics": 5}),
        ("manifest.json", {"recipe": {"kind": "bertctl recipe", "what": 5}}),
        ("recipe.json", {"what": 5}),
        ("recipe.json", {"inputs": 5}),
        ("recipe.json", {"owns": None}),
    ],
)
def test_record_that_is_not_as_it_was_written_is_no_record(
    corpus: Path, tmp_path: Path, file: str, changes: dict[str, object]
) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output)
    content = json.loads((output / file).read_text())
    (output / file).write_text(json.dumps({**content, **changes}))
    if file == "manifest.json":
        with pytest.raises(BadInput, match="isn't finished"):
            open_earlier(output, "toy")
    # The other record still says whose the directory is.
    done = run_toy(corpus, output)
    assert done.was_up_to_date == (file == "recipe.json")
    open_earlier(output, "toy")


def test_output_of_another_format_is_refused(corpus: Path, tmp_path: Path) -> None:
    run_toy(corpus, tmp_path / "out")
    with pytest.raises(BadInput, match="is of format 1; this bertctl reads format 2"):
        open_earlier(tmp_path / "out", "toy", format_version=2)


def test_file_that_was_touched_is_read_once_more_and_then_remembered(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_toy(corpus, tmp_path / "out")
    opened, remembered = open_earlier(tmp_path / "out", "toy"), tmp_path / "log" / "checked.json"
    read: list[str] = []
    record_of = FileRecord.of

    def recorded(path: Path) -> FileRecord:
        read.append(path.name)
        return record_of(path)

    monkeypatch.setattr(FileRecord, "of", recorded)
    opened.verify(opened.manifest.files, remembered=remembered)
    assert sorted(read) == [f"bucket-{number}.txt" for number in range(BUCKETS)]
    os.utime(tmp_path / "out" / "bucket-3.txt", ns=(0, 0))
    opened.verify(opened.manifest.files, remembered=remembered)
    assert read[BUCKETS:] == ["bucket-3.txt"]
    opened.verify(opened.manifest.files, remembered=remembered)
    assert len(read) == BUCKETS + 1


def test_full_disk_is_named(tmp_path: Path) -> None:
    def fill(_: UnitBuilder) -> dict[str, int]:
        raise OSError(errno.ENOSPC, "a library's words")

    with pytest.raises(OSError, match="No space left") as caught:
        UnitStore(tmp_path).build("unit", "key", fill)
    assert caught.value.filename == str(tmp_path / ".bertctl")


def test_output_that_is_a_file_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputRefused, match="is a file"):
        run_toy(corpus, tmp_path / "out")


def test_second_writer_is_refused_and_told_who_the_first_is(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = subprocess.Popen([*TOY, str(corpus), str(output), "1", "0.3"])
    try:
        while not (output / "recipe.json").exists():
            time.sleep(0.01)
        assert str(first.pid) in (holder_of(output) or "")
        with pytest.raises(OutputRefused, match=f"process {first.pid}"):
            run_toy(corpus, output)
    finally:
        first.kill()
        first.wait()
    assert holder_of(output) is None
    run_toy(corpus, output)


def test_lock_is_released_by_the_death_of_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from bertctl.pipeline.stage.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert str(holder.pid) in (holder_of(tmp_path) or "")
        with pytest.raises(OutputRefused, match=str(holder.pid)), locked(tmp_path):
            pass
        holder.kill()
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        assert holder_of(tmp_path)
    assert not list(tmp_path.iterdir())


def test_tasks_of_an_array_in_any_order_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    output, whole = tmp_path / "array", tmp_path / "whole"
    said: list[str] = []
    for number in (2, 3, 1, 3, 1, 2):
        with pytest.raises(ShareDone) as caught:
            run_toy(corpus, output, share=Share(number, 3))
        said.append(caught.value.message)
    assert "Task 2/3 is done with its 3 of 9" in said[0]
    assert "6 are still left" in said[0]
    # The third task finds all chunks done and goes on with its share of the buckets.
    assert "its 2 of 5" in said[2]
    assert "All pieces of work are done" in said[-1]
    assert not (output / "manifest.json").exists()
    run_toy(corpus, output)
    run_toy(corpus, whole)
    assert bytes_of(output) == bytes_of(whole)
    assert {path.name for path in output.iterdir()} == {path.name for path in whole.iterdir()}
    assert run_toy(corpus, output, share=Share(1, 3)).was_up_to_date


def test_what_tasks_left_undone_is_done_at_the_end(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ShareDone):
        run_toy(corpus, tmp_path / "array", share=Share(2, 4))
    run_toy(corpus, tmp_path / "array", workers=2)
    run_toy(corpus, tmp_path / "whole")
    assert bytes_of(tmp_path / "array") == bytes_of(tmp_path / "whole")


def test_tasks_share_an_output_that_nobody_else_may_write_to(tmp_path: Path) -> None:
    with locked(tmp_path, share=Share(1, 2)), locked(tmp_path, share=Share(2, 2)):
        for share in (None, Share(1, 2)):
            with pytest.raises(OutputRefused, match="being written"), locked(tmp_path, share=share):
                pass
    with (
        locked(tmp_path),
        pytest.raises(OutputRefused, match="being written"),
        locked(tmp_path, share=Share(2, 2)),
    ):
        pass
    assert holder_of(tmp_path) is None


def test_missing_or_shortened_result_is_reported_not_called_up_to_date(
    corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output)
    good = (output / "bucket-2.txt").read_bytes()
    (output / "bucket-2.txt").write_bytes(good[:-1])
    with pytest.raises(OutputRefused, match=r"bucket-2\.txt has"):
        run_toy(corpus, output)
    (output / "bucket-2.txt").unlink()
    with pytest.raises(OutputRefused, match=r"bucket-2\.txt is missing"):
        run_toy(corpus, output)
    (output / "bucket-2.txt").write_bytes(good)
    assert run_toy(corpus, output).was_up_to_date


def test_run_killed_before_its_recipe_stood_leaves_nothing_in_the_way(
    corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    (output / ".bertctl" / "aside").mkdir(parents=True)
    (output / ".lock").touch()
    assert not run_toy(corpus, output).was_up_to_date


def test_work_left_by_a_kill_after_the_manifest_is_swept(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output)
    (output / ".bertctl" / "units").mkdir(parents=True)
    assert run_toy(corpus, output).was_up_to_date
    assert not (output / ".bertctl").exists()


def test_earlier_stage_is_opened_only_when_whole(corpus: Path, tmp_path: Path) -> None:
    output, seen = tmp_path / "out", tmp_path / "seen.json"
    with pytest.raises(BadInput, match="no such directory"):
        open_earlier(output, "toy")
    run_toy(corpus, output)
    with pytest.raises(BadInput, match="bertctl toy"):
        open_earlier(output, "vocab")
    earlier = open_earlier(output, "toy")
    earlier.verify(earlier.manifest.files, remembered=seen)
    remembered = json.loads(seen.read_text())
    assert len(remembered) == BUCKETS
    path = output / "bucket-1.txt"
    flipped = bytearray(path.read_bytes())
    flipped[3] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(BadInput, match=r"bucket-1\.txt is damaged"):
        open_earlier(output, "toy").verify(earlier.manifest.files, remembered=seen)
    (output / "manifest.json").unlink()
    with pytest.raises(BadInput, match="isn't finished"):
        open_earlier(output, "toy")


def _die_once(path: Path) -> str:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def _always_die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    tasks = [tmp_path / str(number) for number in range(7)]
    for each in tasks[1:]:
        each.touch()
    assert sorted(run_tasks(_die_once, tasks, workers=2)) == [each.name for each in tasks]


def test_workers_that_keep_dying_are_given_up_with_advice() -> None:
    with pytest.raises(WorkFailed, match="memory") as failure:
        list(run_tasks(_always_die, range(7), workers=2))
    assert "--workers" in failure.value.hint


def test_half_written_json_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    write_text = Path.write_text

    def killed_half_way(self: Path, text: str, **how: str) -> None:
        write_text(self, text[: len(text) // 2], **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", killed_half_way)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_unit_is_moved_into_place_once_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []
    replace, fsync = Path.replace, os.fsync

    def recorded_fsync(descriptor: int) -> None:
        events.append(("sync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def recorded_replace(self: Path, target: Path) -> Path:
        events.append(("move", self.stat().st_ino))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    written: list[int] = []

    def make(builder: UnitBuilder) -> dict[str, int]:
        for name in ("one.txt", "two.txt"):
            path = builder.path(name)
            path.write_text(name)
            written.append(path.stat().st_ino)
        return {}

    UnitStore(tmp_path).build("unit", "key", make)
    # The files themselves moved, no copies of them; before each move its content was on the disk,
    # and after it the directory; the record that makes them count came last.
    assert [(tmp_path / name).stat().st_ino for name in ("one.txt", "two.txt")] == written
    record = (tmp_path / ".bertctl" / "units" / "unit.json").stat().st_ino
    assert [inode for what, inode in events if what == "move"] == [*written, record]
    for inode in (*written, record):
        moved = events.index(("move", inode))
        assert events[moved - 1] == ("sync", inode)
        assert events[moved + 1][0] == "sync"


def test_user_s_files_survive_force_and_up_to_date_runs(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output, size=1)
    mine = [output / "work" / "mine.txt", output / "bucket-notes.md"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert run_toy(corpus, output, size=1).was_up_to_date
    run_toy(corpus, output, size=2, force=True)
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_force_goes_on_with_what_was_begun_by_the_same_recipe(corpus: Path, tmp_path: Path) -> None:
    killed, reporter = tmp_path / "killed", Recording()
    kill_when(
        [*TOY, str(corpus), str(killed), "1", "0.05"],
        lambda: len(committed_units(killed)) >= 3,
        signal.SIGKILL,
    )
    run_toy(corpus, killed, force=True, reporter=reporter)
    assert any("Continuing" in notice for notice in reporter.notices)


@pytest.mark.parametrize("lost", [None, "recipe.json"])
def test_force_that_is_stopped_at_any_step_is_gone_on_with_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str | None
) -> None:
    corpus, whole = tmp_path / "corpus", tmp_path / "whole"
    corpus.mkdir()
    (corpus / "only.txt").write_text("some words of several lengths")
    run_toy(corpus, whole, size=4)
    unlink, replace = Path.unlink, Path.replace
    left = step = 0

    def count(place: Path) -> None:
        nonlocal left
        if place.parent.name.startswith("out") and not place.name.startswith(".lock"):
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))

    def counted_unlink(self: Path, missing_ok: bool = False) -> None:
        count(self)
        unlink(self, missing_ok)

    def counted_replace(self: Path, target: Path) -> Path:
        count(target)
        return replace(self, target)

    while left <= 0:
        output = tmp_path / f"out-{step}"
        run_toy(corpus, output, size=3)
        if lost:
            (output / lost).unlink()
        left = step
        with monkeypatch.context() as patch, suppress(OSError):
            patch.setattr(Path, "unlink", counted_unlink)
            patch.setattr(Path, "replace", counted_replace)
            run_toy(corpus, output, size=4, force=True, makes_room=True)
        run_toy(corpus, output, size=4, force=True, makes_room=True)
        assert bytes_of(output) == bytes_of(whole)
        step += 1
    assert step > 2 * BUCKETS


def test_manifest_never_vouches_for_another_run(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output, size=1)
    (output / "recipe.json").unlink()
    with pytest.raises(TypeError):
        run_toy(corpus, output, size=2, force=True, delay="broken")  # type: ignore[arg-type]
    assert not (output / "manifest.json").exists()


def test_recipe_of_another_version_is_not_understood_and_not_overwritten(
    corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run_toy(corpus, output)
    for name in ("recipe.json", "manifest.json"):
        value = json.loads((output / name).read_text())
        (value if name == "recipe.json" else value["recipe"])["later"] = 1
        (output / name).write_text(json.dumps(value))
    with pytest.raises(OutputRefused, match="isn't ours"):
        run_toy(corpus, output, force=True)
