"""Reads rows back: text to codes, and codes to numbers. The exact inverse of `layout.assemble`."""

from __future__ import annotations

from hyperprompt.errors import InvalidValue
from hyperprompt.prompt import numbers
from hyperprompt.prompt.layout import Layout


def codes(text: str, layout: Layout) -> dict[str, str]:
    """The codes of one row by field key, such that `assemble(layout, codes(row.text, layout)) == row`.

    Raises:
        InvalidValue: the text is not a row of this layout; the message names the field and the character.
    """
    at = 0
    found: dict[str, str] = {}
    for f in layout.fields:
        if not text.startswith(f.literal, at):
            raise InvalidValue(f"{f.key}: expected {f.literal!r} at character {at}, not {text[at : at + len(f.literal)]!r}")
        at += len(f.literal)
        code = text[at : at + f.width]
        try:
            _check(code, f.kind, f.width)
        except InvalidValue as error:
            raise InvalidValue(f"{f.key}, at character {at}: {error}") from None
        found[f.key] = code
        at += f.width
    if at != len(text):
        raise InvalidValue(f"{len(text) - at} characters after the end of the row: {text[at : at + 20]!r}")
    return found


def split(text: str, layout: Layout) -> list[dict[str, str]]:
    """The codes of every row of a text of rows only (no head): all rows of a layout have the same length.

    Raises:
        InvalidValue: the text does not divide into rows of this layout.
    """
    length = sum(len(f.literal) + f.width for f in layout.fields)
    if len(text) % length:
        raise InvalidValue(f"{len(text)} characters do not divide into rows of {length}")
    return [codes(text[at : at + length], layout) for at in range(0, len(text), length)]


def values(codes: dict[str, str], layout: Layout) -> dict[str, float]:
    """The numbers the codes stand for, NaN where NA: positions in [0, 1], changes in [-1, 1], steps in units of a scale,
    signals with a fixed scale as the signal itself; transitions are left out.
    """
    read: dict[str, float] = {}
    for f in layout.fields:
        code = codes[f.key]
        if f.kind in ("step", "slot"):
            read[f.key] = numbers.decode_step(code)
        elif f.kind == "change":
            read[f.key] = numbers.decode_change(code)
        elif f.kind != "transition":
            scale = numbers.FIXED.get({"best": "return_best", "length": "episode_length"}.get(f.kind, f.name))
            position = numbers.decode_position(code)
            read[f.key] = scale.value(position) if scale else position
    return read


def _check(code: str, kind: str, width: int) -> None:
    if len(code) != width:
        raise InvalidValue("the text ends within the field")
    if kind == "transition":
        for digit in code:
            numbers.decode_digit(digit)
    elif kind in ("step", "slot"):
        numbers.decode_step(code)
    else:
        numbers.decode_position(code)
