"""Memory that was needed once is given back."""

import subprocess
import sys
from pathlib import Path

import pytest

ALLOCATE = """
import sys, threading
from exporter.engine.memory import return_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def use():
    for _ in range(3):
        b"x" * (16 * 2**20)
    used.wait()
    over.wait()

if sys.argv[1] == "returned":
    return_large_blocks()
used, over = threading.Barrier(5), threading.Barrier(5)
before = resident()
for _ in range(4):
    threading.Thread(target=use).start()
used.wait()
print(resident() - before)
over.wait()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells the memory of a process")
def test_a_large_block_is_given_back_by_each_thread_that_used_one():
    """By default each thread keeps one for its next."""
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", ALLOCATE, how], capture_output=True, check=True).stdout)
        for how in ("kept", "returned")
    )
    assert returned < 8 * 2**20 <= 32 * 2**20 < kept
