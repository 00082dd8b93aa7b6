"""The model of the marginal engines: groups, a junction tree over them, and the noisy counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes
from privsynth.coding import Codec
from privsynth.curator import Measurement
from privsynth.engines.marginal.calibration import Beliefs
from privsynth.engines.marginal.drawing import draw
from privsynth.engines.marginal.grouping import Groups
from privsynth.engines.stored import check_sizes, places, reading, stored
from privsynth.errors import ArtefactError, SamplingError
from privsynth.files.documents import number, whole

__all__ = ["MarginalModel"]


@dataclass(frozen=True, eq=False)
class MarginalModel:
    """A distribution over groups of codes, and the noisy counts that it was estimated from.

    Parameters
    ----------
    total : float
        About how many rows were counted.
    label : int or None
        The column whose groups decide on the shares of codes within other columns' groups.
    groups : tuple of Groups
        One a column.
    beliefs : Beliefs
    codes, cliques : tuple of Measurement
        The release: what was counted in codes, and in groups.
    """

    total: float
    label: int | None
    groups: tuple[Groups, ...]
    beliefs: Beliefs
    codes: tuple[Measurement, ...]
    cliques: tuple[Measurement, ...]

    holds_rows: ClassVar[bool] = False

    @property
    def n_rows(self) -> float:
        """The noisy number of training rows."""
        return self.total

    @cached_property
    def answers(self) -> frozenset[int]:
        """The columns whose conditions are met exactly: all modelled ones."""
        return frozenset(j for clique in self.beliefs.tree.cliques for j in clique)

    def marginal(self, column: int) -> npt.NDArray[np.float64]:
        """Return the noisy share of each code of a column."""
        own = self.groups[column]
        if column not in self.answers:
            return np.ones(1)
        if own.shares.shape[1] == 1 or self.label is None:
            return np.asarray(own.of_codes(self.beliefs.marginal((column,))) * own.shares[:, 0])
        joint = self.beliefs.marginal((column, self.label))
        return np.asarray((own.of_codes(joint) * own.shares).sum(axis=1))

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows.

        Parameters
        ----------
        n : int
        rng : numpy.random.Generator
        where : mapping of int to int, optional
            Column position to code.

        Raises
        ------
        SamplingError
            No row can meet the conditions.
        """
        where = where or {}
        beliefs = self.beliefs
        for j, code in where.items():
            beliefs = self._given(beliefs, j, code)
        drawn = draw(beliefs, n, rng)
        codes = np.empty((n, len(self.groups)), dtype=np.int32, order="F")
        labels = np.zeros(n, dtype=np.intp) if self.label is None else drawn[:, self.label]
        for j, groups in enumerate(self.groups):
            if j in where:
                codes[:, j] = where[j]
            else:
                codes[:, j] = groups.refine(drawn[:, j], labels, rng)
        return codes

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays from which `from_state` rebuilds the model."""
        released = {"codes": self.codes, "cliques": self.cliques}
        beliefs, arrays = self.beliefs.state()
        meta = {
            "total": self.total,
            "label": self.label,
            "columns": len(self.groups),
            "beliefs": beliefs,
            "release": {
                kind: [{"clique": list(m.clique), "scale": m.scale} for m in measured]
                for kind, measured in released.items()
            },
        }
        for j, groups in enumerate(self.groups):
            arrays |= groups.state(f"column{j}")
        for kind, measured in released.items():
            arrays |= {f"{kind}{i}": m.values for i, m in enumerate(measured)}
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its shapes do not fit each other.
        """
        with reading("marginal model"):
            count = whole(meta["columns"], "number of columns", 1, len(arrays))
            groups = tuple(Groups.from_state(arrays, f"column{j}") for j in range(count))
            sizes = tuple(own.size for own in groups)
            beliefs = Beliefs.from_state(meta["beliefs"], arrays)
            if beliefs.tree.sizes != sizes:
                raise ArtefactError("its groups and its tree do not fit; fit the model anew")
            spread: dict[str, tuple[int, ...]] = {
                "codes": tuple(len(own.of) for own in groups),
                "cliques": tuple(own.counted for own in groups),
            }
            released = {
                kind: tuple(
                    _measured(arrays, f"{kind}{i}", entry, spread[kind])
                    for i, entry in enumerate(meta["release"][kind])
                )
                for kind in spread
            }
            label = None if meta["label"] is None else whole(meta["label"], "label", 0, count - 1)
            model = cls(number(meta["total"], "total"), label, groups, beliefs, **released)
            if not all(model._divides(j) for j in range(count)):
                raise ArtefactError("its groups and classes do not fit; fit the model anew")
        return model

    def _divides(self, column: int) -> bool:
        """Whether a column's groups are divided by class only if a clique holds both columns."""
        width = self.groups[column].shares.shape[1]
        if width == 1:
            return True
        if self.label in (None, column) or column not in self.answers:
            return False
        pair = {column, self.label}
        together = any(pair.issubset(clique) for clique in self.beliefs.tree.cliques)
        return together and self.label is not None and width == self.groups[self.label].size

    def check(self, codec: Codec) -> None:
        """See `privsynth.engines.Model.check`."""
        sizes = tuple(len(own.of) for own in self.groups)
        check_sizes(codec, sizes, self.label, optional=True)
        # What has one code needs no model; all else is in the tree.
        if self.answers != {j for j, size in enumerate(sizes) if size > 1}:
            raise ArtefactError("its tree leaves a column out; fit the model anew")

    def _given(self, beliefs: Beliefs, column: int, code: int) -> Beliefs:
        """Condition on a code: on its group, and on its likelihood given the label."""
        own = self.groups[column]
        if not own.shares[code].any():
            raise SamplingError("the model has seen no row with a value asked for; drop it")
        chance = np.zeros((own.size, own.shares.shape[1]))
        chance[own.of[code]] = own.shares[code]
        if chance.shape[1] == 1 or self.label is None:
            return beliefs.given((column,), chance[:, 0])
        return beliefs.given((column, self.label), chance)


def _measured(
    arrays: Mapping[str, npt.NDArray[Any]],
    name: str,
    entry: Mapping[str, Any],
    sizes: tuple[int, ...],
) -> Measurement:
    """Rebuild a measurement; the empty clique, the number of rows, is saved as one number."""
    clique = places(entry["clique"], len(sizes), "release")
    shape = tuple(sizes[j] for j in clique)
    values = stored(arrays, name, shape or (1,), np.int64).reshape(shape)
    return Measurement(clique, values, number(entry["scale"], "release"))
