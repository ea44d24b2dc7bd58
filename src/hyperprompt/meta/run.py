"""One run of the meta-MDP: turns an agent's signals into meta-states, and meta-actions into values the agent is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from hyperprompt.controllers.guard import constrain
from hyperprompt.core import Agent, Decision, Interval, MetaAction, MetaState, Signals, Task
from hyperprompt.hyperparameters import HyperparameterSpace


class MetaRun:
    """The bookkeeping of one run: latent theta, the intervals so far, and the transition s_meta_t -> s_meta_{t+1}.

    Args:
        agent: the inner RL learner.
        task: what the head of the transcript says about it.
        space: the hyperparameters under control, as `meta.arguments.tuned_space` builds them.
        name: tells runs apart that one controller decides together.
        first_step: environment steps the model had behind it before this run.
        enforce: names whose first value is brought within the bounds at once, since the user gave them.
    """

    def __init__(
        self,
        agent: Agent,
        task: Task,
        space: HyperparameterSpace,
        name: str = "run",
        first_step: int = 0,
        enforce: Collection[str] = (),
    ) -> None:
        self.agent = agent
        self.task = task
        self.name = name
        current = agent.get()
        agent.set({n: space[n].clip(current[n]) for n in enforce if space[n].clip(current[n]) != current[n]})
        self.space = space.starting_at(agent.get())
        self.first_step = first_step
        self.intervals: list[Interval] = []
        self._latent: dict[str, float] = {}
        self._delta: dict[str, float] = {}

    def extend(self, total_steps: int) -> None:
        """A new budget T for a run that goes on."""
        self.task = replace(self.task, total_steps=total_steps)

    def theta(self) -> dict[str, float]:
        """Values in force, with the latent fraction of integers. What others changed meanwhile is read from the agent."""
        current = self.agent.get()
        return {h.name: self._reconciled(h.name, current[h.name]) for h in self.space}

    def _reconciled(self, name: str, current: float) -> float:
        latent = self._latent.get(name)
        return latent if latent is not None and self.space[name].value(latent) == current else current

    def observe(self, step: int, signals: Signals) -> Interval:
        """Closes the interval that ends at environment step `step`."""
        interval = Interval(len(self.intervals), step, self.theta(), dict(self._delta), signals)
        self.intervals.append(interval)
        return interval

    def state(self, step: int) -> MetaState:
        """s_meta_t, for the controller to answer."""
        return MetaState(self.name, self.task, self.space, step, self.theta(), tuple(self.intervals), self.first_step)

    def apply(self, state: MetaState, answer: MetaAction | Exception, controller: str, seconds: float) -> Decision:
        """Puts the guarded answer in force and returns the journal's line. Values that do not change are not touched."""
        before = dict(state.theta)
        verdict = constrain(self.space, before, answer)
        changed = {
            h.name: h.value(verdict.theta[h.name])
            for h in self.space
            if h.value(verdict.theta[h.name]) != h.value(before[h.name])
        }
        if changed:
            self.agent.set(changed)
        self._latent = dict(verdict.theta)
        self._delta = {h.name: _step(h.name, self.space, before, verdict.theta) for h in self.space}
        return Decision(
            index=state.index,
            step=state.step,
            controller=controller,
            theta_before=self.space.values(before),
            theta_after=self.space.values(verdict.theta),
            delta=verdict.action.delta,
            probabilities=verdict.action.probabilities,
            status=verdict.status,
            reason=verdict.reason,
            seconds=seconds,
            prompt_sha256=verdict.action.prompt_sha256,
        )

    def to_dict(self, step: int) -> dict[str, Any]:
        """Everything a resumed run needs, as plain JSON values."""
        return {"meta_state": self.state(step).to_dict(), "latent": self._latent, "delta": self._delta}

    def load(self, data: Mapping[str, Any]) -> None:
        """Inverse of `to_dict`; puts the stored theta in force."""
        state = MetaState.from_dict(data["meta_state"])
        self.space, self.intervals, self.first_step = state.space, list(state.intervals), state.first_step
        self._latent, self._delta = dict(data["latent"]), dict(data["delta"])
        values, current = state.space.values(state.theta), self.agent.get()
        self.agent.set({name: value for name, value in values.items() if value != current[name]})


def _step(name: str, space: HyperparameterSpace, before: Mapping[str, float], after: Mapping[str, float]) -> float:
    return 0.0 if before[name] == after[name] else space[name].delta(before[name], after[name])
