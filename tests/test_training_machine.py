import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
import torch
from bertctl.pipeline.training.machine import set_up
from bertctl.pipeline.training.settings import NumericsSettings

if sys.argv[1] == "set up":
    set_up(NumericsSettings(device="cpu", threads=1), longest=8)
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(7):
        torch.ones(12_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Count the pages asked of the kernel by seven tensors of 48 MB, one after another."""
    command = [sys.executable, "-c", COUNT_FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc only")
def test_memory_of_a_step_is_kept_for_the_next() -> None:
    pages = 7 * 48_000_000 // (2 << 20)  # at least so many, of the largest size there is
    assert faults("nothing") >= pages
    assert faults("set up") < pages // 10
