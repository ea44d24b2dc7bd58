"""A morphology as a MuJoCo model (MJCF). With the default numbers the dynamics are those of Gymnasium's ant.xml."""

from __future__ import annotations

import math

from hyperprompt.envs.ant.morphology import Morphology

_HEAD = """\
<mujoco model="ant">
  <compiler angle="degree" inertiafromgeom="true"/>
  <option integrator="RK4" timestep="0.01">
    <flag autoreset="disable"/>
  </option>
  <visual>
    <global offwidth="640" offheight="480"/>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.6 0.6 0.6"/>
  </visual>
  <default>
    <joint armature="1" damping="1" limited="true"/>
    <geom conaffinity="0" condim="3" friction="1 0.5 0.5" margin="0.01" rgba="{colour}"/>
    <motor ctrllimited="true" ctrlrange="-1 1" gear="{gear}"/>
  </default>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="1 1 1" rgb2="0.75 0.82 0.9" width="64" height="64"/>
    <texture name="tiles" type="2d" builtin="checker" rgb1="0.86 0.88 0.9" rgb2="0.78 0.8 0.83" width="64" height="64"/>
    <material name="tiles" texture="tiles" texrepeat="40 40"/>
  </asset>
  <worldbody>
    <light directional="true" dir="0.3 0.4 -1" diffuse="0.5 0.5 0.5"/>
    <geom name="floor" type="plane" size="40 40 40" conaffinity="1" rgba="1 1 1 1" material="tiles"/>
    <body name="torso" pos="0 0 {height}">
      <joint name="root" type="free" armature="0" damping="0" limited="false" margin="0.01"/>
      <geom name="torso" type="sphere" size="{radius}" density="{density}"/>
"""

_LEG = """\
      <body name="coxa_{i}">
        <geom type="capsule" fromto="0 0 0 {coxa}" size="{thickness}" density="{density}"/>
        <body name="thigh_{i}" pos="{coxa}">
          <joint name="hip_{i}" type="hinge" axis="0 0 1" range="{hip}"/>
          <geom type="capsule" fromto="0 0 0 {thigh}" size="{thickness}" density="{density}"/>
          <body name="shank_{i}" pos="{thigh}">
            <joint name="ankle_{i}" type="hinge" axis="{axis}" range="{ankle}"/>
            <geom name="foot_{i}" type="capsule" fromto="0 0 0 {shank}" size="{thickness}" density="{density}"/>
          </body>
        </body>
      </body>
"""

COLOUR = "0.80 0.56 0.36 1"


def mjcf(morphology: Morphology) -> str:
    """The body on a plane. Leg i = 1..n points to the angle (2 i - 1) pi / n from straight ahead (+x), counterclockwise.

    Joints come leg by leg, hip before ankle. The motors begin with the last leg, as Ant-v5's do, then follow legs 1, 2, ...
    Ankles behind the middle turn the other way round (so do Ant-v5's): there a negative angle points down.

    A simulation that diverges stays that way, for the environment to see, where MuJoCo would silently begin anew.
    """
    m = morphology
    head = _HEAD.format(
        gear=_numbers(m.gear),
        height=_numbers(m.initial_height),
        radius=_numbers(m.torso_radius),
        density=_numbers(m.torso_density),
        colour=COLOUR,
    )
    legs = "".join(_leg(m, i) for i in range(1, m.legs + 1))
    order = [m.legs, *range(1, m.legs)]
    motors = "".join(f'    <motor joint="{joint}_{i}"/>\n' for i in order for joint in ("hip", "ankle"))
    return f"{head}{legs}    </body>\n  </worldbody>\n  <actuator>\n{motors}  </actuator>\n</mujoco>\n"


def _leg(m: Morphology, i: int) -> str:
    angle = (2 * i - 1) * math.pi / m.legs
    x, y = round(math.cos(angle), 15), round(math.sin(angle), 15)
    ahead = 1 if x >= 0 else -1
    low, high = m.ankle_range if ahead > 0 else (-m.ankle_range[1], -m.ankle_range[0])
    return _LEG.format(
        i=i,
        coxa=_numbers(m.coxa * x, m.coxa * y, 0),
        thigh=_numbers(m.thigh * x, m.thigh * y, 0),
        shank=_numbers(m.shank * x, m.shank * y, 0),
        axis=_numbers(-ahead * y, ahead * x, 0),
        hip=_numbers(*m.hip_range),
        ankle=_numbers(low, high),
        thickness=_numbers(m.thickness),
        density=_numbers(m.leg_density),
    )


def _numbers(*values: float) -> str:
    """As MJCF writes them. Twelve digits, so that the default lengths come out as Ant-v5's: 0.2, not 0.2 + 3e-17."""
    return " ".join(f"{round(value, 12):.12g}" for value in values)
