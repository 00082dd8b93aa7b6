"""Sampling strategies: how many rows each class is to gain."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from privsynth.errors import UsageError

__all__ = ["by_label", "check_strategy", "noisy_gains", "row_gains"]

ROWS_OF_TRIAL = 100
"""Rows of each class for which a function is called before anything is spent."""


def row_gains(counts: Mapping[Any, int], strategy: Any) -> dict[Any, int]:
    """Return how many rows each class is to gain.

    Parameters
    ----------
    counts : mapping of class to int
        Rows of each class.
    strategy : float, str, mapping or callable
        imbalanced-learn's; the keys of a mapping are the classes themselves (see `by_label`).

    Raises
    ------
    UsageError
        The strategy does not fit the classes.
    """
    if isinstance(strategy, int | float) and not isinstance(strategy, bool):
        return _by_ratio(counts, float(strategy))
    if isinstance(strategy, Mapping):
        return _by_class(counts, strategy)
    if callable(strategy):
        return _by_class(counts, _totals(strategy, counts))
    # imbalanced-learn sorts classes and compares them with y, so it is given their positions.
    from imblearn.utils import check_sampling_strategy

    classes = list(counts)
    y = np.repeat(np.arange(len(classes)), list(counts.values()))
    try:
        gains = check_sampling_strategy(strategy, y, "over-sampling")
    except (TypeError, ValueError):
        raise UsageError(
            "the sampling strategy is none that over-sampling knows; give a ratio, 'minority', "
            "'not majority', 'all', 'auto', or the number of rows of each class"
        ) from None
    return {classes[c]: int(n) for c, n in gains.items()}


def check_strategy(classes: Sequence[Any], strategy: Any, spelled: str | None) -> Any:
    """Return a strategy by label, checked against declared classes before anything is spent.

    Raises
    ------
    UsageError
        The strategy does not fit the classes.
    """
    if isinstance(strategy, Mapping):
        return _by_class(dict.fromkeys(classes, 0), by_label(strategy, classes, spelled))
    if callable(strategy):
        _totals(strategy, dict.fromkeys(classes, ROWS_OF_TRIAL))
    else:
        row_gains(dict.fromkeys(classes, 1), strategy)
    return strategy


def noisy_gains(noisy_counts: Mapping[Any, int], strategy: Any) -> dict[Any, int]:
    """Return how many rows each class is to gain, by noisy counts; none where those are below 1."""
    present = {label: n for label, n in noisy_counts.items() if n > 0}
    if callable(strategy):
        strategy = _totals(strategy, present)
    if isinstance(strategy, Mapping):
        return {
            label: max(0, n - present[label]) for label, n in strategy.items() if label in present
        }
    return row_gains(present, strategy) if len(present) > 1 else {}


def _totals(strategy: Callable[[Any], Any], counts: Mapping[Any, int]) -> dict[Any, Any]:
    """Call a strategy with the labels of all rows, and return the rows it asks for by class."""
    y = np.repeat(np.array(list(counts)), list(counts.values()))
    try:
        totals = strategy(y)
    except Exception as error:
        raise UsageError(
            f"the sampling strategy failed with {type(error).__name__}; give a function of the "
            "target that returns the number of rows of each class"
        ) from error
    if not isinstance(totals, Mapping):
        raise UsageError(
            f"the sampling strategy returned {type(totals).__name__}; expected a dict with the "
            "number of rows of each class"
        )
    return by_label(totals, counts)


def _by_ratio(counts: Mapping[Any, int], ratio: float) -> dict[Any, int]:
    if len(counts) != 2:
        raise UsageError(
            f"a ratio is for two classes, and the target has {len(counts)}; give the number of "
            "rows of each class with --sampling-strategy, or leave the ratio out to fill all up"
        )
    if not 0 < ratio <= 1:
        raise UsageError(
            f"a ratio of {ratio:g} was given; expected minority rows by majority rows, above 0 "
            "and at most 1"
        )
    largest = max(counts.values())
    return {label: max(0, int(ratio * largest) - n) for label, n in counts.items() if n < largest}


def _by_class(counts: Mapping[Any, int], strategy: Mapping[Any, Any]) -> dict[Any, int]:
    gains = {}
    for label, total in strategy.items():
        if not isinstance(total, int | np.integer) or isinstance(total, bool) or total < 0:
            raise UsageError(
                "a number of rows in the sampling strategy is not a whole number of 0 or more; "
                "give one for each class"
            )
        if total < counts[label]:
            raise UsageError(
                f"the sampling strategy asks for {total} rows of a class that has "
                f"{counts[label]}; rows are added and never taken away"
            )
        gains[label] = int(total) - counts[label]
    return gains


def by_label(
    strategy: Mapping[Any, Any], labels: Iterable[Any], spelled: str | None = None
) -> dict[Any, Any]:
    """Return a sampling strategy whose keys are the labels themselves.

    Parameters
    ----------
    strategy : mapping
        Its keys are labels, or texts: keys of JSON and YAML, or as the file spells them.
    labels : iterable
        The classes.
    spelled : str, optional
        How the file spells them, as in `Table.formats`.

    Raises
    ------
    UsageError
        A key names no class, or two name the same.
    """
    labels = list(labels)
    label_of: dict[Any, Any] = {}
    for spell in (partial(_spellings, spelled=spelled), _loose_spellings):
        for label in labels:
            for text in spell(label):
                label_of.setdefault(text, label)
    totals: dict[Any, Any] = {}
    for key, total in strategy.items():
        if key in labels:
            label = labels[labels.index(key)]
        else:
            spellings = (*_spellings(key), *_loose_spellings(key))
            known = [text for text in spellings if text in label_of]
            if not known:
                raise UsageError(
                    f"the sampling strategy names a class {str(key)!r} that no row has; name "
                    "classes as the target spells them"
                )
            label = label_of[known[0]]
        if label in totals:
            raise UsageError(f"the sampling strategy names class {str(key)!r} twice; name it once")
        totals[label] = total
    return totals


def _spellings(label: Any, spelled: str | None = None) -> Iterator[str]:
    """Yield the texts that mean a label: Python's, JSON's, and the file's."""
    if isinstance(label, np.generic):
        label = label.item()
    yield str(label)
    if isinstance(label, bool):
        yield str(label).lower()
        yield str(int(label))
        if spelled is not None and spelled.count("/") == 1:
            true, false = spelled.split("/")
            yield true if label else false
    elif isinstance(label, datetime.date):
        yield label.isoformat()
        if spelled is not None:
            with suppress(ValueError):
                yield label.strftime(spelled)
    elif isinstance(label, int | float | Decimal) and math.isfinite(label):
        yield repr(float(label))
        if label == int(label):
            yield str(int(label))


def _loose_spellings(label: Any) -> Iterator[str]:
    """Yield texts that mean a label unless they spell another label exactly."""
    text = str(label).strip()
    if isinstance(label, bool | np.bool_):
        yield from (("true", "yes", "y", "t") if label else ("false", "no", "n", "f"))
    if isinstance(label, datetime.datetime):
        yield label.date().isoformat()
    yield text.casefold()
    with suppress(ValueError, OverflowError):
        number = float(text)
        if number.is_integer():
            yield str(int(number))
