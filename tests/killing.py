"""Kill a real process in the midst of its work: the harness that every stage's kill tests use."""

import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def committed_units(output: Path) -> set[str]:
    return {path.stem for path in (output / ".bertctl" / "units").glob("*.json")}


def kill_when(
    command: Sequence[str], reached: Callable[[], bool], by: signal.Signals, *, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Start `command`, send it `by` as soon as `reached()`, and wait for its end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + seconds
    while not reached():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"it ended before it could be killed:\n{out}\n{err}")
        time.sleep(0.002)
    process.send_signal(by)
    out, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def bytes_of(output: Path) -> dict[str, str]:
    """Return the digest of every file that the manifest of `output` lists, from the bytes."""
    files = json.loads((output / "manifest.json").read_text())["files"]
    digests = {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in sorted(files)
    }
    assert digests == {name: files[name]["sha256"] for name in sorted(files)}
    return digests
