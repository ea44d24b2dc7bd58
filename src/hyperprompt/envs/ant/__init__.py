"""The family `ant`: Gymnasium's Ant-v5, and bodies drawn from a distribution around it.

ant/default                    Ant-v5 itself, from EnvPool or Gymnasium
ant/train-0, ant/train-1, ...  bodies of a split; likewise validation, test and extrapolation
ant/custom                     a body of your own: the options are the fields of `Morphology`
"""

from hyperprompt.envs.ant.body import mjcf
from hyperprompt.envs.ant.family import describe, exists, list_envs, make
from hyperprompt.envs.ant.morphology import Morphology, sample

__all__ = ["Morphology", "describe", "exists", "list_envs", "make", "mjcf", "sample"]
