"""A run's settings: one YAML file read into one immutable value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from privsynth.errors import ConfigError, did_you_mean
from privsynth.files.documents import read_text, read_yaml

__all__ = ["RunConfig", "parse_setting", "read_settings"]


@dataclass(frozen=True)
class RunConfig:
    """The settings of a fit or an augmentation, from a file, the command line or both.

    One file may serve both commands; each ignores the keys that only the other reads.

    Parameters
    ----------
    engine : str, optional
        The engine's name; by default `privsynth.fit` chooses.
    target : str, optional
        The column to predict.
    schema : pathlib.Path, optional
        A reviewed schema.
    k : int, optional
        The minimum number of training rows behind anything learnt; 10 by default.
    seed : int, optional
        The seed of the fit; drawn at random by default.
    holdout : float, optional
        The share of rows set aside before anything is learnt; above 0, below 1.
    holdout_after : str or datetime.date, optional
        Instead of a share: the date at or after which rows are set aside.
    holdout_column : str, optional
        The column of dates or times that is compared with it.
    holdout_output : str or pathlib.Path, optional
        Where the holdout rows are written.
    encoding : str, optional
        The text encoding of CSV, TSV and JSON-lines files; UTF-8 by default.
    escape : bool, default=True
        Whether a ``'`` keeps a spreadsheet from running cells of CSV and TSV files as formulas.
    minority : bool, default=False
        Whether `fit` learns only the classes below the most frequent one.
    sampling_strategy : float, str or mapping of str to int, default="auto"
        How many rows `augment` adds to the minority classes.
    fit_on : {"auto", "minority", "all"}
        Which rows `augment` learns from.
    selection : {"auto", "classifiers", "none"}
        Whether classifiers choose among the rows that `augment` draws.
    epsilon : float, optional
        The epsilon of differential privacy; if set, the fit has a privacy budget.
    delta : float, default=1e-6
        The delta of differential privacy.
    unit : str or mapping, optional
        The privacy unit: ``row``, or a column whose values each stand for one unit.
    rows_per_unit : int, default=1
        The maximum number of rows of one unit to learn from.
    ledger : pathlib.Path, optional
        The spending file, in which the table's owner limits the total of all fits.
    new_ledger : bool, default=False
        Whether the fit creates that file, which must not exist yet.
    settings : mapping of str to value
        The engine's hyper-parameters, checked by the engine.

    Raises
    ------
    ConfigError
        A value is of the wrong type or out of range.
    """

    engine: str | None = None
    target: str | None = None
    schema: Path | None = None
    k: int | None = None
    seed: int | None = None
    holdout: float | None = None
    holdout_after: str | date | None = None
    holdout_column: str | None = None
    holdout_output: str | Path | None = field(default=None, repr=False)  # a URL may hold a password
    encoding: str | None = None
    escape: bool = True
    minority: bool = False
    sampling_strategy: float | str | Mapping[str, int] = "auto"
    fit_on: str = "auto"
    selection: str = "auto"
    epsilon: float | None = None
    delta: float = 1e-6
    unit: str | Mapping[str, str] | None = None
    rows_per_unit: int = 1
    ledger: Path | None = None
    new_ledger: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in fields(self):
            value = getattr(self, key.name)
            types, expected = _EXPECTED[key.name]
            if value is None and key.default is None:
                continue
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise ConfigError(f"{key.name!r} is {_description(value)}; expected {expected}")
        if self.k is not None and self.k < 1:
            raise ConfigError(f"'k' is {self.k}; expected 1 or more, such as 10")
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"'seed' is {self.seed}; expected 0 or more")
        if self.holdout is not None and not 0 < self.holdout < 1:
            raise ConfigError(
                f"'holdout' is {self.holdout}; expected a share between 0 and 1, such as 0.2"
            )
        if self.fit_on not in ("auto", "minority", "all"):
            raise ConfigError(f"'fit_on' is {self.fit_on!r}; expected auto, minority or all")
        if self.selection not in ("auto", "classifiers", "none"):
            raise ConfigError(
                f"'selection' is {self.selection!r}; expected auto, classifiers or none"
            )
        for name in self.settings:
            if not isinstance(name, str):
                raise ConfigError(
                    "'settings' has a key that is not text; expected a hyper-parameter's name"
                )

    def override(self, settings: Mapping[str, Any], **given: Any) -> Self:
        """Return these settings, overridden by those given.

        Parameters
        ----------
        settings : mapping of str to value
            Hyper-parameters, each replacing the one of the same name.
        **given
            Fields by name; None leaves a field unchanged. A holdout by a share replaces one by a
            date, and the other way round.
        """
        changes = {key: value for key, value in given.items() if value is not None}
        if "holdout" in changes and not _IN_TIME & changes.keys():
            changes |= dict.fromkeys(_IN_TIME)
        elif _IN_TIME & changes.keys() and "holdout" not in changes:
            changes["holdout"] = None
        return replace(self, settings={**self.settings, **settings}, **changes)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a run's settings from a YAML file.

        Parameters
        ----------
        path : str or pathlib.Path
            Paths inside the file are relative to its folder.

        Raises
        ------
        ConfigError
            The file cannot be read, is not plain YAML (tags build nothing), or has an unknown
            key; or a value is of the wrong type or out of range.
        """
        path = Path(path)
        values = read_settings(path, [key.name for key in fields(cls)])
        for key in ("schema", "holdout_output", "ledger"):
            if isinstance(values.get(key), str) and "://" not in values[key]:
                values[key] = path.parent / values[key]
        for key in ("k", "encoding"):
            if key in values and values[key] is None:
                raise ConfigError(f"{path}: {key!r} is nothing; expected {_EXPECTED[key][1]}")
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def read_settings(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read a YAML mapping, refusing unknown keys; an empty file is an empty mapping.

    Raises
    ------
    ConfigError
        The file cannot be read, is not plain YAML (tags build nothing), or has an unknown key.
    """
    try:
        text = read_text(path, ConfigError)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    values = read_yaml(text, str(path), ConfigError, exponents=True)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: is not a mapping; give lines such as '{names[0]}: ...'")
    for key in values:
        if key not in names:
            raise ConfigError(f"{path}: unknown key {str(key)!r}{did_you_mean(key, names)}")
    return values


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``KEY=VALUE`` and read the value as YAML.

    Examples
    --------
    >>> parse_setting("generator_dim=[128, 128]")
    ('generator_dim', [128, 128])

    Raises
    ------
    ConfigError
        There is no ``=``, no key before it, or something other than plain YAML after it.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not (equals and key):
        raise ConfigError("--set is not of the form KEY=VALUE; give one such as --set epochs=30")
    return key, read_yaml(value, f"--set {key}", ConfigError, exponents=True)


_IN_TIME = {"holdout_after", "holdout_column"}
_TEXT = ((str,), "a text")
_PATH = ((str, Path), "a path")
_EXPECTED: Mapping[str, tuple[tuple[type, ...], str]] = {
    "engine": _TEXT,
    "target": _TEXT,
    "schema": _PATH,
    "k": ((int,), "a whole number"),
    "seed": ((int,), "a whole number"),
    "holdout": ((int, float), "a share between 0 and 1"),
    "holdout_after": ((str, date), "a date such as 2024-01-31"),
    "holdout_column": _TEXT,
    "holdout_output": _PATH,
    "encoding": _TEXT,
    "escape": ((bool,), "true or false"),
    "minority": ((bool,), "true or false"),
    "sampling_strategy": ((int, float, str, Mapping), "a ratio, a word or rows by class"),
    "fit_on": _TEXT,
    "selection": _TEXT,
    "epsilon": ((int, float), "a number above 0"),
    "delta": ((int, float), "a number between 0 and 0.001"),
    "unit": ((str, Mapping), "row, or the name of a column"),
    "rows_per_unit": ((int,), "a whole number"),
    "ledger": _PATH,
    "new_ledger": ((bool,), "true or false"),
    "settings": ((Mapping,), "a mapping of hyper-parameters"),
}


def _description(value: Any) -> str:
    kinds = {
        type(None): "nothing",
        bool: "true/false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "a mapping",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")
