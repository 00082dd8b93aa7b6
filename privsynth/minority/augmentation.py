"""The result of an augmentation: the real rows and the synthetic ones behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from privsynth.artefact import FittedModel
from privsynth.errors import UsageError
from privsynth.evaluation import Score
from privsynth.schema import infer
from privsynth.table import Table, to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Augmentation"]


@dataclass(frozen=True, eq=False)
class Augmentation:
    """A table, and the synthetic rows that were added to it.

    Parameters
    ----------
    real : Table
        The rows of the table.
    synthetic : pyarrow.Table
        The rows that were added: same columns, same types.
    target : str
    model : FittedModel or None
        The model that drew them; None where nothing was to be added.
    counts : mapping of class to (int, int)
        Real and synthetic rows of each class; under a budget the real ones are noisy counts.
    seed : int
    notes : tuple of str
        Why nothing was added, where nothing was.
    flag : str, optional
        The column that tells synthetic rows from real ones.
    """

    real: Table
    synthetic: pa.Table
    target: str
    model: FittedModel | None
    counts: Mapping[Any, tuple[int, int]]
    seed: int
    notes: tuple[str, ...] = ()
    flag: str | None = None

    @cached_property
    def attacks(self) -> tuple[Score, ...]:
        """Scores of the attacks on SMOTE, which tell real rows apart or reconstruct them."""
        from privsynth.evaluation import smote_mirrors

        if self.model is None or not self.synthetic.num_rows or not self.real.n_rows:
            return ()
        real, synthetic = self._minority()
        return smote_mirrors(real, synthetic, self.model.schema, seed=self.seed)

    def without_real(self) -> Augmentation:
        """Return a copy without the real rows, which may be kept longer than they are."""
        return replace(self, real=self.real.take(np.zeros(0, int)))

    def table(self) -> pa.Table:
        """Return the real rows, then the synthetic ones."""
        real = self.real.to_arrow()
        names = real.schema.names
        columns = [_appended(real.column(name), self.synthetic.column(name)) for name in names]
        both = pa.table(columns, names=names).unify_dictionaries()
        if self.flag is None:
            return both
        synthetic_mask = np.arange(both.num_rows) >= self.real.n_rows
        return both.append_column(self.flag, pa.array(synthetic_mask))

    def __repr__(self) -> str:
        # Not the summary: that runs the attacks.
        added, classes = self._gain()
        return f"Augmentation({'; '.join((f'{added} synthetic rows of {classes}', *self.notes))})"

    def _gain(self) -> tuple[str, str]:
        """Return how many rows were added, and of how many classes."""
        added = sum(more for _, more in self.counts.values())
        gained = sum(1 for _, more in self.counts.values() if more)
        return f"{added:,}", f"{gained} class{'' if gained == 1 else 'es'}"

    def summary(self) -> Iterator[str]:
        """Yield lines that say what was added, and what it does not promise."""
        added, classes = self._gain()
        if self.model is not None and self.model.ledger.budget is not None:
            # Nothing here may depend on the real rows, not even their number; no attack runs.
            yield f"{added} synthetic rows of {classes} behind the real ones"
            yield f"{self.model.card.engine} learnt about {self.model.card.rows:,} rows"
            yield from self.notes
            yield f"guarantee of the model and what it drew: {self.model.ledger.guarantee()}"
            yield (
                "real and synthetic rows together are no private release: only the model behind "
                "the synthetic rows is, and the output is not for sharing"
            )
            return
        yield f"{self.real.n_rows:,} real rows and {added} synthetic ones of {classes}"
        if self.model is None:
            yield from self.notes
            return
        yield f"{self.model.card.engine} learnt {self.model.card.rows:,} rows"
        yield from self.notes
        from privsynth.evaluation import conclusion

        yield conclusion(self.attacks)
        yield "the output holds the real rows: it is for training models, not for sharing"

    def plot(self, out: str | Path) -> None:
        """Draw before and after in one picture, which holds real records.

        Parameters
        ----------
        out : str or Path
            Its suffix decides the form: .png, .svg, .pdf or .html.
        """
        from privsynth.minority.picture import before_after

        if not self.real.n_rows:
            raise UsageError("the real rows were left behind in a copy; plot what was copied")
        real = to_frame(self.real.to_arrow(), "pandas")
        new = to_frame(self.synthetic, "pandas")
        schema = infer(self.real, target=self.target)
        majority = max(self.counts, key=lambda label: self.counts[label][0])
        labels = real.pop(self.target), new.pop(self.target)
        before_after(
            real, labels[0], new, labels[1], schema, out, majority=majority, seed=self.seed
        )

    def _minority(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the real and the synthetic rows of the classes that gained."""
        synthetic = to_frame(self.synthetic, "pandas")
        real = to_frame(self.real.to_arrow(), "pandas")
        gained = [label for label, (_, more) in self.counts.items() if more]
        return real[real[self.target].isin(gained)], synthetic


def _appended(real: pa.ChunkedArray, synthetic: pa.ChunkedArray) -> pa.ChunkedArray:
    """Append synthetic values to real ones, in the first type that holds both."""
    for kind in (real.type, synthetic.type):
        with suppress(pa.ArrowException):
            return pa.chunked_array([*real.cast(kind).chunks, *synthetic.cast(kind).chunks], kind)
    return _appended(real.cast(pa.string()), synthetic.cast(pa.string()))
