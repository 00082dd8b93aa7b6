"""The audits: what must hold of a fit under a budget, as plain functions.

The tests call them on the program as it is, and again on the program with a bug planted in it,
where they must fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, norm

from privsynth.artefact import FittedModel, packed
from privsynth.coding.codec import Codec
from privsynth.coding.declared import declared_codec
from privsynth.curator.private import SCORE_PARTS, PrivateCurator
from privsynth.engines.registry import PRIVATE
from privsynth.fitting import learn
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Event, Ledger
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema
from privsynth.table import Table, read
from privsynth.task import FitTask

Row = tuple[str | None, ...]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ENGINES = [*PRIVATE, "copula"]

CHANCE = 1e-7
"""The chance with which a test of a distribution fails though nothing is wrong."""

_GIVEN = Source.DECLARED
_FOUND = Source.DISCOVERED
NAMES = ("who", "job", "age", "ill", "paid", "out")
SCHEMA = Schema(
    (
        Column("who", Kind.ID, "string"),
        Column("job", Kind.CATEGORICAL, "string", Levels(("clerk", "nurse", "smith")), _GIVEN),
        Column("age", Kind.INTEGER, "int64", Bounds(0, 9), _GIVEN),
        Column("ill", Kind.BOOLEAN, "bool", None, _GIVEN),
        Column("paid", Kind.NUMERIC, "double", Bounds(0, 5), _GIVEN, decimals=0),
        Column("out", Kind.CATEGORICAL, "string", Levels(("no", "yes")), _GIVEN, role=Role.TARGET),
    )
)
"""A small domain of which all is declared."""
OPEN = Schema(
    tuple(
        Column("job", Kind.CATEGORICAL, "string", None, _FOUND)
        if column.name == "job"
        else Column("age", Kind.INTEGER, "int64", None, _FOUND)
        if column.name == "age"
        else column
        for column in SCHEMA
    )
)
"""The same columns; levels of one and bounds of another are to be discovered."""
WIDE = Schema(
    tuple(
        replace(column, domain=Bounds(-40_000, 60_000))
        if column.name in ("age", "paid")
        else column
        for column in SCHEMA
    )
)
"""The same columns; two of them may hold so many values that heaps are searched for."""
WORST: Row = ("nobody", "a job never seen", "9" * 400, "perhaps", "-inf", None)
"""A row whose every value lies outside the domain."""


def rows(n: int, seed: int = 0, per_unit: int = 1) -> list[Row]:
    """Make up rows, several of each unit, whose columns have to do with each other."""
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for i in range(n):
        job = int(rng.integers(3))
        age = int(rng.integers(0, 7)) + job
        ill = rng.random() < 0.2 + 0.2 * job
        paid = int(np.clip(rng.normal(2 + job, 1), 0, 5))
        out = rng.random() < 0.2 + 0.4 * ill
        texts = (("clerk", "nurse", "smith")[job], str(age), str(bool(ill)).lower(), str(paid))
        made.append((f"p{i // per_unit}", *texts, "yes" if out else "no"))
    return made


def table(made: Sequence[Row]) -> Table:
    """Give rows as a table of text, as a CSV file is read under a budget."""
    columns = [pa.array([row[j] for row in made], pa.string()) for j in range(len(NAMES))]
    return read(pa.table(columns, names=list(NAMES)), total=True)


# ------------------------------------------------------------------ transcripts


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer: what was asked, what is so, what was told, and how it was charged."""

    asked: tuple[str, str, str, float, float]
    exact: Any
    told: Any
    charged: tuple[Event, ...]

    @property
    def mechanism(self) -> str:
        return self.asked[2]

    @property
    def sensitivity(self) -> float:
        return self.asked[3]

    @property
    def scale(self) -> float:
        return self.asked[4]


