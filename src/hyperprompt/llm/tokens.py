"""Atoms to token ids: a literal string as a unit, a single digit or "-" as exactly one token, never a whole text.

Encoding a whole text would merge across the seams ("=3", " 37"), and the slots would not be where they are looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyperprompt.errors import ModelUnavailable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHARACTERS = "0123456789-"
"""The single-character atoms."""
ACTIONS = 7
"""K, the digits 0..6 a slot can hold."""


@dataclass(frozen=True)
class Tokens:
    """A piece of a transcript as token ids, and the positions among them that are slots."""

    ids: tuple[int, ...]
    slots: tuple[int, ...] = ()


class Encoder:
    """Encodes atoms with a memo.

    Raises:
        ModelUnavailable: a tokenizer in which a digit or "-" is not one token of its own.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._memo: dict[str, tuple[int, ...]] = {}
        for character in CHARACTERS:
            # Looked up in the vocabulary: some tokenizers put a space in front of whatever they encode.
            token = tokenizer.token_to_id(character)
            if token is None:
                raise ModelUnavailable(f"this model's tokenizer has no token for {character!r} alone, which a row needs")
            self._memo[character] = (int(token),)
        self.digits = tuple(self._memo[str(d)][0] for d in range(ACTIONS))
        """Token ids of the K digits a slot can hold."""
        assert len({ids[0] for ids in self._memo.values()}) == len(CHARACTERS)

    def atom(self, atom: str) -> tuple[int, ...]:
        """Token ids of one atom."""
        ids = self._memo.get(atom)
        if ids is None:
            ids = tuple(self._tokenizer.encode(atom, add_special_tokens=False).ids)
            self._memo[atom] = ids
        return ids

    def encode(self, atoms: Sequence[str], slots: Sequence[int] = ()) -> Tokens:
        """Token ids of a sequence of atoms, and where the atoms numbered `slots` have come to stand."""
        wanted = set(slots)
        ids: list[int] = []
        at: list[int] = []
        for index, atom in enumerate(atoms):
            if index in wanted:
                assert atom in CHARACTERS, f"slot {index} holds {atom!r}, which is not one character"
                at.append(len(ids))
            ids.extend(self.atom(atom))
        return Tokens(tuple(ids), tuple(at))
