"""The residual convolutional network of IMPALA, as Procgen's published agents use it."""

from __future__ import annotations

from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn import functional


class ImpalaCNN(BaseFeaturesExtractor):
    """(batch, channels, height, width) images, scaled to [0, 1] -> (batch, features_dim).

    One block of convolution, pooling and two residual units per entry of `depths`. Source: Espeholt et al. 2018, IMPALA,
    figure 3 (large network without the LSTM); depths and width of Cobbe et al. 2020.
    """

    def __init__(self, observation_space: spaces.Box, features_dim: int = 256, depths: tuple[int, ...] = (16, 32, 32)) -> None:
        super().__init__(observation_space, features_dim)
        channels, height, width = observation_space.shape
        blocks: list[nn.Module] = []
        for depth in depths:
            blocks += [
                nn.Conv2d(channels, depth, 3, padding=1),
                nn.MaxPool2d(3, stride=2, padding=1),
                Residual(depth),
                Residual(depth),
            ]
            channels, height, width = depth, (height + 1) // 2, (width + 1) // 2
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels * height * width, features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        features: Tensor = functional.relu(self.head(functional.relu(self.blocks(observations)).flatten(1)))
        return features


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), same shape."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(depth, depth, 3, padding=1)
        self.second = nn.Conv2d(depth, depth, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(functional.relu(self.first(functional.relu(x))))
        return x + change