class Recording(Accountant):
    """An accountant that also writes down what is so; only audits may."""

    def __init__(self, private: Any, ledger: Ledger, delta: float = 0.0) -> None:
        super().__init__(private, ledger, delta)
        self.private = private
        self.answers: list[Answer] = []

    def gaussian(
        self, query: str, detail: str, question: Any, sensitivity: float, scale: float
    ) -> npt.NDArray[np.int64]:
        asked = (query, detail, "discrete gaussian", float(sensitivity), float(scale))
        return np.asarray(self._written(asked, super().gaussian, question, sensitivity, scale))

    def greatest(
        self, query: str, detail: str, question: Any, sensitivity: int, scale: float
    ) -> int:
        asked = (query, detail, "noisy max", float(sensitivity), float(scale))
        return int(self._written(asked, super().greatest, question, sensitivity, scale))

    def keys(
        self, query: str, detail: str, question: Any, rho: float, delta: float
    ) -> dict[str, int]:
        asked = (query, detail, "gaussian threshold", 1.0, self.scale(1.0, rho))
        return dict(self._written(asked, super().keys, question, rho, delta))

    def _written(
        self, asked: tuple[str, str, str, float, float], ask: Any, question: Any, *how: Any
    ) -> Any:
        seen: list[Any] = []

        def watched(private: Any) -> Any:
            seen.append(question(private))
            return seen[-1]

        before = len(self.ledger.events)
        told = ask(*asked[:2], watched, *how)
        assert len(seen) == 1, "a question is asked of the rows once"
        self.answers.append(Answer(asked, seen[0], told, tuple(self.ledger.events[before:])))
        return told


class Replaying(Accountant):
    """An accountant that tells what another one told, whatever the rows are."""

    def __init__(
        self, answers: Sequence[Answer], private: Any, ledger: Ledger, delta: float, look: bool
    ) -> None:
        super().__init__(private, ledger, delta)
        self.private = private
        self.exact: list[Any] = []
        self.look = look
        self._answers = list(answers)

    def gaussian(
        self, query: str, detail: str, question: Any, sensitivity: float, scale: float
    ) -> npt.NDArray[np.int64]:
        asked = (query, detail, "discrete gaussian", float(sensitivity), float(scale))
        return np.array(self._told(asked, question))

    def greatest(
        self, query: str, detail: str, question: Any, sensitivity: int, scale: float
    ) -> int:
        asked = (query, detail, "noisy max", float(sensitivity), float(scale))
        return int(self._told(asked, question))

    def keys(
        self, query: str, detail: str, question: Any, rho: float, delta: float
    ) -> dict[str, int]:
        asked = (query, detail, "gaussian threshold", 1.0, self.scale(1.0, rho))
        return dict(self._told(asked, question))

    def _told(self, asked: tuple[str, str, str, float, float], question: Any) -> Any:
        assert len(self.exact) < len(self._answers), "more is asked than of the other rows"
        answer = self._answers[len(self.exact)]
        assert asked == answer.asked, "what is asked rests on the rows, not on the answers"
        self.exact.append(question(self.private) if self.look else None)
        if self.look and asked[2] == "discrete gaussian":
            size = np.size(self.exact[-1])
            assert size == np.size(answer.told), "the shape of an answer rests on the rows"
        for event in answer.charged:
            self.ledger.charge(event)
        return answer.told


@dataclass(frozen=True)
class Case:
    """How a table is fitted."""

    name: str = "marginals"
    budget: Budget = field(default_factory=lambda: Budget(4.0))
    schema: Schema = SCHEMA
    settings: Mapping[str, Any] | None = None

    def fit(self, train: Table, accountant: Callable[[Any, Ledger, float], Any]) -> FittedModel:
        """Fit with an accountant; what chance does after the answers is the same each time."""
        task = FitTask(self.name, self.settings or {}, self.schema, budget=self.budget, seed=0)
        return learn(train, task, stream=np.random.SeedSequence(0), accountant=accountant)


