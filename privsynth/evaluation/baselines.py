"""The over-samplers of imbalanced-learn, on canonical frames: what an augmentation has to beat."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.errors import DataError
from privsynth.evaluation.frames import Note
from privsynth.evaluation.learners import MAX_VALUE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OVER_SAMPLERS", "OverSampler", "Strategy", "adasyn", "at_random", "smote", "smotenc"]

NEIGHBOURS = 5

Strategy = Any
"""imbalanced-learn's `sampling_strategy`, with codes of classes as the keys of a mapping."""


def at_random(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, _: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw rows of the small classes again.

    Parameters
    ----------
    frame : pandas.DataFrame
        A canonical frame of features.
    truth : ndarray of int, shape (rows,)
        Codes of the classes.
    strategy : str, float or mapping of int to int
    seed : int
    _ : callable
        Unused; the other over-samplers note here that a class has fewer than five neighbours.

    Returns
    -------
    rows : pandas.DataFrame
        The rows to add, in the columns of `frame`.
    truth : ndarray of int
        Their classes.

    Raises
    ------
    DataError
        The sampler cannot work with these rows.
    """
    from imblearn.over_sampling import RandomOverSampler

    sampler = RandomOverSampler(sampling_strategy=strategy, random_state=seed)
    places, classes = _added_rows(sampler, np.arange(len(frame))[:, None], truth)
    return frame.iloc[places[:, 0]], classes


def smote(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, note: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw points between neighbours, on standardised numbers; otherwise as `at_random`."""
    from imblearn.over_sampling import SMOTE

    complete = _Complete.of(frame)
    neighbours = _neighbours("smote", truth, note)
    sampler = SMOTE(sampling_strategy=strategy, random_state=seed, k_neighbors=neighbours)
    numbers, classes = _added_rows(sampler, complete.numbers, truth)
    return complete.restored(numbers, complete.codes[: len(numbers)]), classes


def smotenc(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, note: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw points between neighbours, with their most frequent levels; otherwise as `smote`."""
    from imblearn.over_sampling import SMOTENC

    complete = _Complete.of(frame)
    width = complete.numbers.shape[1]
    if not width:
        raise DataError("it needs a numeric column, and there is none")
    cells = np.column_stack([complete.numbers, complete.codes])
    sampler = SMOTENC(
        list(range(width, cells.shape[1])),
        sampling_strategy=strategy,
        random_state=seed,
        k_neighbors=_neighbours("smotenc", truth, note),
    )
    rows, classes = _added_rows(sampler, cells, truth)
    return complete.restored(rows[:, :width], rows[:, width:].astype(np.int64)), classes


def adasyn(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, note: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw more points where other classes are near; otherwise as `smote`.

    Levels are one-hot encoded while points are drawn; a point takes the level whose column is
    highest.
    """
    from imblearn.over_sampling import ADASYN
    from scipy.sparse import csr_matrix, hstack
    from sklearn.preprocessing import OneHotEncoder

    complete = _Complete.of(frame)
    width = complete.numbers.shape[1]
    neighbours = _neighbours("adasyn", truth, note)
    sampler = ADASYN(sampling_strategy=strategy, random_state=seed, n_neighbors=neighbours)
    if not complete.labels:
        numbers, classes = _added_rows(sampler, complete.numbers, truth)
        return complete.restored(numbers, complete.codes[: len(numbers)]), classes
    encoder = OneHotEncoder().fit(complete.codes)
    cells = hstack([csr_matrix(complete.numbers), encoder.transform(complete.codes)], format="csr")
    rows, classes = _added_rows(sampler, cells, truth)
    codes = encoder.inverse_transform(rows[:, width:])
    return complete.restored(rows[:, :width].toarray(), codes), classes


OverSampler = Callable[
    ["pd.DataFrame", np.ndarray, Strategy, int, Note], tuple["pd.DataFrame", np.ndarray]
]

OVER_SAMPLERS: Mapping[str, OverSampler] = {
    "random over-sampling": at_random,
    "smote": smote,
    "smotenc": smotenc,
    "adasyn": adasyn,
}


@dataclass(frozen=True)
class _Complete:
    """A canonical frame without gaps: standardised numbers, and codes of levels.

    A missing number becomes the median, a missing level the most frequent one. A column without
    any value is left out, and is empty in a restored frame.
    """

    numbers: np.ndarray
    codes: np.ndarray
    mean: pd.Series[float]
    scale: pd.Series[float]
    labels: tuple[str, ...]
    dtypes: pd.Series[Any]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> _Complete:
        numbers = frame.select_dtypes("float64").dropna(axis=1, how="all")
        numbers = numbers.clip(-MAX_VALUE, MAX_VALUE)
        numbers = numbers.fillna(numbers.median())
        mean, scale = numbers.mean(), numbers.std(ddof=0).replace(0.0, 1.0)
        levels = frame.select_dtypes("category").dropna(axis=1, how="all")
        codes = np.empty((len(frame), levels.shape[1]), dtype=np.int64)
        for place, name in enumerate(levels.columns):
            column = levels[name].cat.codes.to_numpy()
            mode = np.bincount(column[column >= 0]).argmax()
            codes[:, place] = np.where(column < 0, mode, column)
        standard = ((numbers - mean) / scale).to_numpy()
        return cls(standard, codes, mean, scale, tuple(levels.columns), frame.dtypes)

    def restored(self, numbers: np.ndarray, codes: np.ndarray) -> pd.DataFrame:
        import pandas as pd

        values = numbers * self.scale.to_numpy() + self.mean.to_numpy()
        columns: dict[str, Any] = dict(zip(self.mean.index, values.T, strict=True))
        for place, name in enumerate(self.labels):
            columns[name] = pd.Categorical.from_codes(codes[:, place], dtype=self.dtypes[name])
        rows = pd.DataFrame(columns, index=range(len(values)))
        return rows.reindex(columns=self.dtypes.index).astype(self.dtypes.to_dict())


def _added_rows(sampler: Any, cells: Any, truth: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the rows that a sampler adds; it appends them to the rows that it was given."""
    from threadpoolctl import threadpool_limits

    try:
        # one thread: the last digits of a distance, and so neighbours, depend on the threads
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            rows, classes = sampler.fit_resample(cells, truth)
    except (ValueError, RuntimeError) as error:
        raise DataError(" ".join(str(error).split())) from error
    return rows[len(truth) :], classes[len(truth) :]


def _neighbours(name: str, truth: np.ndarray, note: Note) -> int:
    counts = np.bincount(truth)
    others = int(counts[counts > 0].min()) - 1
    if not others:
        raise DataError("it needs two rows of each class in the rows that it learns from")
    if others < NEIGHBOURS:
        note(
            f"{name}: a class has fewer than {NEIGHBOURS + 1} rows in a training fold; there it "
            "looks at as many neighbours as the class has other rows"
        )
    return min(NEIGHBOURS, others)
