"""What a process that trains does first: the memory of a batch is there for the next one."""

import subprocess
import sys

import pytest

BATCHES = """
import ctypes, resource, sys
import numpy as np
from hyperprompt.pipeline import process

process.prepare()
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit("no mallopt")
for batch in range(6):
    if batch == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    first, second = np.ones(20_000_000), np.ones(40_000_000)  # 160 and 320 MB
    del first, second
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_batch_faults_nothing_in_that_the_one_before_it_held() -> None:
    child = subprocess.run([sys.executable, "-c", BATCHES], capture_output=True, text=True, check=False)
    if "no mallopt" in child.stderr:
        pytest.skip("not glibc")
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 1_000  # pages; five batches are 600,000 pages of 4 KiB
