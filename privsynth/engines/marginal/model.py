"""The model of the marginal engines: groups, a junction tree over them, and noisy counts."""

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
        Estimated number of training rows.
    label : int or None
        The column whose groups may condition the shares of codes in other columns' groups.
    groups : tuple of Groups
        One per column.
    beliefs : Beliefs
    codes, cliques : tuple of Measurement
        The release: measurements in codes, and in groups.
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
        """The columns on which conditions are met exactly: all modelled ones."""
        return frozenset(j for clique in self.beliefs.tree.cliques for j in clique)

    def marginal(self, column: int) -> npt.NDArray[np.float64]:
        """Return the noisy share of each code of a column."""
        groups = self.groups[column]
        if column not in self.answers:
            return np.ones(1)
        if groups.shares.shape[1] == 1 or self.label is None:
            return np.asarray(
                groups.of_codes(self.beliefs.marginal((column,))) * groups.shares[:, 0]
            )
        joint = self.beliefs.marginal((column, self.label))
        return np.asarray((groups.of_codes(joint) * groups.shares).sum(axis=1))

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
            No row meets the conditions.
        """
        where = where or {}
        beliefs = self.beliefs
        for j, code in where.items():
            beliefs = self._given(beliefs, j, code)
        group_codes = draw(beliefs, n, rng)
        codes = np.empty((n, len(self.groups)), dtype=np.int32, order="F")
        labels = np.zeros(n, dtype=np.intp) if self.label is None else group_codes[:, self.label]
        for j, groups in enumerate(self.groups):
            if j in where:
                codes[:, j] = where[j]
            else:
                codes[:, j] = groups.refine(group_codes[:, j], labels, rng)
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
            sizes = tuple(g.size for g in groups)
            beliefs = Beliefs.from_state(meta["beliefs"], arrays)
            if beliefs.tree.sizes != sizes:
                raise ArtefactError("its groups and its tree do not fit; fit the model anew")
            sizes_by_kind: dict[str, tuple[int, ...]] = {
                "codes": tuple(len(g.group_of) for g in groups),
                "cliques": tuple(g.counted for g in groups),
            }
            released = {
                kind: tuple(
                    _measured(arrays, f"{kind}{i}", entry, sizes_by_kind[kind])
                    for i, entry in enumerate(meta["release"][kind])
                )
                for kind in sizes_by_kind
            }
            label = None if meta["label"] is None else whole(meta["label"], "label", 0, count - 1)
            model = cls(number(meta["total"], "total"), label, groups, beliefs, **released)
            if not all(model._divides(j) for j in range(count)):
                raise ArtefactError("its groups and classes do not fit; fit the model anew")
        return model

    def _divides(self, column: int) -> bool:
        """Return whether a column's shares by class, if any, fit the label and a clique with it."""
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
        sizes = tuple(len(g.group_of) for g in self.groups)
        check_sizes(codec, sizes, self.label, optional=True)
        # Columns of one code need no model; all others are in the tree.
        if self.answers != {j for j, size in enumerate(sizes) if size > 1}:
            raise ArtefactError("its tree leaves a column out; fit the model anew")

    def _given(self, beliefs: Beliefs, column: int, code: int) -> Beliefs:
        """Condition on a code: on its group, and on its likelihood in each class."""
        groups = self.groups[column]
        if not groups.shares[code].any():
            raise SamplingError(
                "the model gives a conditioned value probability 0; drop that condition"
            )
        likelihood = np.zeros((groups.size, groups.shares.shape[1]))
        likelihood[groups.group_of[code]] = groups.shares[code]
        if likelihood.shape[1] == 1 or self.label is None:
            return beliefs.given((column,), likelihood[:, 0])
        return beliefs.given((column, self.label), likelihood)


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