def recorded(
    case: Case, train: Table, kind: Callable[..., Recording] = Recording
) -> tuple[FittedModel, Recording]:
    """Fit, and give the accountant with the transcript too."""
    made: list[Recording] = []

    def accountant(private: Any, ledger: Ledger, delta: float) -> Recording:
        made.append(kind(private, ledger, delta))
        return made[-1]

    model = case.fit(train, accountant)
    return model, made[0]


def replayed(
    case: Case, train: Table, answers: Sequence[Answer], *, look: bool = True
) -> tuple[FittedModel, Replaying]:
    """Fit other rows with the answers told before; `look`: whether questions are evaluated."""
    made: list[Replaying] = []

    def accountant(private: Any, ledger: Ledger, delta: float) -> Replaying:
        made.append(Replaying(answers, private, ledger, delta, look))
        return made[-1]

    model = case.fit(train, accountant)
    assert len(made[0].exact) == len(answers), "less is asked than of the other rows"
    return model, made[0]


# ------------------------------------------------------------------ (a) the loss, by replay


def check_whole(answers: Sequence[Answer]) -> None:
    """Integers go in and integers come out."""
    for answer in answers:
        if answer.mechanism == "discrete gaussian":
            assert np.asarray(answer.exact).dtype.kind in "iu", "an exact answer is not whole"
            assert answer.told.dtype == np.int64, "a noisy answer is not whole"
            assert len(answer.told) == np.size(answer.exact)
        elif answer.mechanism == "gaussian threshold":
            values = [*answer.exact.values(), *answer.told.values()]
            assert all(isinstance(value, int) for value in values)


def loss(answer: Answer, other: Any, most_rows: int) -> float:
    """Give the zCDP loss of an answer between two tables; the declared sensitivity must hold."""
    allowed = most_rows * answer.sensitivity * (1 + 1e-9)
    if answer.mechanism == "gaussian threshold":
        every = {*answer.exact, *other}
        apart = np.array([answer.exact.get(key, 0) - other.get(key, 0) for key in every] or [0])
        assert np.count_nonzero(apart) <= most_rows, "a unit changes more keys than it may"
        assert np.abs(apart).sum() <= allowed, "a unit changes keys by more than it may"
        far = float(np.linalg.norm(apart))
    else:
        apart = np.ravel(answer.exact).astype(np.int64) - np.ravel(other).astype(np.int64)
        order = 2 if answer.mechanism == "discrete gaussian" else np.inf
        far = float(np.linalg.norm(apart, order)) if apart.size else 0.0
    assert far <= allowed, f"{answer.asked[0]}: a unit changes {far}, and {allowed} is declared"
    return far**2 / (2 * answer.scale**2)


def check_loss(case: Case, one: Table, other: Table) -> None:
    """Between neighbours the loss of all answers is within the ledger, and that in the budget.

    `one` is bounded already where the unit is a column; see `without`.
    """
    model, spent = recorded(case, one)
    check_whole(spent.answers)
    _, replay = replayed(case, other, spent.answers)
    most = case.budget.rows_per_unit
    pairs = zip(spent.answers, replay.exact, strict=True)
    losses = []
    for answer, exact in pairs:
        losses.append(loss(answer, exact, most))
        charged = sum(event.rho for event in answer.charged)
        assert losses[-1] <= charged * (1 + 1e-9), f"{answer.asked[0]}: lost more than charged"
    check_ledger(case.budget, model.ledger, sum(losses))
    assert len(model.ledger.events) == len(spent.answers), "an answer was not charged"


def check_ledger(budget: Budget, ledger: Ledger, lost: float) -> None:
    """The loss is within the ledger, and the ledger within the budget by our own conversion."""
    assert lost <= ledger.rho * (1 + 1e-9), "more was lost than charged"
    assert not any(event.mechanism == "exact" for event in ledger.events)
    assert delta_of(ledger.rho, budget.epsilon) + ledger.delta <= budget.delta * (1 + 1e-6), (
        "more was charged than the budget allows"
    )
    guarantee = ledger.guarantee()
    assert (guarantee.epsilon, guarantee.delta) == (budget.epsilon, budget.delta)


