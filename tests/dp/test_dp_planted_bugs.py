"""Bugs that break the promise, planted one by one: each must turn an audit red.

A bug is planted at a seam: a function or method is replaced by a faulty one, which mostly calls the
honest one with something wrong, or spoils what it returned.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from audits import (
    FEW,
    OPEN,
    SCHEMA,
    WIDE,
    WORST,
    Case,
    Row,
    check_gaussian,
    check_greatest,
    check_heap,
    check_keys,
    check_loss,
    check_one_run,
    check_products,
    check_refits,
    check_silence,
    check_spread,
    check_units,
    check_unlike,
    check_unseeded,
    recorded,
    rows,
    table,
)
from opendp import measurements, transformations
from opendp.mod import OpenDPException

from privsynth.card import Card
from privsynth.coding.codec import Codec
from privsynth.curator import frequent
from privsynth.curator import private as private_curator
from privsynth.curator.private import PrivateCurator
from privsynth.errors import BudgetExceeded, DataError
from privsynth.fitting import learn, private
from privsynth.privacy import accountant
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Event, Ledger
from privsynth.schema.columns import Bounds, Levels
from privsynth.schema.schema import Schema
from privsynth.table import Table

pytestmark = pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")

Patch = pytest.MonkeyPatch
MADE = rows(150)
NEAR = [*MADE, WORST]
UNIT = Budget(4.0, unit="who", rows_per_unit=2)


def red(check: Callable[[], object], *also: type[Exception]) -> None:
    """The audit fails, or the program stops itself in a way that is named."""
    with pytest.raises((AssertionError, *also)):
        check()


def neighbours(name: str = "marginals", schema: Schema = SCHEMA) -> None:
    check_loss(Case(name, Budget(4.0, 1e-5), schema), table(MADE), table(NEAR))


def one_unit() -> None:
    made: list[Row] = [*MADE, *[("crowd", *WORST[1:])] * 5]
    check_units(Case(budget=UNIT), table(made), "crowd")


def silence(name: str = "marginals", schema: Schema = SCHEMA) -> None:
    case = Case(name, Budget(4.0, 1e-5), schema)
    check_silence(case, table(MADE), [table([WORST] * 9), table(rows(40, seed=2))])


def spread() -> None:
    answers = []
    for _ in range(3):
        answers += recorded(Case(), table(MADE))[1].answers
    check_spread(answers)


# ------------------------------------------------------------------ noise


def test_half_the_noise_is_refused_or_seen(monkeypatch: Patch) -> None:
    honest = measurements.then_gaussian
    monkeypatch.setattr(measurements, "then_gaussian", lambda scale: honest(scale / 2))
    red(lambda: check_gaussian(3.0))
    red(spread, BudgetExceeded)


def test_half_the_noise_at_a_price_that_hides_it(monkeypatch: Patch) -> None:
    whole = Accountant.gaussian

    def half(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        return whole(self, query, detail, question, sens / 2, scale / 2)

    monkeypatch.setattr(Accountant, "gaussian", half)
    red(spread)
    red(lambda: check_gaussian(3.0))
    red(lambda: check_one_run("independent", 4.0, 1200))


def test_half_the_noise_of_a_choice(monkeypatch: Patch) -> None:
    honest = measurements.then_noisy_max
    monkeypatch.setattr(
        measurements, "then_noisy_max", lambda measure, scale: honest(measure, scale / 2)
    )
    red(lambda: check_greatest(800))


def answer_with(patch: Patch, bug: Callable[[Any, Any, float], Any]) -> None:
    """Give another answer, made of the exact one, the honest one and the scale of its noise."""
    honest = Accountant.gaussian

    def faulty(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        exact: list[Any] = []

        def watched(private: Any) -> Any:
            exact.append(np.ravel(question(private)))
            return exact[-1]

        answer = honest(self, query, detail, watched, sens, scale)
        return bug(exact[-1], answer, scale)

    patch.setattr(Accountant, "gaussian", faulty)


def test_noise_with_a_seed(monkeypatch: Patch) -> None:
    def seeded(exact: Any, answer: Any, scale: float) -> Any:
        noise = np.random.default_rng(0).normal(0, scale, answer.shape)
        return np.rint(exact + noise).astype(np.int64)

    answer_with(monkeypatch, seeded)
    red(check_unseeded)
    red(lambda: check_unlike(Case(), table(MADE)))


def test_noise_of_the_global_generator(monkeypatch: Patch) -> None:
    def seeded(exact: Any, answer: Any, scale: float) -> Any:
        noise = np.random.normal(0, scale, answer.shape)  # noqa: NPY002
        return np.rint(exact + noise).astype(np.int64)

    answer_with(monkeypatch, seeded)
    red(check_unseeded)
    red(lambda: check_gaussian(0.4))


def test_noise_in_floats(monkeypatch: Patch) -> None:
    def floats(exact: Any, answer: Any, scale: float) -> Any:
        return exact + np.random.default_rng().normal(0, scale, answer.shape)

    answer_with(monkeypatch, floats)
    red(lambda: check_gaussian(3.0))
    red(neighbours)


def test_one_noise_for_every_answer(monkeypatch: Patch) -> None:
    drawn: dict[int, Any] = {}

    def same(exact: Any, answer: Any, scale: float) -> Any:
        return exact + drawn.setdefault(len(exact), answer - exact)

    answer_with(monkeypatch, same)
    red(check_unseeded)


def keep_private(patch: Patch) -> list[Any]:
    """Let a bug in an accountant reach the rows, and return the accountants as they are made."""
    honest = Accountant.__init__
    accountants: list[Any] = []

    def init(self: Any, private: Any, ledger: Ledger, delta: float = 0.0) -> None:
        honest(self, private, ledger, delta)
        self.held = private
        accountants.append(self)

    patch.setattr(Accountant, "__init__", init)
    return accountants


class Exact:
    """Asks an accountant that was kept its rows for noisy counts, and gives the exact ones."""

    def __init__(self, accountant: Any) -> None:
        self._accountant = accountant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accountant, name)

    def gaussian(self, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        self._accountant.gaussian(query, detail, question, sens, scale)
        return question(self._accountant.held)


# ------------------------------------------------------------------ charges


def forget(patch: Patch, query: str) -> None:
    """Let the ledger allow the answers to a query, and not write them down."""
    honest = Ledger.charge

    def charge(self: Ledger, event: Event) -> None:
        honest(self, event)
        if event.query == query:
            self.events.pop()

    patch.setattr(Ledger, "charge", charge)


@pytest.mark.parametrize("query", ["errors", "marginals"])
def test_an_answer_that_is_not_charged(monkeypatch: Patch, query: str) -> None:
    forget(monkeypatch, query)
    red(neighbours, OpenDPException)


def test_a_charge_that_is_skipped_where_no_filter_stands(monkeypatch: Patch) -> None:
    honest = Accountant.__init__

    def unfiltered(self: Any, private: Any, ledger: Ledger, delta: float = 0.0) -> None:
        honest(self, private, ledger, delta)
        self._ask = lambda noise: noise(private)

    monkeypatch.setattr(Accountant, "__init__", unfiltered)
    forget(monkeypatch, "errors")
    red(neighbours)


def test_a_budget_that_buys_too_much(monkeypatch: Patch) -> None:
    honest = Budget.rho
    monkeypatch.setattr(Budget, "rho", lambda self, delta=0.0: 1.5 * honest(self, delta))
    red(neighbours)


def misstate(patch: Patch, bug: Callable[[Callable[[int], Any], int], Any]) -> None:
    """Tell OpenDP something else about how far `rows` rows move an exact answer."""
    honest = transformations.make_user_transformation

    def make(*given: Any) -> Any:
        *spaces, question, moved = given
        return honest(*spaces, question, lambda rows: bug(moved, rows))

    patch.setattr(transformations, "make_user_transformation", make)


def test_the_rows_of_a_unit_are_counted_as_one(monkeypatch: Patch) -> None:
    misstate(monkeypatch, lambda moved, rows: moved(1))
    red(one_unit)


def test_a_unit_is_not_bounded(monkeypatch: Patch) -> None:
    monkeypatch.setattr(private, "at_most_per_unit", lambda rows, budget: rows)
    red(one_unit)


def test_a_unit_is_bounded_one_row_too_late(monkeypatch: Patch) -> None:
    honest = vars(private)["at_most_per_unit"]
    monkeypatch.setattr(
        private,
        "at_most_per_unit",
        lambda rows, budget: honest(rows, replace(budget, rows_per_unit=budget.rows_per_unit + 1)),
    )
    red(one_unit)


# ------------------------------------------------------------------ sensitivity


@pytest.mark.parametrize(
    ("sensitivity", "faulty", "name"),
    [
        ("errors_sensitivity", lambda cliques, resolution: float(resolution), "marginals"),
        ("choice_sensitivity", lambda weights, resolution: int(weights.max()), "mst"),
        ("counts_sensitivity", lambda cliques: 1.0, "marginals"),
    ],
)
def test_a_sensitivity_that_is_too_small(
    monkeypatch: Patch, sensitivity: str, faulty: Any, name: str
) -> None:
    monkeypatch.setattr(private_curator, sensitivity, faulty)
    red(lambda: neighbours(name))


def test_heaps_at_a_price_of_one_column(monkeypatch: Patch) -> None:
    monkeypatch.setattr(frequent, "counts_sensitivity", lambda columns: 1.0)
    red(lambda: neighbours("independent", WIDE))


def test_heaps_in_cells_that_are_counted_twice(monkeypatch: Patch) -> None:
    def cut(low: int, high: int) -> Any:
        """Cut a cell into more parts than it has units."""
        steps = np.linspace(0, high - low + 1, frequent.PARTS, endpoint=False)
        starts = low + steps.astype(np.int64)
        return starts, np.append(starts[1:] - 1, high)

    monkeypatch.setattr(frequent, "_cut", cut)
    red(check_heap)


def test_heaps_of_exact_counts(monkeypatch: Patch) -> None:
    keep_private(monkeypatch)
    honest = vars(private)["frequent_values"]
    monkeypatch.setattr(
        private, "frequent_values", lambda accountant, schema: honest(Exact(accountant), schema)
    )
    heaped = [(*row[:4], "31337", row[5]) for row in MADE]
    case = Case("independent", Budget(4.0, 1e-5), WIDE)
    red(lambda: check_silence(case, table(heaped), [table(MADE)]))


def test_products_at_a_twentieth_of_their_price(monkeypatch: Patch) -> None:
    honest = vars(private_curator)["products_sensitivity"]
    monkeypatch.setattr(private_curator, "products_sensitivity", lambda *of: 0.05 * honest(*of))
    red(check_products)


@pytest.mark.parametrize("bug", ["not scaled down", "rounded"])
def test_products_of_a_row_that_is_above_its_bound(monkeypatch: Patch, bug: str) -> None:
    def rounded(scores: Any, most: int) -> Any:
        return np.rint(scores * np.sqrt(np.minimum(1, most / np.maximum((scores**2).sum(0), 1))))

    faulty = {"not scaled down": lambda scores, most: np.trunc(scores), "rounded": rounded}
    monkeypatch.setattr(private_curator, "_clipped", faulty[bug])
    red(check_products)


def test_products_of_a_row_in_other_classes_than_its_own(monkeypatch: Patch) -> None:
    """A row counts in its class and in those before it."""
    honest = private_curator._Counts.products

    def products(self: Any, scores: Any, most: int, train: Table) -> Any:
        by_class = honest(self, scores, most, train).reshape(len(scores[0][1]), -1)
        return np.cumsum(by_class[::-1], axis=0)[::-1].ravel()

    monkeypatch.setattr(private_curator._Counts, "products", products)
    red(check_products)


def test_a_row_that_counts_twice(monkeypatch: Patch) -> None:
    honest = vars(private_curator)["count"]
    monkeypatch.setattr(private_curator, "count", lambda *of: 2 * honest(*of))
    red(neighbours)


def test_keys_at_half_their_price(monkeypatch: Patch) -> None:
    def halved(moved: Callable[[int], Any], rows: int) -> Any:
        if not isinstance(moved(rows), tuple):
            return moved(rows)
        keys, distance, most = moved(rows)
        return keys, distance / 2, most

    misstate(monkeypatch, halved)
    red(lambda: neighbours("independent", OPEN))


def test_a_threshold_that_is_too_low(monkeypatch: Patch) -> None:
    honest = vars(accountant)["_least"]
    monkeypatch.setattr(accountant, "_least", lambda *of: honest(*of[:-1], 500 * of[-1]))
    red(check_keys, BudgetExceeded)


def test_keys_without_a_threshold(monkeypatch: Patch) -> None:
    keep_private(monkeypatch)
    monkeypatch.setattr(
        Accountant, "keys", lambda self, query, detail, question, *price: question(self.held)
    )
    red(check_keys, ValueError)
    red(lambda: neighbours("independent", OPEN))


# ------------------------------------------------------------------ exact figures


def test_exact_counts_in_the_release(monkeypatch: Patch) -> None:
    honest = PrivateCurator.measure

    def measure(self: Any, *given: Any) -> Any:
        return [
            replace(told, values=self._counts.of(told.clique, self._accountant.held))
            for told in honest(self, *given)
        ]

    keep_private(monkeypatch)
    monkeypatch.setattr(PrivateCurator, "measure", measure)
    red(lambda: silence("independent"))
    with pytest.raises(AssertionError, match="guesses are right"):
        check_one_run("independent", 4.0, 1200)
    red(lambda: check_refits(Case("independent", Budget(1.0), FEW), 60))


def test_exact_errors_choose_the_pairs(monkeypatch: Patch) -> None:
    honest = PrivateCurator.errors

    def errors(self: Any, *given: Any) -> Any:
        open_curator = copy(self)
        open_curator._accountant = Exact(self._accountant)
        return honest(open_curator, *given)

    keep_private(monkeypatch)
    monkeypatch.setattr(PrivateCurator, "errors", errors)
    red(silence)


def test_exact_counts_decide_on_the_groups(monkeypatch: Patch) -> None:
    asked: list[Any] = []
    survey: Any = importlib.import_module("privsynth.engines.marginal.oneway")
    honest_init, honest_gather = PrivateCurator.__init__, survey.group_codes

    def init(self: Any, *given: Any) -> None:
        honest_init(self, *given)
        asked.append(self)

    def gather(counts: Any, *how: Any, **more: Any) -> Any:
        j = asked[-1].codec.sizes.index(len(counts))
        exact = asked[-1]._counts.of((j,), asked[-1]._accountant.held)
        return honest_gather(exact[:, None] + 0 * counts, *how, **more)

    keep_private(monkeypatch)
    monkeypatch.setattr(PrivateCurator, "__init__", init)
    monkeypatch.setattr(survey, "group_codes", gather)
    red(silence)


def with_rows(card: Card, train: Table) -> Card:
    return replace(card, rows=train.n_rows)


def with_shares(card: Card, train: Table) -> Card:
    return replace(card, class_shares=tuple(s + train.n_rows for s in card.class_shares or ()))


def with_an_age(card: Card, train: Table) -> Card:
    return replace(card, holdout=train.to_arrow(["age"])[0][:1].to_pylist())


@pytest.mark.parametrize("told", [with_rows, with_shares, with_an_age])
def test_an_exact_figure_in_the_card(monkeypatch: Patch, told: Any) -> None:
    honest = vars(private)["_fitted"]

    def fitted(train: Table, *rest: Any) -> Any:
        model = honest(train, *rest)
        return replace(model, card=told(model.card, train))

    monkeypatch.setattr(private, "_fitted", fitted)
    red(silence)


# ------------------------------------------------------------------ the domain


def narrowed(schema: Schema, rows: Table) -> Schema:
    """Read bounds from the rows."""
    ages = [int(v) for v in rows.to_arrow(["age"])[0].to_pylist() if v and len(v) < 9]
    seen = Bounds(min(ages, default=0), max(ages, default=9))
    return Schema(tuple(replace(c, domain=seen) if c.name == "age" else c for c in schema))


def learnt(schema: Schema, rows: Table) -> Schema:
    """Read levels from the rows."""
    jobs = rows.to_arrow(["job"])[0].unique().drop_null().to_pylist()
    seen = Levels(tuple(sorted(jobs)) or ("none",))
    return Schema(tuple(replace(c, domain=seen) if c.name == "job" else c for c in schema))


@pytest.mark.parametrize("read", [narrowed, learnt])
def test_a_domain_read_from_the_rows(monkeypatch: Patch, read: Any) -> None:
    accountants = keep_private(monkeypatch)
    honest = vars(private)["declared_codec"]

    def codec(schema: Schema, *values: Any) -> Codec:
        """Read the rows where there are any: checks of the declaration come before them."""
        return honest(read(schema, accountants[-1].held) if values else schema, *values)

    monkeypatch.setattr(private, "declared_codec", codec)
    red(silence)


def test_bounds_from_exact_extremes(monkeypatch: Patch) -> None:
    from privsynth.curator import discovery

    keep_private(monkeypatch)

    def exact(accountant: Any, column: Any, rho: float) -> Bounds:
        bounds = narrowed(SCHEMA, accountant.held)["age"].domain
        assert isinstance(bounds, Bounds)
        return bounds

    monkeypatch.setattr(discovery, "_bounds", exact)
    red(lambda: silence(schema=OPEN))


def test_a_value_that_is_refused(monkeypatch: Patch) -> None:
    honest = Codec.encode

    def strict(self: Any, batch: pa.RecordBatch, *how: Any) -> Any:
        if "perhaps" in batch.column("ill").to_pylist():
            raise DataError("ill: holds a value that its levels do not name")
        return honest(self, batch, *how)

    monkeypatch.setattr(Codec, "encode", strict)
    red(silence, DataError)
    red(neighbours, DataError)


def test_rows_that_are_dropped_by_what_others_hold(monkeypatch: Patch) -> None:
    """Rows seen three times are left out, so that one row more takes two away."""

    def uncommon(train: Table, budget: Budget) -> Table:
        values = train.to_arrow(["job", "age", "ill", "paid", "out"]).to_pylist()
        return train.take(np.array([i for i, row in enumerate(values) if values.count(row) < 3]))

    monkeypatch.setattr(private, "at_most_per_unit", uncommon)
    made: list[Row] = [(f"x{i}", "clerk", str(i % 10), "true", "1", "no") for i in range(11)]
    more: list[Row] = [*made, ("y", *made[0][1:])]
    red(lambda: check_loss(Case("independent"), table(made), table(more)))


def test_the_accountant_is_the_one_that_is_audited() -> None:
    for fit in (learn, private.fit_privately):
        default = inspect.signature(fit).parameters["accountant"].default
        assert default is accountant.Accountant
