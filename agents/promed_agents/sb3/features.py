"""What the network makes of a `FindingsMenu`'s arrays before it chooses: a score for the condition in each option slot.

The same condition may stand in any slot. A plain network has to learn each condition once a slot, and from its own wins
and losses only it hardly does; here one judge scores all conditions, whichever slot they are in. The judge learns, or
has the knowledge base built in, so that only the asking is learnt. In the policies of PPO the scores go straight to the
logits of the slots, as log-probabilities: whether to answer is up to the rest of the network, what to answer to the
judge. So a learning judge learns from answers only, and not from the noise of questions and of the critic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from promed_env.knowledge import AGE_BANDS, KnowledgeBase

__all__ = ["OptionScores", "SlotPolicy", "add_slot_scores", "pass_scores_through"]

_JUDGED = ("findings", "age", "sex", "complaint")


class OptionScores(BaseFeaturesExtractor):
    """All arrays flattened, then for each slot the probability of its condition, then the logarithm of that."""

    def __init__(
        self,
        observation_space: spaces.Dict,
        slots: int,
        knowledge: KnowledgeBase | None = None,
        width: int = 128,
    ) -> None:
        """Make the extractor.

        Args:
            observation_space: That of a `FindingsMenu`.
            slots: Option slots.
            knowledge: The judge scores by this knowledge base, exactly, and learns nothing; None for one that learns.
            width: Hidden width of the learning judge's nonlinear part.
        """
        sizes = {name: spaces.flatdim(space) for name, space in observation_space.spaces.items()}
        super().__init__(observation_space, sum(sizes.values()) + 2 * slots)
        self._slots, self._order = slots, sorted(sizes)
        self.register_buffer("_first_years", torch.tensor([float(first) for first, _ in AGE_BANDS[1:]]))
        judged = 2 * sizes["findings"] + len(AGE_BANDS) + sizes["sex"] + sizes["complaint"]
        conditions = sizes["options"] // slots
        self.judge: nn.Module
        if knowledge is None:
            self.judge = _LearningJudge(judged, conditions, width)
        else:
            self.judge = _KnowingJudge(knowledge)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features (n, features_dim)."""
        findings = observations["findings"]
        assert isinstance(self._first_years, Tensor)
        years = (observations["age"][:, 0] * AGE_BANDS[-1][1]).round()
        bands = torch.bucketize(years, self._first_years, right=True)
        seen = torch.cat(
            [
                findings.clamp(min=0),
                (-findings).clamp(min=0),
                nn.functional.one_hot(bands, len(AGE_BANDS)).to(findings.dtype),
                observations["sex"],
                observations["complaint"],
            ],
            dim=1,
        )
        options = observations["options"].reshape(len(seen), self._slots, -1)
        scores = torch.einsum("nsc,nc->ns", options, self.judge(seen)).log_softmax(dim=1)
        return torch.cat([*(observations[name] for name in self._order), scores.exp(), scores], dim=1)


class _LearningJudge(nn.Module):
    """A linear and a nonlinear part, added up."""

    def __init__(self, judged: int, conditions: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(judged, conditions)
        self.nonlinear = nn.Sequential(nn.Linear(judged, width), nn.ReLU(), nn.Linear(width, conditions))

    def forward(self, seen: Tensor) -> Tensor:
        scores: Tensor = self.linear(seen) + self.nonlinear(seen)
        return scores

    def forget(self) -> None:
        """Score all conditions alike."""
        with torch.no_grad():
            for layer in (self.linear, self.nonlinear[-1]):
                assert isinstance(layer, nn.Linear)
                layer.weight.zero_()
                layer.bias.zero_()


class _KnowingJudge(nn.Module):
    """The log-posterior of every condition under a knowledge base, up to a constant."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        super().__init__()
        p, joint = knowledge.probabilities, knowledge.joint  # (condition, finding); (complaint, condition, band, sex)
        share = joint.sum(axis=(2, 3))
        band, sex = joint.sum(axis=(0, 3)).T, joint.sum(axis=(0, 2)).T
        tables = [_log(share), _log(band / band.sum(axis=0)), _log(sex / sex.sum(axis=0))]
        for row, complaint in enumerate(knowledge.complaints):
            if complaint.finding is not None:  # the share is given the complaint, so what it affirms must not count
                tables[0][row] -= np.log(p[:, knowledge.finding_index[complaint.finding]])
        table = np.concatenate([np.log(p).T, np.log(1 - p).T, tables[1], tables[2], tables[0]])
        self.register_buffer("_table", torch.tensor(table, dtype=torch.float32))

    def forward(self, seen: Tensor) -> Tensor:
        assert isinstance(self._table, Tensor)
        return seen @ self._table


def _log(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm; a condition that cannot be is never an option, so any small number does for 0."""
    return np.asarray(np.log(np.maximum(share, 1e-9)))


class SlotPolicy(MultiInputActorCriticPolicy):
    """PPO's policy for a `FindingsMenu`, with `OptionScores` as its features."""

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        add_slot_scores(self)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        pass_scores_through(self)


def add_slot_scores(policy: Any) -> None:
    """Let the actor's last layer see the scores of the slots; called from `_build_mlp_extractor`."""
    policy.mlp_extractor = _WithScores(policy.mlp_extractor, policy.features_extractor._slots)


def pass_scores_through(policy: Any) -> None:
    """Begin with the scores as the slots' logits, and a learning judge without opinions; for the end of `_build`."""
    slots = policy.features_extractor._slots
    with torch.no_grad():
        policy.action_net.weight[-slots:, -slots:] = torch.eye(slots)
    if isinstance(policy.features_extractor.judge, _LearningJudge):
        policy.features_extractor.judge.forget()


class _WithScores(nn.Module):
    """The layers of actor and critic, with the slots' scores appended to what the actor makes."""

    def __init__(self, layers: Any, slots: int) -> None:
        super().__init__()
        self.layers, self._slots = layers, slots
        self.latent_dim_pi: int = layers.latent_dim_pi + slots
        self.latent_dim_vf: int = layers.latent_dim_vf

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        return torch.cat([self.layers.forward_actor(self._apart(features)), features[:, -self._slots :]], dim=1)

    def forward_critic(self, features: Tensor) -> Tensor:
        critic: Tensor = self.layers.forward_critic(self._apart(features))
        return critic

    def _apart(self, features: Tensor) -> Tensor:
        """The features, with no gradient to the judge."""
        return features.detach()  # nothing else in them has weights
