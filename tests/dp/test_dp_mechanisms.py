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
    SCHEMA,
    Case,
    Recording,
    check_gaussian,
    check_greatest,
    check_keys,
    check_one_run,
    check_products,
    check_refits,
    check_unlike,
    check_unseeded,
    delta_of,
    loss,
    rows,
    table,
)

from privsynth.coding.declared import declared_codec
from privsynth.curator import discovery
from privsynth.curator import private as private_curator
from privsynth.curator.private import PrivateCurator
from privsynth.errors import BudgetExceeded
from privsynth.privacy import accountant
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget, epsilon_of, rho_of
from privsynth.privacy.ledger import Event, Ledger

pytestmark = pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")


@pytest.mark.parametrize("scale", [0.4, 1.0, 7.5, 60.0])
def test_counts_get_discrete_gaussian_noise(scale: float) -> None:
    check_gaussian(scale)


def test_the_choice_has_the_exponential_mechanism_s_chances() -> None:
    check_greatest()


def test_keys_pass_a_threshold_as_delta_asks() -> None:
    check_keys()


def test_keys_are_told_as_they_are_spelled() -> None:
    held = {"a": 500, "a\0x": 400, "a\0": 300, "\0": 200, "\ud800": 150, "\u2603 'x'": 100}
    for counts in (held, dict(reversed(held.items()))):
        asked = Accountant(counts, Ledger(budget=Budget(90.0)), 1e-7)
        told = asked.keys("domain", "", lambda private: private, asked.left / 2, 1e-7)
        assert told.keys() == held.keys()
        assert all(abs(told[key] - n) < 20 for key, n in held.items())


def test_the_worst_of_cliques_is_chosen_at_the_price_of_the_heaviest() -> None:
    codec = declared_codec(SCHEMA)
    estimates = {(1,): np.zeros(codec.sizes[1]), (2,): np.zeros(codec.sizes[2])}
    weights, none = np.array([1.0, 0.1]), np.zeros(2)
    exact = []
    for made in (rows(30), rows(31)):
        asked = Recording(table(made), Ledger(budget=Budget(4.0)))
        PrivateCurator(asked, codec).worst(estimates, weights, none, asked.left)
        exact.append(asked.answers[0])
    assert loss(exact[0], exact[1].exact, 1) <= exact[0].charged[0].rho * (1 + 1e-9)


def test_products_change_by_no_more_than_their_sensitivity() -> None:
    check_products()


def test_noise_is_fresh_and_has_no_seed() -> None:
    check_unseeded()
    check_unlike(Case(), table(rows(60)))


@pytest.mark.parametrize("epsilon", [0.4, 1.4, 1.2345678, 7.0])
def test_the_guarantee_is_stated_as_it_is_and_never_rounded_down(epsilon: float) -> None:
    ledger = Ledger([Event("marginals", mechanism="discrete gaussian")], Budget(epsilon, 1.5e-7))
    said = str(ledger.guarantee())
    assert said == f"({epsilon!r}, 1.5e-07)-differential privacy, unit: row, add/remove".replace(
        ".0,", ","
    )
    assert ledger.to_dict()["guarantee"] == said


def test_the_guarantee_names_the_unit_and_its_rows() -> None:
    budget = Budget(1.0, unit="who", rows_per_unit=2)
    told = Ledger([Event("marginals", mechanism="discrete gaussian")], budget).guarantee()
    assert (told.unit, told.rows_per_unit, told.adjacency) == ("who", 2, "add/remove")
    assert "one value of 'who'" in " ".join(told.not_covered)


@pytest.mark.parametrize("module", [accountant, private_curator, discovery])
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
