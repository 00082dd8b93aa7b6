"""Each mechanism has the distribution that its price rests on, and only whole numbers.

A test of a distribution fails by chance once in ten million runs.
"""

from __future__ import annotations

import ast
import inspect
import math

import numpy as np
import pytest
from audits import (
    FEW,
    Case,
    check_gaussian,
    check_greatest,
    check_keys,
    check_one_run,
    check_products,
    check_refits,
    check_unlike,
    check_unseeded,
    delta_of,
    rows,
    table,
)

from privsynth import accountant, curator, discovery
from privsynth.accountant import Accountant
from privsynth.errors import BudgetExceeded
from privsynth.privacy import Budget, Ledger, epsilon_of, rho_of


@pytest.mark.parametrize("scale", [0.4, 1.0, 7.5, 60.0])
def test_counts_get_discrete_gaussian_noise(scale: float) -> None:
    check_gaussian(scale)


def test_the_choice_has_the_exponential_mechanism_s_chances() -> None:
    check_greatest()


def test_keys_pass_a_threshold_as_delta_asks() -> None:
    check_keys()


def test_products_change_by_no_more_than_their_sensitivity() -> None:
    check_products()


def test_noise_is_fresh_and_has_no_seed() -> None:
    check_unseeded()
    check_unlike(Case(), table(rows(60)))


@pytest.mark.parametrize("module", [accountant, curator, discovery])
def test_no_other_noise_is_drawn_where_exact_counts_are(module: object) -> None:
    named = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(inspect.getsource(module)))  # type: ignore[arg-type]
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert not named & {"random", "default_rng", "RandomState", "normal", "Generator", "secrets"}


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(1e-3, 1e-6), (0.5, 1e-9), (1.0, 1e-6), (10.0, 9e-4), (60.0, 1e-6)]
)
def test_epsilon_of_a_budget_is_what_the_paper_s_formula_gives(
    epsilon: float, delta: float
) -> None:
    rho = rho_of(epsilon, delta)
    assert rho > 0
    assert delta_of(rho, epsilon) <= delta * (1 + 1e-6)
    assert delta_of(rho * 1.001, epsilon) > delta * (1 - 1e-3)
    assert math.isclose(epsilon_of(rho, delta), epsilon, rel_tol=1e-6)


def test_a_spent_budget_refuses_before_noise_is_drawn() -> None:
    asked, looked = Accountant(np.zeros(3, dtype=np.int64), Ledger(budget=Budget(1.0))), []

    def question(private: np.ndarray) -> np.ndarray:
        looked.append(1)
        return private

    asked.gaussian("marginals", "", question, 1.0, asked.scale(1.0, asked.left))
    assert looked == [1]
    for ask in (
        lambda: asked.gaussian("marginals", "", question, 1.0, 100.0),
        lambda: asked.greatest("selection", "", question, 1, 100.0),
        lambda: asked.keys("domain", "", lambda _: {"a": 1}, 0.01, 1e-8),
    ):
        before = list(asked.ledger.events)
        with pytest.raises(BudgetExceeded):
            ask()
        assert asked.ledger.events == before
    assert looked == [1]


@pytest.mark.parametrize("budget", [Budget(1.0), Budget(1.0, unit="who", rows_per_unit=3)])
def test_the_filter_refuses_where_the_ledger_does_not(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opendp.mod import OpenDPException

    monkeypatch.setattr(Accountant, "left", property(lambda self: math.inf))
    monkeypatch.setattr(Ledger, "charge", lambda self, event: None)
    asked = Accountant(np.zeros(3, dtype=np.int64), Ledger(budget=budget))
    scale = asked.scale(1.0, asked.rho / 2)
    for _ in range(2):
        asked.gaussian("marginals", "", lambda private: private, 1.0, scale)
    with pytest.raises(OpenDPException):
        asked.gaussian("marginals", "", lambda private: private, 1.0, scale)


@pytest.mark.parametrize("name", ["independent", "marginals"])
def test_one_fit_gives_no_more_away_of_many_rows_than_claimed(name: str) -> None:
    check_one_run(name, 4.0, 400)


@pytest.mark.parametrize("name", ["independent", "marginals"])
def test_refits_give_no_more_away_of_a_row_than_claimed(name: str) -> None:
    check_refits(Case(name, Budget(1.0), FEW), 35)