def delta_of(rho: float, epsilon: float) -> float:
    """Give delta by Canonne, Kamath & Steinke (2020), Proposition 7, apart from the program."""
    if rho == 0:
        return 0.0

    def exponent(log_order: float) -> float:
        a = 1 + math.exp(log_order)
        return (a - 1) * (a * rho - epsilon) + a * math.log1p(-1 / a) - math.log(a - 1)

    best = minimize_scalar(exponent, bounds=(-10, 12), method="bounded", options={"xatol": 1e-10})
    return math.exp(min(float(best.fun), 0.0))


def check_units(case: Case, train: Table, unit: str) -> None:
    """All rows of a unit are taken away, after the curator has bounded them."""
    bounded: Table = recorded(case, train)[1].private
    keep = [i for i, value in enumerate(bounded.to_arrow(["who"])[0].to_pylist()) if value != unit]
    taken = bounded.n_rows - len(keep)
    assert 0 < taken <= case.budget.rows_per_unit, "more rows of a unit than the budget allows"
    check_loss(case, bounded, bounded.take(np.array(keep, dtype=np.int64)))


# ------------------------------------------------------------------ (b) nothing else gets in


def check_silence(
    case: Case, train: Table, others: Sequence[Table], nothing: Table | None = None
) -> None:
    """The artefact rests on the answers alone: other rows, or none, give the same bytes."""
    model, spent = recorded(case, train)
    told = packed(model)
    for other in others:
        assert packed(replayed(case, other, spent.answers)[0]) == told
    nothing = table([]) if nothing is None else nothing
    assert packed(replayed(case, nothing, spent.answers)[0]) == told
    assert packed(replayed(case, nothing, spent.answers, look=False)[0]) == told


# ------------------------------------------------------------------ (c) distributions


def pmf(scale: float) -> tuple[Ints, Floats]:
    """Give the discrete Gaussian's values and their probabilities."""
    reach = math.ceil(12 * scale) + 3
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values**2) / (2 * scale**2))
    return values, weights / weights.sum()


def goodness(found: Floats, expected: Floats) -> float:
    """Give the p value of Pearson's test, rare outcomes pooled."""
    order = np.argsort(expected)
    found, expected = found[order], expected[order]
    rare = max(int(np.searchsorted(np.cumsum(expected), 8)), 0) + 1
    found = np.append(found[:rare].sum(), found[rare:])
    expected = np.append(expected[:rare].sum(), expected[rare:])
    return float(chi2.sf(((found - expected) ** 2 / expected).sum(), len(found) - 1))


def check_gaussian(scale: float, draws: int = 4000) -> None:
    """The noise of counts has the discrete Gaussian's probabilities."""
    exact = np.arange(draws) % 7
    asked = Accountant(exact, Ledger(budget=Budget(100.0)))
    told = asked.gaussian("marginals", "", lambda private: private, 1.0, scale)
    assert told.dtype == np.int64
    values, chances = pmf(scale)
    noise = np.clip(told - exact, values[0], values[-1])
    found = np.bincount(noise - values[0], minlength=len(values)).astype(float)
    assert goodness(found, draws * chances) > CHANCE
    assert np.isclose(asked.ledger.rho, 1 / (2 * scale**2))


def check_greatest(draws: int = 400) -> None:
    """The choice has the exponential mechanism's probabilities."""
    scores, scale = np.array([0, 1, 2, 4, 4]), 2.0
    wanted = np.exp(scores / scale)
    found = np.zeros(len(scores))
    for _ in range(draws):
        asked = Accountant(scores, Ledger(budget=Budget(20.0)))
        found[asked.greatest("selection", "", lambda private: private, 1, scale)] += 1
    assert goodness(found, draws * wanted / wanted.sum()) > CHANCE
    assert np.isclose(asked.ledger.rho, 1 / (2 * scale**2))


