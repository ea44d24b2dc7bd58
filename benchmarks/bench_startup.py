"""Seconds to import the package and to print the help, in fresh processes: the median of five."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "import hyperprompt": ["-c", "import hyperprompt"],
    "hyperprompt --help": ["-m", "hyperprompt", "--help"],
}
BARS = {"import hyperprompt": 0.5, "hyperprompt --help": 0.7}


def run(repeats: int = 5) -> dict[str, float]:
    """Seconds by command."""
    return {name: statistics.median(_seconds(arguments) for _ in range(repeats)) for name, arguments in COMMANDS.items()}


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    for name, seconds in run().items():
        print(f"{name:28} {seconds:6.2f} s" + (f"  (bar: {BARS[name]} s)" if name in BARS else ""))


if __name__ == "__main__":
    main()
