"""Every error HyperPrompt raises on purpose: one root, one message that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HyperPromptError(Exception):
    """Root of the project's errors. The command line prints its message and exits with code 2."""


class InvalidValue(HyperPromptError, ValueError):
    """A value is malformed, out of range or contradicts another one."""


class UnknownName(HyperPromptError, LookupError):
    """A name is not registered. The message lists the valid names and the closest match."""

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Valid: {', '.join(names) or '(none)'}.")


def install_command(extra: str) -> str:
    """What a user runs to get an extra."""
    return f"pip install 'hyperprompt[{extra}]'"


class MissingDependency(HyperPromptError, ImportError):
    """An optional package is not installed. The message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed: {install_command(extra)}")


class RunFolderError(HyperPromptError, OSError):
    """A run folder cannot be written, is not a run folder, or is damaged; the message names the file."""


class DatasetError(HyperPromptError, ValueError):
    """A dataset of decisions is damaged, incomplete or of another version; the message names the file."""


class ModelUnavailable(HyperPromptError, OSError):
    """The weights of a language model can be found neither locally nor at the hub."""
