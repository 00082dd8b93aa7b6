"""Bugs that break the promise, planted one by one: each must turn an audit red."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
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

from privsynth.coding.codec import Codec
from privsynth.curator import frequent
from privsynth.curator import private as private_curator
from privsynth.curator.private import PrivateCurator
from privsynth.errors import BudgetExceeded, DataError
from privsynth.fitting import learn, private, splitting
from privsynth.privacy import accountant
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Ledger
from privsynth.schema.columns import Bounds, Levels
from privsynth.schema.schema import Schema
from privsynth.table import Table

pytestmark = pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")

Patch = pytest.MonkeyPatch
MADE = rows(150)
NEAR = [*MADE, WORST]
UNIT = Budget(4.0, unit="who", rows_per_unit=2)


def plant(patch: Patch, owner: Any, name: str, old: str, new: str, **more: Any) -> None:
    """Replace a piece of a function's text; the piece must be there, so that no bug goes stale."""
    function = getattr(owner, name)
    text = textwrap.dedent(inspect.getsource(function))
    assert text.count(old) == 1, f"{name} no longer reads {old!r}: plant the bug anew"
    module = owner if isinstance(owner, ModuleType) else inspect.getmodule(owner)
    space: dict[str, Any] = {**vars(module), **more}
    code = "from __future__ import annotations\n" + text.replace(old, new)
    exec(compile(code, f"<{name} with a bug>", "exec"), space)
    patch.setattr(owner, name, space[name])


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
    plant(monkeypatch, Accountant, "gaussian", "(scale=scale)", "(scale=scale / 2)")
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
    plant(monkeypatch, Accountant, "greatest", "), scale=scale)", "), scale=scale / 2)")
    red(lambda: check_greatest(800))


