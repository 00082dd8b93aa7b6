"""The over-samplers that an augmentation has to beat: imbalanced-learn's, on canonical frames."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.errors import DataError
from privsynth.evaluation.frames import Note
from privsynth.evaluation.learners import LARGEST

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
        A note, in the over-samplers that look at neighbours: told where there are fewer than
        five.

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
    places, classes = _behind(sampler, np.arange(len(frame))[:, None], truth)
    return frame.iloc[places[:, 0]], classes


def smote(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, note: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw points between neighbours, numbers being standardised; as `at_random` otherwise."""
    from imblearn.over_sampling import SMOTE

    filled = _Filled.of(frame)
    near = _neighbours("smote", truth, note)
    sampler = SMOTE(sampling_strategy=strategy, random_state=seed, k_neighbors=near)
    numbers, classes = _behind(sampler, filled.numbers, truth)
    return filled.restored(numbers, filled.codes[: len(numbers)]), classes


def smotenc(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, note: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw points between neighbours and their most frequent levels; as `smote` otherwise."""
    from imblearn.over_sampling import SMOTENC

    filled = _Filled.of(frame)
    width = filled.numbers.shape[1]
    if not width:
        raise DataError("it needs a numeric column, and there is none")
    cells = np.column_stack([filled.numbers, filled.codes])
    sampler = SMOTENC(
        list(range(width, cells.shape[1])),
        sampling_strategy=strategy,
        random_state=seed,
        k_neighbors=_neighbours("smotenc", truth, note),
    )
    rows, classes = _behind(sampler, cells, truth)
    return filled.restored(rows[:, :width], rows[:, width:].astype(np.int64)), classes


def adasyn(
    frame: pd.DataFrame, truth: np.ndarray, strategy: Strategy, seed: int, note: Note
) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw most points where the other classes are near; as `smote` otherwise.

    Each level is a column of 0 and 1 while points are drawn; a point takes the level whose
    column is highest.
    """
    from imblearn.over_sampling import ADASYN
    from scipy.sparse import csr_matrix, hstack
    from sklearn.preprocessing import OneHotEncoder

    filled = _Filled.of(frame)
    width = filled.numbers.shape[1]
    near = _neighbours("adasyn", truth, note)
    sampler = ADASYN(sampling_strategy=strategy, random_state=seed, n_neighbors=near)
    if not filled.labels:
        numbers, classes = _behind(sampler, filled.numbers, truth)
        return filled.restored(numbers, filled.codes[: len(numbers)]), classes
    encoder = OneHotEncoder().fit(filled.codes)
    cells = hstack([csr_matrix(filled.numbers), encoder.transform(filled.codes)], format="csr")
    rows, classes = _behind(sampler, cells, truth)
    codes = encoder.inverse_transform(rows[:, width:])
    return filled.restored(rows[:, :width].toarray(), codes), classes


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
class _Filled:
    """A canonical frame without gaps: standardised numbers, and codes of levels.

    A missing number is the median, a missing level the most frequent one. A column without
    any value has nothing to fill it with; it is left out, and empty in what is restored.
    """

    numbers: np.ndarray
    codes: np.ndarray
    mean: pd.Series[float]
    scale: pd.Series[float]
    labels: tuple[str, ...]
    dtypes: pd.Series[Any]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> _Filled:
        numbers = frame.select_dtypes("float64").dropna(axis=1, how="all").clip(-LARGEST, LARGEST)
        numbers = numbers.fillna(numbers.median())
        mean, scale = numbers.mean(), numbers.std(ddof=0).replace(0.0, 1.0)
        levels = frame.select_dtypes("category").dropna(axis=1, how="all")
        codes = np.empty((len(frame), levels.shape[1]), dtype=np.int64)
        for place, name in enumerate(levels.columns):
            column = levels[name].cat.codes.to_numpy()
            frequent = np.bincount(column[column >= 0]).argmax()
            codes[:, place] = np.where(column < 0, frequent, column)
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


def _behind(sampler: Any, cells: Any, truth: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the rows that a sampler adds, which it puts behind those that it is given."""
    from threadpoolctl import threadpool_limits

    try:
        # one thread: distances, and so neighbours, may depend on their last digits
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
