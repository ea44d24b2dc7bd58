"""Qt 5 for EnvPool's Procgen, which draws with it: the system's libraries, else those of the wheel PyQt5-Qt5 (no root).

The dynamic loader takes a library that the process already holds under the same name. So the wheel's libraries are loaded
first, by path, and EnvPool's extension then finds them; what they need of each other (ICU) lies beside them, and they say
so themselves. An `import envpool` from before, which then failed quietly on Procgen alone, is repeated for that module.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from hyperprompt.errors import MissingDependency, install_command

CORE, GUI = "libQt5Core.so.5", "libQt5Gui.so.5"
WHEEL = install_command("procgen")
SYSTEM = "apt-get install libqt5gui5"
WHEEL_NEEDS = "apt-get install libgl1 libglib2.0-0"
"""What the wheel leaves to the system and a bare Debian lacks: libGL.so.1, libglib-2.0.so.0 and libgthread-2.0.so.0."""


class MissingQt(MissingDependency):
    """The Qt 5 libraries cannot be loaded."""

    def __init__(self, message: str) -> None:
        ImportError.__init__(self, message)


def load(name: str) -> None:
    """Makes EnvPool's Procgen importable in this process, whether or not EnvPool has been imported before.

    Raises MissingQt, naming the task and both remedies.
    """
    if not sys.platform.startswith("linux"):
        return
    reason = _load_libraries()
    if reason:
        raise MissingQt(f"{name!r} needs the Qt 5 libraries, and {reason}")
    module = sys.modules.get("envpool.procgen")
    if module is not None and not _complete(module):
        importlib.reload(module)


def remedy() -> str:
    """The command that installs what is missing; "" where Procgen runs. Loads the libraries to know."""
    if not sys.platform.startswith("linux"):
        return ""
    reason = _load_libraries()
    return "" if not reason else WHEEL if wheel_folder() is None else WHEEL_NEEDS


def wheel_folder() -> Path | None:
    """Where PyQt5-Qt5 keeps its libraries, if it is installed."""
    spec = find_spec("PyQt5")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location) / "Qt5" / "lib"
        if (folder / GUI).exists():
            return folder
    return None


def _complete(module: ModuleType) -> bool:
    """Whether EnvPool's Procgen was imported with its extension."""
    try:
        return hasattr(module, "ProcgenEnvSpec")
    except ImportError:  # what the module raises where the extension found no Qt
        return False


@cache
def _load_libraries() -> str:
    """Loads both libraries. Returns "", or why it cannot be and what to do."""
    try:
        ctypes.CDLL(GUI)  # brings the system's Core
        return ""
    except OSError:
        folder = wheel_folder()
    if folder is None:
        return f"neither the system nor pip has them: {WHEEL}, or as root {SYSTEM}"
    try:
        for library in (CORE, GUI):
            ctypes.CDLL(str(folder / library), ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"those of the wheel PyQt5-Qt5 cannot be loaded ({error}): as root {WHEEL_NEEDS}, or {SYSTEM}"
    return ""