def check_keys(many: int = 2000) -> None:
    """A key passes where its noisy count reaches the threshold; a lone row's hardly ever does."""
    delta, rho = 5e-4, 0.3
    lone = {f"lone{i}": 1 for i in range(many)}
    asked = Accountant(lone, Ledger(budget=Budget(4.0, 9e-4)), delta)
    told = asked.keys("domain", "", lambda private: private, rho, delta)
    (event,) = asked.ledger.events
    assert event.delta <= delta
    assert event.rho <= rho * (1 + 1e-9)
    # each lone key passes with a chance of at most delta
    assert len(told) <= many * delta + 6 * math.sqrt(many * delta) + 6
    values, chances = pmf(event.scale)
    tail = np.cumsum(chances[::-1])[::-1]
    threshold = 1 + int(values[np.argmax(tail <= delta)])
    near = {f"near{i}": threshold for i in range(many)}
    asked = Accountant(near, Ledger(budget=Budget(4.0, 9e-4)), delta)
    told = asked.keys("domain", "", lambda private: private, rho, delta)
    noise = np.array(list(told.values())) - threshold
    assert all(isinstance(value, int) for value in told.values())
    least = int(noise.min())
    assert abs(least) <= 1, "keys pass at another count than delta asks for"
    found = np.append(
        many - len(noise), np.bincount(noise - least, minlength=int(values[-1]) - least + 1)
    )
    kept = chances[values >= least]
    expected = np.append(1 - kept.sum(), kept)
    assert goodness(found.astype(float), many * expected) > CHANCE


def check_products() -> None:
    """Products are those of the scores, and no row changes them by more than it is said to."""
    codec = declared_codec(SCHEMA)
    rng = np.random.default_rng(0)
    made = rows(30)
    columns = [1, 2, 3, 4]
    classes = codec.sizes[5]
    # With the last sizes, to round instead of to cut would lift a row above its bound.
    for sizes in ([0.3] * 4, [1.2] * 4, [40.0] * 4, [41.4, 36.4, 41.9, 36.8]):
        scores = [
            (j, rng.choice([-size, size], (classes, codec.sizes[j])))
            for j, size in zip(columns, sizes, strict=True)
        ]
        found = [_products(scores, [*made, *more]) for more in ([], [WORST], [made[0]])]
        for told, more in zip(found[1:], (WORST, made[0]), strict=True):
            moved = float(np.linalg.norm(told.exact - found[0].exact))
            assert moved <= told.sensitivity, (sizes, more)
        if max(sizes) < 1.2:
            assert np.array_equal(found[0].exact, _products_by_row(scores, codec, made))


def check_heap() -> None:
    """A row on the very value that others heap up on changes a search by no more than it costs."""
    narrow = Schema(
        tuple(replace(c, domain=Bounds(0, 5_000)) if c.name == "paid" else c for c in SCHEMA)
    )
    made = [(*row[:4], "3137" if i % 3 else row[4], row[5]) for i, row in enumerate(rows(300))]
    case = Case("independent", Budget(4.0, 1e-5), narrow)
    check_loss(case, table(made), table([*made, made[1]]))


def _products(scores: list[Any], made: Sequence[Row]) -> Answer:
    asked = Recording(table(made), Ledger(budget=Budget(4.0)))
    PrivateCurator(asked, declared_codec(SCHEMA)).products(scores, asked.left)
    return asked.answers[0]


def _products_by_row(scores: list[Any], codec: Codec, made: Sequence[Row]) -> Ints:
    codes = codec.encode(table(made).to_arrow())
    total = np.zeros((codec.sizes[5], len(scores), len(scores)))
    for row in codes:
        told = [np.rint(values[row[5], row[j]] * SCORE_PARTS) for j, values in scores]
        total[row[5]] += np.outer(told, told)
    return np.ravel(total[:, *np.triu_indices(len(scores), 1)]).astype(np.int64)


