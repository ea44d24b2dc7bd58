"""NetHack's map, bottom lines and message as one vector, cheap enough for one CPU core.

Four parts, each a linear layer over something gathered rather than convolved:
    crop      the 9 x 9 squares around the hero: an embedding per glyph plus one per appearance (the symbol a player sees),
              so that a rare monster is at least known by its letter
    map       how many walls, floors, doors, stairs, things, monsters ... lie in each of 7 x 5 directions and distances from
              the hero, over the whole level; counted, not learned, so it costs no backward pass
    blstats   the bottom lines, scaled; heavy tails logarithmic
    message   a bag of hashed character trigrams
"""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn import functional

from hyperprompt.agents.encoders.nethack_glyphs import KINDS, NOTHING, appearances, kinds
from hyperprompt.errors import InvalidValue

HEIGHT, WIDTH = 21, 79
STATS = 27
CROP = 9
GLYPH_SIZE = 16
MESSAGE_LENGTH = 80
"""Characters of the message that are read: one line of a terminal."""
TRIGRAMS = 2048
_COLUMN_EDGES = (-16, -8, -4, 5, 9, 17)
_ROW_EDGES = (-8, -4, 5, 9)
"""Offsets from the hero at which the bins of the map begin: the middle one is the crop's extent."""


class NetHackEncoder(BaseFeaturesExtractor):
    """Observations of `nethack/...` -> (batch, features_dim) features.

    Takes what SB3 hands over: `glyphs` (B, 21, 79), `blstats` (B, 27), `message` (B, 256), cast to float32. Other entries of
    the observation are ignored. Needs NLE, for what the glyphs look like.

    Raises InvalidValue for a space without these three, MissingDependency without NLE.
    """

    looks: Tensor
    kind: Tensor
    crop_rows: Tensor
    crop_columns: Tensor
    row_bin: Tensor
    column_bin: Tensor

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 256) -> None:
        shapes = {"glyphs": (HEIGHT, WIDTH), "blstats": (STATS,), "message": (256,)}
        parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
        if any(key not in parts or parts[key].shape != shape for key, shape in shapes.items()):
            raise InvalidValue(f"the NetHack encoder needs a dict with the shapes {shapes}, got {observation_space}")
        super().__init__(observation_space, features_dim)
        looks, kind = torch.tensor(appearances()), torch.tensor(kinds())
        self._outside = len(looks)  # the glyph of squares that are not on the map
        looks = torch.cat([looks, looks.max()[None] + 1])
        self._stone = kinds().index(NOTHING)
        self._buffer("looks", looks)
        self._buffer("kind", kind)
        offsets = torch.arange(CROP) - CROP // 2
        self._buffer("crop_rows", offsets.repeat_interleave(CROP))  # (81,)
        self._buffer("crop_columns", offsets.repeat(CROP))
        rows, columns = torch.arange(1 - HEIGHT, HEIGHT), torch.arange(1 - WIDTH, WIDTH)
        n_rows, n_columns = len(_ROW_EDGES) + 1, len(_COLUMN_EDGES) + 1
        self._buffer("row_bin", torch.bucketize(rows, torch.tensor(_ROW_EDGES), right=True) * n_columns * KINDS)
        self._buffer("column_bin", torch.bucketize(columns, torch.tensor(_COLUMN_EDGES), right=True) * KINDS)
        self._bins = n_rows * n_columns * KINDS

        self.glyph = nn.Embedding(len(looks), GLYPH_SIZE)
        self.look = nn.Embedding(int(looks.max()) + 1, GLYPH_SIZE)
        nn.init.normal_(self.glyph.weight, std=0.1)
        nn.init.normal_(self.look.weight, std=0.5)
        self.crop = nn.Linear(CROP * CROP * GLYPH_SIZE, 256)
        self.map = nn.Linear(self._bins, 64)
        self.stats = nn.Linear(scaled_stats(torch.zeros(1, STATS)).shape[1], 64)
        self.message = nn.EmbeddingBag(TRIGRAMS, 32, mode="sum", padding_idx=0)
        nn.init.normal_(self.message.weight, std=0.2)
        self.mix = nn.Sequential(nn.ReLU(), nn.Linear(256 + 64 + 64 + 32, features_dim), nn.ReLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        glyphs = observations["glyphs"].flatten(1)  # (B, 1659)
        stats = observations["blstats"]
        column, row = stats[:, 0].long(), stats[:, 1].long()
        seen = torch.cat(
            [
                self.crop(self._embed(self._around(glyphs, row, column))),
                self.map(self._count(glyphs, row, column)),
                self.stats(scaled_stats(stats)),
                self.message(trigrams(observations["message"])),
            ],
            dim=1,
        )
        features: Tensor = self.mix(seen)
        return features

    def _around(self, glyphs: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The glyphs (B, 81) of the squares around (row, column), each (B,)."""
        rows, columns = row[:, None] + self.crop_rows, column[:, None] + self.crop_columns
        inside = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
        index = rows.clamp(0, HEIGHT - 1) * WIDTH + columns.clamp(0, WIDTH - 1)
        return torch.where(inside, glyphs.gather(1, index).long(), self._outside)

    def _embed(self, glyphs: Tensor) -> Tensor:
        """(B, 81) glyphs -> (B, 81 * GLYPH_SIZE). Adding the two tables first gathers once per square instead of twice."""
        table = self.glyph.weight + self.look(self.looks)
        return functional.embedding(glyphs, table).flatten(1)

    @torch.no_grad()
    def _count(self, glyphs: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Logarithm of how many squares of each kind lie in each bin around (row, column): (B, bins * KINDS).

        Only the squares that have been seen are looked at, some 150 of 1,659.
        """
        game, square = (glyphs != self._stone).nonzero(as_tuple=True)  # both (squares seen,)
        row_bin = self.row_bin[square // WIDTH - row[game] + HEIGHT - 1]
        column_bin = self.column_bin[square % WIDTH - column[game] + WIDTH - 1]
        index = game * self._bins + row_bin + column_bin + self.kind[glyphs[game, square].long()]
        counts = torch.bincount(index, minlength=len(glyphs) * self._bins).view(len(glyphs), self._bins)
        return counts.float().log1p_().mul_(0.5)

    def _buffer(self, name: str, values: Tensor) -> None:
        """A table that follows the module to its device and is not saved: it is made anew with every encoder."""
        self.register_buffer(name, values, persistent=False)


def scaled_stats(stats: Tensor) -> Tensor:
    """`blstats` (B, 27) -> (B, 51) of about unit size. Indices: `nle.nethack.NLE_BL_*`."""
    health, most_health = stats[:, 10:11], stats[:, 11:12].clamp(min=1)
    energy, most_energy = stats[:, 14:15], stats[:, 15:16].clamp(min=1)
    linear = torch.cat(
        [
            (stats[:, 0:1] - 40) / 20,  # column
            (stats[:, 1:2] - 10) / 5,  # row
            (stats[:, 2:9] - 12) / 5,  # strength (twice), dexterity, constitution, intelligence, wisdom, charisma
            health / most_health,
            energy / most_energy,
            stats[:, 12:13] / 10,  # depth
            stats[:, 16:17] / 10,  # armour class
            stats[:, 18:19] / 10,  # experience level
            stats[:, 23:24] / 5,  # number of the dungeon
            stats[:, 24:25] / 10,  # level in it
            stats[:, 26:27],  # alignment, -1 .. 1
        ],
        dim=1,
    ).clamp(-5, 5)
    # score, health, most health, gold, energy, most energy, monster level, experience, time
    heavy = stats[:, (9, 10, 11, 13, 14, 15, 17, 19, 20)].clamp(min=0).log1p() / 4
    hunger = functional.one_hot(stats[:, 21].long().clamp(0, 6), 7)
    burden = functional.one_hot(stats[:, 22].long().clamp(0, 4), 5)
    bits = torch.arange(13, device=stats.device)
    conditions = (stats[:, 25:26].long() >> bits) & 1  # stoned, slimed, strangled, ..., blind, deaf, confused, ...
    return torch.cat([linear, heavy, hunger.float(), burden.float(), conditions.float()], dim=1)


def trigrams(message: Tensor) -> Tensor:
    """Characters (B, 256) -> buckets (B, MESSAGE_LENGTH - 2) in 1..TRIGRAMS - 1, 0 where the message has ended."""
    text = message[:, :MESSAGE_LENGTH].long()
    first, second, third = text[:, :-2], text[:, 1:-1], text[:, 2:]
    buckets = (first * 961 + second * 31 + third) % (TRIGRAMS - 1) + 1
    return torch.where(third > 0, buckets, 0)
