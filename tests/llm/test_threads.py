import subprocess
import sys
import time

import psutil
import pytest

from hyperprompt.llm.threads import Threads, cores, ours_or_idle


class Machine:
    """Clocks of a machine that are set by hand."""

    def __init__(self, cores: int) -> None:
        self.seconds, self.available = 0.0, 0.0
        self.threads = Threads(cores, lambda: self.available, lambda: self.seconds)

    def after(self, seconds: float, available: float) -> int:
        """Threads for a pass, once `seconds` have gone by of which so many cores were idle or ours."""
        self.seconds += seconds
        self.available += seconds * available
        return self.threads.next()


@pytest.mark.parametrize(
    ("available", "threads"), [(2.0, 2), (1.9, 2), (1.5, 1), (1.0, 1), (0.6, 1), (0.0, 1), (2.4, 2), (-0.5, 1)]
)
def test_a_pass_takes_the_cores_that_nobody_else_uses(available, threads):
    assert Machine(2).after(10, available) == threads


def test_only_the_last_interval_counts():
    machine = Machine(8)
    assert [machine.after(5, available) for available in (8, 1, 4.8, 8)] == [8, 1, 5, 8]


def test_what_is_too_short_to_be_measured_is_added_to_the_next_interval():
    machine = Machine(4)
    assert machine.after(3, 4) == 4
    assert machine.after(0.1, 0) == 4
    assert machine.after(0.9, 1) == 1


def test_work_of_this_process_and_of_its_children_is_ours():
    burn = "import time\nend = time.perf_counter() + 60\nwhile time.perf_counter() < end: pass"
    child = subprocess.Popen([sys.executable, "-c", burn])
    try:
        alone, start = psutil.Process(child.pid), time.process_time()
        before, taken = ours_or_idle(), sum(alone.cpu_times()[:2])
        while sum(alone.cpu_times()[:2]) < taken + 0.5:
            pass
        took = time.process_time() - start + 0.5
        # Idle seconds only add to it; a clock that ticks a hundred times a second may miss two ticks of each.
        assert ours_or_idle() - before >= took - 0.1
    finally:
        child.kill()
        child.wait()
    assert ours_or_idle() > 0


def test_a_quota_of_a_container_counts(tmp_path, monkeypatch):
    from hyperprompt.llm import threads

    monkeypatch.setattr(threads, "_affinity", lambda: set(range(64)))
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    assert cores() == 64
    for content, expected in (("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1), ("nonsense", 64)):
        (tmp_path / "cpu.max").write_text(content)
        assert cores() == expected