def check_spread(answers: Sequence[Answer]) -> None:
    """The noise that a pipeline's answers had is as wide as each of them says."""
    total, cells = 0.0, 0
    for answer in answers:
        if answer.mechanism == "discrete gaussian":
            values, chances = pmf(min(answer.scale, 1e3))
            variance = float((values**2 * chances).sum()) if answer.scale < 1e3 else answer.scale**2
            noise = (answer.told - np.ravel(answer.exact)).astype(float)
            total += float((noise**2).sum()) / variance
            cells += noise.size
    assert cells > 60, "too few cells to tell"
    assert chi2.cdf(total, cells) > CHANCE, "there is less noise than is charged for"
    assert chi2.sf(total, cells) > CHANCE, "there is more noise than is charged for"


def check_unseeded() -> None:
    """No seed that a caller can set governs the noise."""
    import random

    told = []
    for _ in range(2):
        np.random.seed(7)  # noqa: NPY002  (the old global state is what is tried)
        random.seed(7)
        asked = Accountant(np.zeros(64, dtype=np.int64), Ledger(budget=Budget(4.0)))
        told += [
            tuple(asked.gaussian("marginals", "", lambda private: private, 1.0, 5.0).tolist())
            for _ in range(2)
        ]
    assert len(set(told)) == len(told), "noise comes back"


def check_unlike(case: Case, train: Table) -> None:
    """Two fits with one seed have other noise."""
    first, second = (
        [answer.told.tolist() for answer in recorded(case, train)[1].answers[:1]] for _ in range(2)
    )
    assert first != second, "noise comes back with a seed"


# ------------------------------------------------------------------ (d) what an attacker sees


def epsilon_low(inside: Floats, outside: Floats, delta: float, alpha: float) -> float:
    """Bound epsilon from below from scores of fits with and without the canary.

    Half of the scores choose a threshold, the other half bound both errors by Clopper and Pearson.
    """
    from scipy.stats import beta

    def upper(k: int, n: int) -> float:
        return 1.0 if k == n else float(beta.ppf(1 - alpha / 4, k + 1, n - k))

    def bound(a: Floats, b: Floats, at: float) -> float:
        # a row is said to be there above `at`; both directions of the definition are used
        false = upper(int((b > at).sum()), len(b))
        missed = upper(int((a <= at).sum()), len(a))
        seen = [(1 - missed - delta, false), (1 - false - delta, missed)]
        return max(math.log(p / q) if p > 0 else 0.0 for p, q in seen)

    tried, held = (inside[::2], outside[::2]), (inside[1::2], outside[1::2])
    places = np.unique(np.concatenate(tried))
    best = max(places.tolist(), key=lambda at: bound(*tried, at))
    return max(bound(*held, best), 0.0)


def mu_low(inside: Floats, outside: Floats, alpha: float) -> float:
    """Bound from below how many standard deviations apart scores are, for scores near normal.

    Of rho-zCDP by Gaussian noise at most ``sqrt(2 rho)`` (Dong, Roth & Su 2022).
    """
    n, m = len(inside), len(outside)
    spread = math.sqrt(((n - 1) * inside.var(ddof=1) + (m - 1) * outside.var(ddof=1)) / (n + m - 2))
    if spread == 0:
        return math.inf if inside.mean() > outside.mean() else 0.0
    apart = float(inside.mean() - outside.mean()) / spread
    doubt = math.sqrt(1 / n + 1 / m + apart**2 / (2 * (n + m)))
    return apart + float(norm.ppf(alpha)) * doubt


