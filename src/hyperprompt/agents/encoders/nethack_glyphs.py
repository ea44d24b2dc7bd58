"""What NetHack's 5,976 glyphs look like and what they mean, asked of NLE's own tables."""

from __future__ import annotations

from functools import cache
from typing import Any

from hyperprompt.errors import MissingDependency

NOTHING, WALL, FLOOR, DOOR, DOWN, UP, FEATURE, TRAP, THING, MONSTER, PET = range(11)
KINDS = 11
"""Kinds of squares that the whole-map counts tell apart."""
# Map symbols (defsym of NetHack 3.6) by index, where they are no other feature: fountains, altars, water ...
_MAP_KINDS = {0: NOTHING, **dict.fromkeys(range(1, 12), WALL), **dict.fromkeys(range(12, 17), DOOR), 17: WALL}
_MAP_KINDS |= {**dict.fromkeys(range(19, 23), FLOOR), 23: UP, 24: DOWN, 25: UP, 26: DOWN}
_MAP_KINDS |= dict.fromkeys(range(42, 65), TRAP)


@cache
def kinds() -> tuple[int, ...]:
    """glyph -> NOTHING, WALL, ..., PET. Raises MissingDependency without NLE."""
    n = _nle()
    found = [THING] * n.MAX_GLYPH  # what remains: objects, bodies, statues
    for glyph in range(n.MAX_GLYPH):
        if n.glyph_is_pet(glyph):
            found[glyph] = PET
        elif n.glyph_is_monster(glyph) or n.glyph_is_invisible(glyph) or n.glyph_is_warning(glyph):
            found[glyph] = MONSTER
        elif n.glyph_is_cmap(glyph) or n.glyph_is_swallow(glyph):  # explosions and rays among them
            found[glyph] = _MAP_KINDS.get(glyph - n.GLYPH_CMAP_OFF, FEATURE)
    return tuple(found)


@cache
def appearances() -> tuple[int, ...]:
    """glyph -> a number shared by glyphs that a player sees as one symbol of one kind (all dogs, all potions, every corpse).

    0 .. about 200, without gaps. Raises MissingDependency without NLE.
    """
    n = _nle()
    kind = kinds()
    looks: list[tuple[str, int]] = []
    for glyph in range(n.MAX_GLYPH):
        if n.glyph_is_body(glyph):
            looks.append(("body", 0))
        elif n.glyph_is_statue(glyph):
            looks.append(("statue", 0))
        elif n.glyph_is_monster(glyph):  # normal, pet, detected or ridden: letter, and whether it is one's own
            looks.append(("pet" if kind[glyph] == PET else "monster", ord(n.permonst(n.glyph_to_mon(glyph)).mlet)))
        elif n.glyph_is_normal_object(glyph):
            looks.append(("object", ord(n.objclass(n.glyph_to_obj(glyph)).oc_class)))
        elif n.GLYPH_CMAP_OFF <= glyph < n.GLYPH_EXPLODE_OFF:
            looks.append(("map", glyph))
        else:  # explosions, rays, being swallowed, warnings, remembered invisible monsters
            looks.append(("effect", kind[glyph]))
    number = {look: i for i, look in enumerate(dict.fromkeys(looks))}
    return tuple(number[look] for look in looks)


def _nle() -> Any:
    try:
        from nle import nethack
    except ImportError as error:
        raise MissingDependency("the NetHack encoder", "nethack") from error
    return nethack
