"""Check that the parts of a model file agree: schema, codec, model, ledger and card.

Each part was checked by itself when it was rebuilt. Here, what two parts both state is compared, so
that no file can show one thing and draw another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.card import Card
from privsynth.coding import Codec
from privsynth.engines import ROUNDING, Model, traits
from privsynth.errors import ArtefactError
from privsynth.privacy import Ledger
from privsynth.schema import Schema

__all__ = ["check_parts"]


def check_parts(schema: Schema, codec: Codec, model: Model, ledger: Ledger, card: Card) -> None:
    """Refuse parts that contradict each other.

    Raises
    ------
    ArtefactError
        Names the two.
    """
    model.check(codec)
    target = None if schema.target is None else schema.target.name
    if card.target != target:
        raise ArtefactError("its card and its schema name two targets; fit the model anew")
    _check_shares(codec, model, ledger, card)
    engine, budget = traits(card.engine), ledger.budget
    if engine.budget == ("refused" if budget is not None else "required"):
        raise ArtefactError("its ledger is not one of its engine; fit the model anew")
    if budget is not None and budget.unit not in ("row", *schema.names):
        raise ArtefactError("its privacy unit is no column of its schema; fit the model anew")
    if not ledger.events:
        raise ArtefactError("its ledger is empty, and no model is fitted without a question")
    holds_rows = model.holds_rows
    if not holds_rows == engine.holds_rows == card.holds_rows:
        raise ArtefactError("its card is not that of its model; fit the model anew")
    if holds_rows:
        method, settings = (getattr(model, name, None) for name in ("method", "settings"))
        if method != card.engine or settings != card.settings:
            raise ArtefactError("its card has other settings than its model; fit the model anew")
    if card.frame == "pandas":
        _check_zones(codec)


def _check_shares(codec: Codec, model: Any, ledger: Ledger, card: Card) -> None:
    """Compare the card's class shares with the codec's classes and the model's shares."""
    shares = card.class_shares
    if (shares is not None) != codec.classes or (card.minority and shares is None):
        raise ArtefactError("its card and its codec differ on the target's classes; fit anew")
    if shares is None:
        return
    if model.holds_rows:  # what it draws is the minority alone
        expected = np.array(shares)
    elif ledger.budget is None:
        expected = model.prior
    else:
        expected = model.marginal(codec.target)
    size = codec.sizes[codec.target or 0]
    # A target that is not modelled has a single share.
    if len(shares) not in (1, size) or len(shares) != len(expected):
        raise ArtefactError("its card's class shares are not those of its classes; fit anew")
    if not np.isclose(sum(shares), 1, atol=ROUNDING) or not np.allclose(
        shares, expected, atol=ROUNDING
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