CANARY: Row = ("canary", "smith", "0", "true", "0", "yes")
FEW = Schema(
    tuple(
        column if column.name in ("job", "out") else Column(column.name, Kind.ID, "string")
        for column in SCHEMA
    )
)
"""Two small columns that are modelled, so that refits are cheap."""


def score(model: FittedModel, exact: Ints, codes: Ints) -> float:
    """Weigh the canary's cells by the noise they are told with: the best there is for a Gaussian.

    `exact` are the codes of the rows without the canary, which the attacker knows.
    """
    inner: Any = model.model
    groups = [own.group_of for own in inner.groups]
    total = 0.0
    for measured, grouped in [(m, False) for m in inner.codes] + [(m, True) for m in inner.cliques]:
        rows, cell = exact, codes
        if grouped:
            rows = np.column_stack([of[rows[:, j]] for j, of in enumerate(groups)])
            cell = np.array([of[cell[j]] for j, of in enumerate(groups)])
        clique = list(measured.clique)
        known = int((rows[:, clique] == cell[clique]).all(axis=1).sum())
        told = float(measured.values[tuple(cell[clique])])
        total += (told - known) / measured.scale**2
    return total


def refits(
    case: Case, times: int, made: Sequence[Row], accountant: Any = Accountant
) -> tuple[Floats, Floats]:
    """Fit with and without the canary, `times` each, and give the scores."""
    without, within = table(made), table([*made, CANARY])
    model = case.fit(without, accountant)
    batches = [model.codec.encode(batch) for batch in within.batches()]
    codes = np.concatenate(batches).astype(np.int64)
    told = partial(score, exact=codes[:-1], codes=codes[-1])
    return (
        np.array([told(case.fit(within, accountant)) for _ in range(times)]),
        np.array([told(case.fit(without, accountant)) for _ in range(times)]),
    )


def check_refits(case: Case, times: int, alpha: float = 1e-5, accountant: Any = Accountant) -> None:
    """What repeated fits give away of a row stays under the claim."""
    inside, outside = refits(case, times, rows(30), accountant)
    assert epsilon_low(inside, outside, case.budget.delta, alpha) <= case.budget.epsilon
    assert mu_low(inside, outside, alpha) <= math.sqrt(2 * case.budget.rho())


def check_one_run(
    name: str, epsilon: float, canaries: int, alpha: float = 1e-5, accountant: Any = Accountant
) -> None:
    """What one fit gives away of many rows, each put in by a coin, stays under the claim.

    Steinke, Nasr & Jagielski (2023): guesses are made where scores are the surest.
    """
    from privsynth.evaluation.attacks.onerun import epsilon_at_least

    levels = tuple(f"c{i}" for i in range(canaries))
    column = Column("job", Kind.CATEGORICAL, "string", Levels(levels), _GIVEN)
    case = Case(
        name,
        Budget(epsilon, 1e-10),  # a larger delta, times the guesses, would drown the bound
        Schema(tuple(column if c.name == "job" else _hidden(c) for c in SCHEMA)),
    )
    coins = np.random.default_rng().random(canaries) < 0.5
    made: list[Row] = [
        (None, levels[i], None, None, None, None) for i in np.flatnonzero(coins).tolist()
    ]
    model: Any = case.fit(table(made), accountant).model
    told = np.asarray(model.codes[0].values, dtype=float).ravel()[:canaries]
    sure = np.argsort(told, kind="stable")
    for share in (1.0, 0.75, 0.25):
        most = int(canaries * share / 2)
        correct = int(coins[sure[-most:]].sum() + (~coins[sure[:most]]).sum())
        low = epsilon_at_least(correct, 2 * most, alpha=alpha, delta=case.budget.delta)
        assert low <= epsilon, "guesses are right more often than the claim allows"
    assert mu_low(told[coins], told[~coins], alpha) <= math.sqrt(2 * case.budget.rho())


def _hidden(column: Column) -> Column:
    return Column(column.name, Kind.ID, "string")