def test_noise_with_a_seed(monkeypatch: Patch) -> None:
    def seeded(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        answer = HONEST(self, query, detail, question, sens, scale)
        noise = np.random.default_rng(0).normal(0, scale, answer.shape)
        return np.rint(np.ravel(question(held(self))) + noise).astype(np.int64)

    keep_private(monkeypatch)
    monkeypatch.setattr(Accountant, "gaussian", seeded)
    red(check_unseeded)
    red(lambda: check_unlike(Case(), table(MADE)))


def test_noise_of_the_global_generator(monkeypatch: Patch) -> None:
    def seeded(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        answer = HONEST(self, query, detail, question, sens, scale)
        noise = np.random.normal(0, scale, answer.shape)  # noqa: NPY002
        return np.rint(np.ravel(question(held(self))) + noise).astype(np.int64)

    keep_private(monkeypatch)
    monkeypatch.setattr(Accountant, "gaussian", seeded)
    red(check_unseeded)
    red(lambda: check_gaussian(0.4))


def test_noise_in_floats(monkeypatch: Patch) -> None:
    def floats(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        answer = HONEST(self, query, detail, question, sens, scale)
        return np.ravel(question(held(self))) + np.random.default_rng().normal(
            0, scale, answer.shape
        )

    keep_private(monkeypatch)
    monkeypatch.setattr(Accountant, "gaussian", floats)
    red(lambda: check_gaussian(3.0))
    red(neighbours)


def test_one_noise_for_every_answer(monkeypatch: Patch) -> None:
    drawn: dict[int, Any] = {}

    def same(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        answer = HONEST(self, query, detail, question, sens, scale)
        exact = np.ravel(question(held(self)))
        return exact + drawn.setdefault(len(exact), answer - exact)

    keep_private(monkeypatch)
    monkeypatch.setattr(Accountant, "gaussian", same)
    red(check_unseeded)


HONEST = Accountant.gaussian


def keep_private(patch: Patch) -> None:
    """Let a bug in an accountant reach the rows."""
    honest = Accountant.__init__

    def init(self: Any, private: Any, ledger: Ledger, delta: float = 0.0) -> None:
        honest(self, private, ledger, delta)
        self.held = private

    patch.setattr(Accountant, "__init__", init)


def held(self: Any) -> Any:
    return self.held


# ------------------------------------------------------------------ charges


@pytest.mark.parametrize("query", ["errors", "marginals"])
def test_an_answer_that_is_not_charged(monkeypatch: Patch, query: str) -> None:
    from opendp.mod import OpenDPException

    plant(
        monkeypatch,
        Ledger,
        "charge",
        "self.events.append(event)",
        f"event.query == {query!r} or self.events.append(event)",
    )
    red(neighbours, OpenDPException)


def test_a_charge_that_is_skipped_where_no_filter_stands(monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        Accountant, "_ask", property(lambda self: lambda noise: noise(self.held)), raising=False
    )
    plant(
        monkeypatch,
        Accountant,
        "__init__",
        "self._ask = ",
        "self.held, _ = private, ",
    )
    plant(
        monkeypatch,
        Ledger,
        "charge",
        "self.events.append(event)",
        "event.query == 'errors' or self.events.append(event)",
    )
    red(neighbours)


def test_a_budget_that_buys_too_much(monkeypatch: Patch) -> None:
    honest = Budget.rho
    monkeypatch.setattr(Budget, "rho", lambda self, delta=0.0: 1.5 * honest(self, delta))
    red(neighbours)


def test_the_rows_of_a_unit_are_counted_as_one(monkeypatch: Patch) -> None:
    plant(monkeypatch, Accountant, "_counted", "whole(sensitivity) * rows", "whole(sensitivity)")
    red(one_unit)


def test_a_unit_is_not_bounded(monkeypatch: Patch) -> None:
    monkeypatch.setattr(private, "at_most_per_unit", lambda rows, budget: rows)
    red(one_unit)


def test_a_unit_is_bounded_one_row_too_late(monkeypatch: Patch) -> None:
    plant(monkeypatch, splitting, "at_most_per_unit", "place < budget", "place <= budget")
    monkeypatch.setattr(private, "at_most_per_unit", splitting.at_most_per_unit)
    red(one_unit)


# ------------------------------------------------------------------ sensitivity


@pytest.mark.parametrize(
    ("method", "old", "new", "name"),
    [
        ("errors", "RESOLUTION * math.sqrt(len(rounded))", "float(RESOLUTION)", "marginals"),
        ("worst", "RESOLUTION * int(whole.max())", "int(whole.max())", "mst"),
        (
            "measure",
            "sensitivity = math.sqrt(len(group_cliques))",
            "sensitivity = 1.0",
            "marginals",
        ),
    ],
)
def test_a_sensitivity_that_is_too_small(
    monkeypatch: Patch, method: str, old: str, new: str, name: str
) -> None:
    plant(monkeypatch, PrivateCurator, method, old, new)
    red(lambda: neighbours(name))


def test_heaps_at_a_price_of_one_column(monkeypatch: Patch) -> None:
    plant(monkeypatch, frequent, "frequent_values", "math.sqrt(len(open_cells))", "1.0")
    monkeypatch.setattr(private, "frequent_values", frequent.frequent_values)
    red(lambda: neighbours("independent", WIDE))


def test_heaps_in_cells_that_are_counted_twice(monkeypatch: Patch) -> None:
    plant(monkeypatch, frequent, "_narrowed", "min(PARTS, last - first + 1)", "PARTS")
    red(check_heap)


def test_heaps_of_exact_counts(monkeypatch: Patch) -> None:
    keep_private(monkeypatch)
    plant(
        monkeypatch,
        frequent,
        "frequent_values",
        "np.split(answer, ends)",
        "np.split(_counts(open_cells, accountant.held), ends)",
    )
    monkeypatch.setattr(private, "frequent_values", frequent.frequent_values)
    heaped = [(*row[:4], "31337", row[5]) for row in MADE]
    case = Case("independent", Budget(4.0, 1e-5), WIDE)
    red(lambda: check_silence(case, table(heaped), [table(MADE)]))


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [
        (PrivateCurator, "sensitivity = most * ", "sensitivity = 0.05 * most * "),
        (private_curator._Counts, "np.minimum(1, most / np.maximum(squares, 1))", "1"),
        (private_curator._Counts, "np.trunc(told", "np.rint(told"),
        (private_curator._Counts, "told[:, label == c]", "told[:, label >= c]"),
    ],
)
def test_products_that_a_row_may_change_by_more(
    monkeypatch: Patch, owner: Any, old: str, new: str
) -> None:
    plant(monkeypatch, owner, "products", old, new)
    red(check_products)


def test_a_row_that_counts_twice(monkeypatch: Patch) -> None:
    honest = vars(private_curator)["count"]
    monkeypatch.setattr(private_curator, "count", lambda *of: 2 * honest(*of))
    red(neighbours)


def test_keys_at_half_their_price(monkeypatch: Patch) -> None:
    plant(monkeypatch, Accountant, "keys", "(rows, float(rows)", "(rows, float(rows) / 2")
    red(lambda: neighbours("independent", OPEN))


def test_a_threshold_that_is_too_low(monkeypatch: Patch) -> None:
    plant(monkeypatch, Accountant, "keys", "rows, scale, delta)", "rows, scale, 500 * delta)")
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
    plant(
        monkeypatch,
        PrivateCurator,
        "errors",
        "return answer / RESOLUTION",
        "return _distances(counts, self._accountant.held, rounded) / RESOLUTION",
    )
    keep_private(monkeypatch)
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rows=max(round(model.n_rows), 0)", "rows=train.n_rows"),
        ("float(share) for share in shares", "float(share) + train.n_rows for share in shares"),
        ("holdout=task.holdout", 'holdout=train.to_arrow(["age"])[0][:1].to_pylist()'),
    ],
)
def test_an_exact_figure_in_the_card(monkeypatch: Patch, old: str, new: str) -> None:
    plant(monkeypatch, private, "_fitted", old, new)
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
    plant(
        monkeypatch,
        private,
        "fit_privately",
        "declared_codec(schema, ",
        "declared_codec(READ(schema, train), ",
        READ=read,
    )
    monkeypatch.setattr(
        importlib.import_module("privsynth.fitting.learn"), "fit_privately", private.fit_privately
    )
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
    """Rows seen twice are left out, so that one row more takes two away."""

    def distinct(rows: Table, budget: Budget) -> Table:
        frame = rows.to_arrow().to_pandas().reset_index()
        kept = frame[~frame.duplicated(["job", "age", "ill", "paid", "out"], keep=False)]
        return rows.take(np.sort(kept["index"].to_numpy()))

    monkeypatch.setattr(private, "at_most_per_unit", distinct)
    made: list[Row] = [(f"x{i}", "clerk", str(i % 10), "true", "1", "no") for i in range(10)]
    more: list[Row] = [*made, *[("y", *row[1:]) for row in made[:1]], made[1]]
    red(lambda: check_loss(Case("independent"), table(made), table(more)))


def test_the_accountant_is_the_one_that_is_audited() -> None:
    for fit in (learn, private.fit_privately):
        default = inspect.signature(fit).parameters["accountant"].default
        assert default is accountant.Accountant
