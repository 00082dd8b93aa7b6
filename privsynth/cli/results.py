"""What a command prints about a model or a report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from privsynth.pipeline import FittedModel, Report


def model_lines(model: FittedModel) -> Iterator[str]:
    """Yield a few lines: what was learnt, and what may be claimed for it."""
    card = model.card
    target = f"; target {card.target!r}" if card.target else ""
    columns = "1 column" if len(model.schema) == 1 else f"{len(model.schema)} columns"
    about = "" if model.ledger.budget is None else "about "
    yield f"{card.engine} learnt {columns} of {about}{card.rows:,} rows{target}"
    invented = [column.name for column in model.schema if column.kind.surrogate]
    if invented:
        yield f"invented, not learnt: {', '.join(map(repr, invented))}"
    if model.ledger.budget is None:
        counted = card.disclosure.counted
        yield f"disclosure control: nothing rests on fewer than {card.disclosure.k} {counted}"
    yield f"guarantee: {model.ledger.guarantee()}"


def shown_card(model: FittedModel) -> dict[str, Any]:
    """Return what a person must know about a model before using it, the guarantee first."""
    ledger = model.ledger.to_dict()
    return {
        "engine": model.card.engine,
        "guarantee": ledger["guarantee"],
        "not_covered": ledger["not_covered"],
        **model.card.to_dict(),
        "columns": {column.name: str(column.kind) for column in model.schema},
        "domains": {
            column["name"]: {key: column[key] for key in ("levels", "bounds") if key in column}
            for column in model.schema.to_dict()["columns"]
            if "levels" in column or "bounds" in column
        },
        "ledger": ledger["events"],
    }


def print_scores(report: Report, *, verbose: bool = False) -> None:
    """Print the scores of a report as a table; `verbose` as in `privsynth.report.terminal`."""
    from rich.console import Console

    from privsynth.report.terminal import summary

    Console(file=sys.stdout).print(summary(report.evaluation, verbose=verbose))
