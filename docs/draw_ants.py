"""Draws twelve bodies of the family `ant`, three of each split, off-screen: `MUJOCO_GL=osmesa python docs/draw_ants.py`."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "osmesa")

import matplotlib.pyplot as plt
import mujoco

from hyperprompt.envs.ant import mjcf, sample
from hyperprompt.envs.ant.morphology import SPLITS

SIDE = 320


def main() -> None:
    figure, axes = plt.subplots(len(SPLITS), 3, figsize=(7.5, 10))
    for row, split in zip(axes, SPLITS, strict=True):
        for k, cell in enumerate(row):
            body = sample(split, k)
            model = mujoco.MjModel.from_xml_string(mjcf(body))
            data = mujoco.MjData(model)
            mujoco.mj_step(model, data, nstep=100)
            camera = mujoco.MjvCamera()
            camera.lookat[:] = data.qpos[:3]
            camera.distance, camera.elevation, camera.azimuth = 4.2, -35, 60
            with mujoco.Renderer(model, SIDE, SIDE) as renderer:
                renderer.update_scene(data, camera)
                cell.imshow(renderer.render())
            cell.set_title(f"ant/{split}-{k}: {body.legs} legs", fontsize=8)
            cell.axis("off")
    figure.tight_layout()
    figure.savefig(Path(__file__).with_name("ants.png"), dpi=90)


if __name__ == "__main__":
    main()
