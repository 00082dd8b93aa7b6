"""A fitted network of CTGAN or TVAE that draws rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes
from privsynth.coding import Codec
from privsynth.engines.labels import labels_to_draw
from privsynth.engines.sdv.encoding import Category, Part, gumbel, part_of
from privsynth.engines.stored import check_sizes, reading, stored, stored_shares
from privsynth.errors import ArtefactError
from privsynth.files.documents import flag, whole

__all__ = ["NetworkModel"]

Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

ROWS_AT_ONCE = 4_096
MAX_CANDIDATES = 64
"""Most latent points that are tried for a row of a class."""
SHARPNESS = 3.0
"""Power to which an unconditional network's class probabilities are raised."""
MAX_WEIGHT = 1e6
"""No trained weight comes near it; larger ones overflow within a few layers."""


@dataclass(frozen=True, eq=False)
class NetworkModel:
    """A trained generator or decoder.

    Parameters
    ----------
    sizes : tuple of int
        Codes of each column of the table.
    target : int or None
        Position of a discrete target.
    prior : ndarray, shape (classes,)
        Share of each class; a single 1 where there is no discrete target.
    parts : tuple of Part
        The encodings of the network's outputs, in order.
    residual : bool
        Whether each hidden layer's input is appended to its output (CTGAN's generator).
    conditional : bool
        Whether the network reads a category of one column (CTGAN's condition vector).
    embedding : int
        Length of the latent noise.
    layers : tuple of (weight, bias)
        Shapes (outputs, inputs) and (outputs,); batch normalisation is folded in.
    """

    sizes: tuple[int, ...]
    target: int | None
    prior: npt.NDArray[np.float64]
    parts: tuple[Part, ...]
    residual: bool
    conditional: bool
    embedding: int
    layers: tuple[Layer, ...]

    holds_rows: ClassVar[bool] = False

    @property
    def answers(self) -> frozenset[int]:
        """The target, where it is discrete; see `privsynth.engines.Model.answers`."""
        return frozenset() if self.target is None else frozenset({self.target})

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows; see `privsynth.engines.Model.sample`."""
        from threadpoolctl import threadpool_limits

        labels = labels_to_draw(n, self.prior, self.target, rng, where)
        codes = np.zeros((n, len(self.sizes)), dtype=np.int32, order="F")
        with threadpool_limits(1, "blas"):
            for c in np.unique(labels):
                rows = np.flatnonzero(labels == c)
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    block = rows[start : start + ROWS_AT_ONCE]
                    codes[block] = self._rows(len(block), int(c), rng)
        return codes

    def _rows(self, n: int, c: int, rng: np.random.Generator) -> Codes:
        outputs = self._outputs(n, c, rng)
        table = np.zeros((n, len(self.sizes)), dtype=np.int32)
        for part, span in zip(self.parts, self._spans, strict=True):
            part.decode(outputs[:, span], table, rng)
        if self.target is not None:
            table[:, self.target] = c
        return table

    def _outputs(self, n: int, c: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return the network's outputs at n latent points that belong to class c."""
        if self.target is None:
            return self._forward(self._inputs(n, c, rng))
        kept, keys = self._candidates(n, c, rng)
        rounds = 1 if self.conditional else math.ceil(min(MAX_CANDIDATES, 4 / self.prior[c]))
        for _ in range(rounds):
            outputs, new_keys = self._candidates(n, c, rng)
            keys = np.concatenate([keys, new_keys])
            best = np.sort(np.argpartition(-keys, n - 1)[:n])
            kept, keys = np.concatenate([kept, outputs])[best], keys[best]
        return kept

    def _candidates(
        self, n: int, c: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return outputs at n latent points, and a key for each.

        The points with the largest keys are a draw without replacement, weighted by the
        probability that a point gives class c (the Gumbel-top-k trick). A network without the
        class as condition is unsure of it everywhere, so its probability is raised to a power:
        the ROC-AUC of TVAE trained on synthetic and tested on real rows (30 epochs, 7,000 rows)
        rose from 0.74 to 0.78 on bank_marketing, 0.86 to 0.87 on adult and 0.53 to 0.58 on
        vehicle_fraud, and no 2-way agreement fell.
        """
        part, span = self._of_target
        outputs = self._forward(self._inputs(n, c, rng))
        logits = outputs[:, span] - outputs[:, span].max(axis=1, keepdims=True)
        odds = logits[:, np.flatnonzero(part.codes == c)[0]] - np.log(np.exp(logits).sum(axis=1))
        return outputs, (1.0 if self.conditional else SHARPNESS) * odds + gumbel(n, rng)

    def _inputs(self, n: int, c: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        noise = rng.standard_normal((n, self.embedding), dtype=np.float32)
        if not self.conditional:
            return noise
        categories = [part for part in self.parts if isinstance(part, Category)]
        starts = np.cumsum([0] + [part.width for part in categories])
        conditions = np.zeros((n, starts[-1]), dtype=np.float32)
        if self.target is not None:
            part, _ = self._of_target
            conditions[:, starts[categories.index(part)] + np.flatnonzero(part.codes == c)[0]] = 1
        elif categories:
            shares = np.concatenate([part.shares for part in categories])
            conditions[np.arange(n), rng.choice(len(shares), size=n, p=shares / shares.sum())] = 1
        return np.concatenate([noise, conditions], axis=1)

    def _forward(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(inputs @ weight.T + bias, 0)
            inputs = np.concatenate([hidden, inputs], axis=1) if self.residual else hidden
        weight, bias = self.layers[-1]
        return np.asarray(inputs @ weight.T + bias)

    @property
    def _spans(self) -> list[slice]:
        ends = np.cumsum([part.width for part in self.parts]).tolist()
        return [slice(end - part.width, end) for end, part in zip(ends, self.parts, strict=True)]

    @property
    def _of_target(self) -> tuple[Category, slice]:
        return next(
            (part, span)
            for part, span in zip(self.parts, self._spans, strict=True)
            if isinstance(part, Category) and part.column == self.target
        )

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays; see `privsynth.engines.Model.state`."""
        arrays: dict[str, npt.NDArray[Any]] = {"prior": self.prior}
        metas = []
        for i, part in enumerate(self.parts):
            meta, part_arrays = part.state()
            metas.append(meta)
            arrays |= {f"part{i}.{name}": array for name, array in part_arrays.items()}
        for i, (weight, bias) in enumerate(self.layers):
            arrays |= {f"layer{i}.weight": weight, f"layer{i}.bias": bias}
        return {
            "sizes": list(self.sizes),
            "target": self.target,
            "classes": len(self.prior),
            "parts": metas,
            "residual": self.residual,
            "conditional": self.conditional,
            "embedding": self.embedding,
            "layers": [len(bias) for _, bias in self.layers],
        }, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its shapes do not fit each other.
        """
        with reading("network"):
            what = "network"
            sizes = tuple(whole(size, what, 1) for size in meta["sizes"])
            target = None if meta["target"] is None else whole(meta["target"], what)
            parts = tuple(
                part_of(entry, arrays, f"part{i}", sizes) for i, entry in enumerate(meta["parts"])
            )
            residual, conditional = flag(meta["residual"], what), flag(meta["conditional"], what)
            embedding = whole(meta["embedding"], what, 1)
            condition = sum(part.width for part in parts if isinstance(part, Category))
            width = embedding + (condition if conditional else 0)
            layers = []
            for i, size in enumerate(meta["layers"]):
                outputs = whole(size, what, 1)
                weight = stored(arrays, f"layer{i}.weight", (outputs, width), np.float32)
                bias = stored(arrays, f"layer{i}.bias", (outputs,), np.float32)
                layers.append((weight, bias))
                width = outputs + (width if residual else 0)
            prior = stored_shares(arrays, "prior", (whole(meta["classes"], what, 1),))
            model = cls(
                sizes, target, prior, parts, residual, conditional, embedding, tuple(layers)
            )
            if len(layers[-1][1]) != sum(part.width for part in parts) or not model._answers():
                raise ArtefactError(
                    "the network's outputs do not fit the table's columns; fit the model anew"
                )
        return model

    def check(self, codec: Codec) -> None:
        """See `privsynth.engines.Model.check`."""
        check_sizes(codec, self.sizes, self.target)

    def _answers(self) -> bool:
        """Whether every class with a share has a category, and no weight overflows."""
        if any(np.abs(array).max() > MAX_WEIGHT for layer in self.layers for array in layer):
            return False
        if self.target is None:
            return len(self.prior) == 1
        of_target = [p for p in self.parts if isinstance(p, Category) and p.column == self.target]
        return (
            len(of_target) == 1
            and self.sizes[self.target] == len(self.prior)
            and bool(np.isin(np.flatnonzero(self.prior), of_target[0].codes).all())
        )
