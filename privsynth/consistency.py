"""Whether the parts of a model file fit each other: schema, codec, model, ledger and card.

Each part has been checked by itself when it was rebuilt. What is checked here is said in two of
them, so that no file can show one thing and draw another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from privsynth.coding import Codec
from privsynth.engines import ENGINES, OVERSAMPLERS, PRIVATE, ROUNDING, Model, recipe
from privsynth.errors import ArtefactError
from privsynth.files import flag, number, text, whole
from privsynth.privacy import Disclosure, Ledger
from privsynth.schema import Schema
from privsynth.table import FRAMES

__all__ = ["check_card", "check_parts"]

FREE = frozenset({"copula"})
"""Engines that work with a budget and without."""


def check_card(card: Any) -> dict[str, Any]:
    """Return a card whose entries are what others read of it.

    Raises
    ------
    PrivsynthError
        An entry is missing or damaged, the engine is unknown, or it refuses its settings.
    """
    if not isinstance(card, dict):
        raise ArtefactError("its card is damaged; fit the model anew")
    for key, check in _ENTRIES.items():
        if key not in card:
            raise ArtefactError(f"its card has no {key!r}; fit the model anew")
        check(card[key], f"card's {key!r}")
    recipe(card["engine"], card["settings"])
    return dict(card)


def check_parts(
    schema: Schema, codec: Codec, model: Model, ledger: Ledger, card: Mapping[str, Any]
) -> None:
    """Refuse parts that contradict each other.

    Raises
    ------
    ArtefactError
        Names the two.
    """
    model.check(codec)
    target = None if schema.target is None else schema.target.name
    if card["target"] != target:
        raise ArtefactError("its card and its schema name two targets; fit the model anew")
    _check_shares(codec, model, ledger, card)
    engine, budget = card["engine"], ledger.budget
    if engine not in FREE and (engine in PRIVATE) != (budget is not None):
        raise ArtefactError("its ledger is not one of its engine; fit the model anew")
    if budget is not None and budget.unit not in ("row", *schema.names):
        raise ArtefactError("its privacy unit is no column of its schema; fit the model anew")
    if not ledger.events:
        raise ArtefactError("its ledger is empty, and no model is fitted without a question")
    holds_rows = model.holds_rows
    if not holds_rows == (engine in OVERSAMPLERS) == card["holds_rows"]:
        raise ArtefactError("its card is not that of its model; fit the model anew")
    if holds_rows:
        method, settings = (getattr(model, name, None) for name in ("method", "settings"))
        if method != engine or settings != card["settings"]:
            raise ArtefactError("its card has other settings than its model; fit the model anew")
    if card["frame"] == "pandas":
        _check_zones(codec)


def _check_shares(codec: Codec, model: Any, ledger: Ledger, card: Mapping[str, Any]) -> None:
    """Hold the card's shares of the classes against the classes, and against the model's."""
    shares = card["class_shares"]
    if (shares is not None) != codec.classes or (card["minority"] and shares is None):
        raise ArtefactError("its card and its codec differ on the target's classes; fit anew")
    if shares is None:
        return
    if model.holds_rows:  # what it draws is the minority alone
        wanted = np.array(shares)
    elif ledger.budget is None:
        wanted = model.prior
    else:
        wanted = model.marginal(codec.target)
    size = codec.sizes[codec.target or 0]
    # A target that is not modelled has a single share.
    if len(shares) not in (1, size) or len(shares) != len(wanted):
        raise ArtefactError("its card's class shares are not those of its classes; fit anew")
    if not np.isclose(sum(shares), 1, atol=ROUNDING) or not np.allclose(
        shares, wanted, atol=ROUNDING
    ):
        raise ArtefactError("its card's class shares are not those of its model; fit anew")


def _check_zones(codec: Codec) -> None:
    """Refuse a time zone that pandas does not know, though Arrow does."""
    from pyarrow.lib import string_to_tzinfo

    for entry in codec.schema:
        zone = getattr(entry.type, "tz", None)
        if zone is not None:
            try:
                string_to_tzinfo(zone)
            except (LookupError, ValueError):
                raise ArtefactError(
                    f"column {entry.name!r} has a time zone that pandas does not know"
                ) from None


def _engine(value: Any, what: str) -> None:
    if text(value, what) not in {**ENGINES, **PRIVATE, **OVERSAMPLERS}:
        raise ArtefactError(f"its {what} is unknown here; install a newer privsynth")


def _frame(value: Any, what: str) -> None:
    if value not in FRAMES:
        raise ArtefactError(f"its {what} is damaged; fit the model anew")


def _optional(check: Callable[[Any, str], Any]) -> Callable[[Any, str], None]:
    def checked(value: Any, what: str) -> None:
        if value is not None:
            check(value, what)

    return checked


def _shares(value: Any, what: str) -> None:
    if not isinstance(value, list) or not value:
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    for share in value:
        number(share, what, 0.0, 1.0 + 1e-6)


def _texts(value: Any, what: str) -> None:
    if not isinstance(value, list):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    for entry in value:
        text(entry, what)


def _mapping(value: Any, what: str) -> None:
    if not isinstance(value, dict):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")


def _versions(value: Any, what: str) -> None:
    _mapping(value, what)
    for entry in value.values():
        _optional(text)(entry, what)


def _disclosure(value: Any, what: str) -> None:
    _mapping(value, what)
    Disclosure(whole(value.get("k"), what, 1))
    _texts(value.get("rules"), what)


_ENTRIES: Mapping[str, Callable[[Any, str], Any]] = {
    "engine": _engine,
    "settings": _mapping,
    "seed": _optional(whole),
    "rows": whole,
    "target": _optional(text),
    "class_shares": _optional(_shares),
    "minority": flag,
    "holdout": _optional(number),
    "frame": _frame,
    "disclosure": _disclosure,
    "holds_rows": flag,
    "versions": _versions,
}
"""What the card of every model holds; it may hold more."""
