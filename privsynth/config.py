"""A run's settings: one YAML file read into one immutable value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from privsynth.errors import ConfigError, did_you_mean
from privsynth.files.documents import read_text, read_yaml

__all__ = ["RunConfig", "parse_setting", "read_settings"]


@dataclass(frozen=True)
class RunConfig:
    """What a fit or an augmentation is told, whether by a file, the command line or both.

    One file may serve both commands: each leaves aside the keys that the other alone reads.

    Parameters
    ----------
    engine : str, optional
        The engine's name; None leaves the choice to `privsynth.fit`.
    target : str, optional
        The column to be predicted.
    schema : pathlib.Path, optional
        A reviewed schema.
    k : int, optional
        The fewest training rows that anything learnt may rest on; 10 where none is given.
    seed : int, optional
        Governs fitting; None draws one.
    holdout : float, optional
        The share of rows set aside before anything is learnt, between 0 and 1.
    holdout_output : str or pathlib.Path, optional
        Where the rows set aside are written.
    encoding : str, optional
        The text encoding of CSV, TSV and JSON-lines files; UTF-8 where none is given.
    escape : bool, default=True
        Whether a ``'`` keeps a spreadsheet from running cells of CSV and TSV files as formulas.
    minority : bool, default=False
        Whether `fit` learns the classes below the most frequent one alone.
    sampling_strategy : float, str or mapping of str to int, default="auto"
        How far `augment` fills the minority classes up.
    fit_on : {"auto", "minority", "all"}
        Which rows `augment` learns from.
    selection : {"auto", "classifiers", "none"}
        Whether `augment` lets classifiers choose among the rows drawn.
    epsilon : float, optional
        Differential privacy's epsilon; with one, a fit works under a budget.
    delta : float, default=1e-6
        Differential privacy's delta.
    unit : str, default="row"
        Whose presence is hidden: a row's, or that of a value of the column named.
    rows_per_unit : int, default=1
        The most rows of one unit that are learnt from.
    ledger : pathlib.Path, optional
        The file in which the owner of the table counts what every fit may spend.
    new_ledger : bool, default=False
        Whether the fit opens that file, which must not be there yet.
    settings : mapping of str to value
        The engine's hyper-parameters; the engine checks them.

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
    holdout_output: str | Path | None = field(default=None, repr=False)  # a URL may hold a password
    encoding: str | None = None
    escape: bool = True
    minority: bool = False
    sampling_strategy: float | str | Mapping[str, int] = "auto"
    fit_on: str = "auto"
    selection: str = "auto"
    epsilon: float | None = None
    delta: float = 1e-6
    unit: str = "row"
    rows_per_unit: int = 1
    ledger: Path | None = None
    new_ledger: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in fields(self):
            value = getattr(self, key.name)
            types, words = _WANTED[key.name]
            if value is None and key.default is None:
                continue
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise ConfigError(f"{key.name!r} is given as {_words(value)}; {words} is wanted")
        if self.k is not None and self.k < 1:
            raise ConfigError(f"'k' is {self.k}; at least 1 is wanted, such as 10")
        if self.seed is not None and self.seed < 0:
            raise ConfigError(f"'seed' is {self.seed}; 0 or more is wanted")
        if self.holdout is not None and not 0 < self.holdout < 1:
            raise ConfigError(
                f"'holdout' is {self.holdout}; a share between 0 and 1 is wanted, such as 0.2"
            )
        if self.fit_on not in ("auto", "minority", "all"):
            raise ConfigError("'fit_on' is wanted as auto, minority or all")
        if self.selection not in ("auto", "classifiers", "none"):
            raise ConfigError("'selection' is wanted as auto, classifiers or none")
        for name in self.settings:
            if not isinstance(name, str):
                raise ConfigError("'settings' has a key that is no text; name a hyper-parameter")

    def override(self, settings: Mapping[str, Any], **given: Any) -> Self:
        """Give the run with what is given elsewhere put over it.

        Parameters
        ----------
        settings : mapping of str to value
            Hyper-parameters, each put over the one of the same name.
        **given
            Fields by name; None leaves a field as it is.
        """
        changes = {key: value for key, value in given.items() if value is not None}
        return replace(self, settings={**self.settings, **settings}, **changes)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a run's settings from a YAML file.

        Parameters
        ----------
        path : str or pathlib.Path
            Paths inside the file count from the folder that it lies in.

        Raises
        ------
        ConfigError
            The file cannot be read, is no plain YAML (tags build nothing), has an unknown key,
            or a value is of the wrong type or out of range.
        """
        path = Path(path)
        state = read_settings(path, [key.name for key in fields(cls)])
        for key in ("schema", "holdout_output", "ledger"):
            if isinstance(state.get(key), str) and "://" not in state[key]:
                state[key] = path.parent / state[key]
        for key in ("k", "encoding"):
            if key in state and state[key] is None:
                raise ConfigError(
                    f"{path}: {key!r} is given as nothing; {_WANTED[key][1]} is wanted"
                )
        try:
            return cls(**state)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def read_settings(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read a YAML mapping all of whose keys are known; an empty file gives an empty one.

    Raises
    ------
    ConfigError
        The file cannot be read, is no plain YAML (tags build nothing), or has an unknown key.
    """
    try:
        text = read_text(path, ConfigError)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    state = read_yaml(text, str(path), ConfigError, exponents=True)
    if state is None:
        return {}
    if not isinstance(state, dict):
        raise ConfigError(f"{path}: is no mapping; give lines such as '{names[0]}: ...'")
    for key in state:
        if key not in names:
            raise ConfigError(f"{path}: unknown key {str(key)!r}{did_you_mean(key, names)}")
    return state


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``KEY=VALUE`` and read the value as YAML.

    Examples
    --------
    >>> parse_setting("generator_dim=[128, 128]")
    ('generator_dim', [128, 128])

    Raises
    ------
    ConfigError
        There is no ``=``, no key before it, or no plain YAML after it.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not (equals and key):
        raise ConfigError("--set is not of the form KEY=VALUE; give one such as --set epochs=30")
    return key, read_yaml(value, f"--set {key}", ConfigError, exponents=True)


_TEXT = ((str,), "a text")
_PATH = ((str, Path), "a path")
_WANTED: Mapping[str, tuple[tuple[type, ...], str]] = {
    "engine": _TEXT,
    "target": _TEXT,
    "schema": _PATH,
    "k": ((int,), "a whole number"),
    "seed": ((int,), "a whole number"),
    "holdout": ((int, float), "a share between 0 and 1"),
    "holdout_output": _PATH,
    "encoding": _TEXT,
    "escape": ((bool,), "true or false"),
    "minority": ((bool,), "true or false"),
    "sampling_strategy": ((int, float, str, Mapping), "a ratio, a word or rows by class"),
    "fit_on": _TEXT,
    "selection": _TEXT,
    "epsilon": ((int, float), "a number above 0"),
    "delta": ((int, float), "a number between 0 and 0.001"),
    "unit": _TEXT,
    "rows_per_unit": ((int,), "a whole number"),
    "ledger": _PATH,
    "new_ledger": ((bool,), "true or false"),
    "settings": ((Mapping,), "a mapping of hyper-parameters"),
}


def _words(value: Any) -> str:
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
