"""`python -m benchmarks [NAME...]`: every benchmark, or the named ones, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    chosen = sys.argv[1:] or NAMES
    if {"-h", "--help"} & set(chosen):
        print(f"{__doc__}\nBenchmarks: {', '.join(NAMES)}.")
        return 0
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"error: unknown benchmark {unknown[0]!r}. Valid: {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    failed = 0
    for name in chosen:
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"]).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
