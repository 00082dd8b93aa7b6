"""What an attacker learns from many fits: never more than is claimed.

Each bound may be wrong once in a hundred thousand runs though nothing is.
"""

from __future__ import annotations

from typing import Any

import pytest
from audits import FEW, Case, check_one_run, check_refits

from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning"),
]


@pytest.mark.parametrize(
    ("name", "epsilon"),
    [("marginals", 1.0), ("marginals", 4.0), ("marginals", 10.0), ("independent", 4.0)],
)
def test_a_thousand_refits_stay_under_the_claim(name: str, epsilon: float) -> None:
    check_refits(Case(name, Budget(epsilon), FEW), 500)


@pytest.mark.parametrize("name", ["mst", "aim"])
def test_hundreds_of_refits_of_the_slower_engines_stay_under_the_claim(name: str) -> None:
    check_refits(Case(name, Budget(4.0), FEW), 150)


@pytest.mark.parametrize("name", ["marginals", "independent", "mst"])
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0, 10.0])
def test_one_fit_with_thousands_of_canaries_stays_under_the_claim(
    name: str, epsilon: float
) -> None:
    check_one_run(name, epsilon, 3_000)


def test_half_the_noise_is_found_by_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Accountant.gaussian

    def half(self: Any, query: str, detail: str, question: Any, sens: float, scale: float) -> Any:
        return whole(self, query, detail, question, sens / 2, scale / 2)

    monkeypatch.setattr(Accountant, "gaussian", half)
    with pytest.raises(AssertionError):
        check_refits(Case("independent", Budget(4.0), FEW), 300)
