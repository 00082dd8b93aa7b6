"""The records of a run as one Markdown page."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.running import sources_of
from benchmarks.systems import BUDGETED, SYSTEMS
from benchmarks.tables import TABLES

__all__ = ["KERNELS", "SCALING", "Record", "interval", "machine", "markdown", "write"]

KERNELS = "kernels.json"
MINORITY = "minority"
PRIVATE = "private"
SCALING = "scaling"
STUDENT = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306}
OURS = ("privsynth-cart", "privsynth-copula")
REFERENCES = {
    "real-holdout": "the real rows: agreement of the holdout, a model trained on the training rows",
    "bootstrap": "training rows drawn with replacement: what copying gives, and what it costs",
    "shuffled": "training rows, each column shuffled by itself: no relation is kept",
}
NONE = "-"

HOW_TO_READ = """\
## How to read it

Every system is fitted to the same training rows in a process of its own, with one thread for
numeric libraries, and draws as many rows as it was trained on. Figures are means over splits;
after ± is half a 95% interval of the mean over the splits (Student's t), where there are two or
more. Compare rows of one table: figures of different runs, machines or tables do not compare.

- **1-, 2-, 3-way**: 1 - total variation distance between marginals of the synthetic and the
  training table, mean over all columns, pairs and triples (at most 1,000 of these). Continuous
  columns are cut at ten quantiles. More is better; a bootstrap of the training rows is about as
  good as can be without being the same rows, the holdout is what fresh real rows reach.
- **ROC-AUC, PR-AUC, F1**: histogram gradient boosting trained on the synthetic rows and tested on
  the real holdout; of the positive (rare) class, F1 at a probability of one half. More is better;
  `real-holdout` is trained on the real training rows.
- **closer**: share of synthetic rows nearer to a training row than to a holdout row, of as many
  each; .5 is neutral, 1 is copying.
- **TPR**: share of training rows that an attacker tells to be such where at most 1% of the holdout
  rows are taken for training rows; .01 is chance. After it the 95% Clopper-Pearson lower bound, a
  mean over splits as well. **rare TPR** attacks the positive class alone; with n < 99 rows to
  tell them from, chance gives 1 / (n + 1).
- **fit, sample**: CPU seconds (user and system, of all processes), from the Parquet file to the
  model and from the model to a Parquet file. Imports are not in them. **peak**: resident memory
  at its highest, imports included; **import**: the same once imports were done.
- **/ cart, / copula**: CPU seconds over those of privsynth's two engines in this run.
- **†**: measured with sources that have changed since.
"""


SAME_RANKING = ("threshold moving",)
"""Methods that leave the order of rows as it is, and so every figure of a ranking."""
AUGMENTATION = """PR-AUC of three models on real test folds; synthesis happens inside each training
fold, to balance. Intervals of differences are by Nadeau and Bengio's corrected resampled t-test,
means over the three models. `cart` and `copula` let classifiers choose among the rows drawn.
"""


@dataclass(frozen=True)
class Record:
    """What is known of one system on one split.

    Parameters
    ----------
    seed : int
    cost : mapping of str to float
    scores : mapping of str to float or None
    failed : str
        Why there is no table; empty where there is one.
    about : mapping of str to value
        Of the table and the versions.
    """

    seed: int
    cost: Mapping[str, float]
    scores: Mapping[str, float | None]
    failed: str
    about: Mapping[str, Any]


BUDGETS = """
Models trained on synthetic rows that were drawn under a privacy budget (delta 1e-6, unit: row),
tested on real ones; total variation distance to the training rows over 1-, 2- and 3-way marginals
(ten quantiles a number), which for `real` is that of the holdout. Domains are declared. CPU seconds
are those of the fit. Means over as many splits as the last column tells, each with noise of its
own; figures that rest on different numbers of splits do not compare to the last digit.

Peers fit codes of the same rows: levels as declared, numbers in at most 32 even bins between their
declared bounds, drawn evenly within a bin. `binned` is what these codes cost: the training rows
turned into them and back, without noise or model. `dpmm-mst` is dpmm's MST as shipped; `mbi-mst` is
MST put together of mbi's parts, since what is installed of mbi holds no mechanism.
"""
UNNOISED = ("real", "binned")
TVDS = ("1-way", "2-way", "3-way")


def write(output: Path, cache: Path, tables: Iterable[str], rows: int | None) -> None:
    """Write the page of what the cache holds of these tables."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown(cache, tables, rows), encoding="utf-8")


def markdown(cache: Path, tables: Iterable[str], rows: int | None) -> str:
    """Return the page.

    Parameters
    ----------
    cache : Path
        Where the records are.
    tables : iterable of str
    rows : int, optional
        The limit that the tables were read with.

    Returns
    -------
    str
    """
    sections = []
    versions: dict[str, str] = {name: version(name) for name in ("numpy", "scikit-learn")}
    for name in tables:
        records = _records(cache / f"{name}-{rows or 'all'}")
        for each in records.values():
            for record in each:
                versions |= record.about.get("versions", {})
        sections.append(_table_section(name, records))
    told = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    head = (
        "# Results\n\nWritten by `make bench`; do not edit.\n\n"
        f"Machine: {machine()}.\nVersions: Python {platform.python_version()}, {told}.\n"
    )
    if rows:
        head += f"\nAt most {rows:,} rows of each table were read: a trial run.\n"
    extra = [
        _minority_section(cache / MINORITY),
        _private_section(cache / PRIVATE),
        _scaling_section(cache / SCALING),
        _kernel_section(cache / KERNELS),
    ]
    return "\n".join([head, HOW_TO_READ, _systems(), *sections, *filter(None, extra)])


def machine() -> str:
    """Say what this runs on, without a name that tells whose it is."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {sys.platform}"


def _systems() -> str:
    rows = list(REFERENCES.items())
    rows += [(system.name, system.words) for system in SYSTEMS.values()]
    return "## Systems\n\n" + _grid(("system", "what it is"), rows)


def _records(folder: Path) -> dict[str, list[Record]]:
    """Read the records of a table, in the order of references and systems."""
    found: dict[str, list[Record]] = {}
    for name in (*REFERENCES, *SYSTEMS):
        for place in sorted((folder / name).glob("*"), key=lambda path: int(path.name)):
            run, scores = (_read(place / file) for file in ("run.json", "scores.json"))
            if not run and not scores:
                continue
            failed = run.get("failed", "")
            found.setdefault(name, []).append(
                Record(
                    int(place.name),
                    run.get("cost", {}),
                    {} if failed else scores.get("scores", {}),
                    failed,
                    {**scores, **run},
                )
            )
    return found


def _read(file: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return record


def _table_section(name: str, records: Mapping[str, Sequence[Record]]) -> str:
    spec = TABLES[name]
    first = next(iter(records["real-holdout"]))
    train, holdout = first.about["of"]["rows"]
    share = first.about["positives"] / train
    words = (
        f"{train:,} rows to train on, {holdout:,} held out, {first.about['columns']} columns; "
        f"target {spec.target}, {share:.1%} positive; splits: {len(records['real-holdout'])}"
    )
    quality = [
        (_named(system, each), str(_done(each)), *(show(each) for show in _QUALITY.values()))
        for system, each in records.items()
    ]
    ran = {system: each for system, each in records.items() if system in SYSTEMS}
    costs = [
        (_named(system, each), *(show(each) for show in _COSTS.values()), *_ratios(each, ran))
        for system, each in ran.items()
    ]
    ratios = [f"{phase} / {ours.split('-')[1]}" for ours in OURS for phase in ("fit", "sample")]
    return "\n".join(
        [
            f"## {name}\n\n{words}.\n",
            _grid(("system", "splits", *_QUALITY), quality),
            _grid(("system", *_COSTS, *ratios), costs) if costs else "",
            *_failures(ran),
        ]
    )


def _named(system: str, records: Sequence[Record]) -> str:
    """Mark a system whose figures rest on sources that have changed since."""
    if system in REFERENCES:
        return system
    now = sources_of(SYSTEMS[system])
    stale = any(record.about["of"].get("sources") != now for record in records)
    return f"{system} †" if stale else system


def _done(records: Sequence[Record]) -> int:
    return sum(not record.failed for record in records)


def _failures(records: Mapping[str, Sequence[Record]]) -> list[str]:
    return [
        f"{system} failed on split {record.seed}: `{record.failed}`\n"
        for system, each in records.items()
        for record in each
        if record.failed
    ]


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and half of its 95% interval; None where there is a single value."""
    if len(values) < 2:
        return fmean(values), None
    return fmean(values), STUDENT.get(len(values), 2.0) * stdev(values) / math.sqrt(len(values))


Show = Callable[[Sequence[Record]], str]


def _values(records: Sequence[Record], part: str, key: str) -> list[float]:
    parts = (getattr(record, part) for record in records if not record.failed)
    return [values[key] for values in parts if values.get(key) is not None]


def _figure(key: str, digits: int = 3) -> Show:
    def show(records: Sequence[Record]) -> str:
        values = _values(records, "scores", key)
        if not values:
            return NONE
        mean, half = interval(values)
        return _short(mean, digits) + ("" if half is None else f" ±{_short(half, digits)}")

    return show


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def _attack(prefix: str) -> Show:
    tpr, lower = (_figure(f"{prefix}membership_{key}", 4) for key in ("tpr", "lower"))

    def show(records: Sequence[Record]) -> str:
        if tpr(records) == NONE:
            return NONE
        return f"{tpr(records)} (≥ {lower(records).split(' ')[0]})"

    return show


def _cost(key: str, scale: float, unit: str = "") -> Show:
    def show(records: Sequence[Record]) -> str:
        values = _values(records, "cost", key)
        return f"{_three(fmean(values) / scale)}{unit}" if values else NONE

    return show


def _three(value: float) -> str:
    """Write a number with three digits that count."""
    if not value:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}"


_QUALITY: Mapping[str, Show] = {
    "1-way": _figure("agreement_1way", 4),
    "2-way": _figure("agreement_2way", 4),
    "3-way": _figure("agreement_3way", 4),
    "ROC-AUC": _figure("roc_auc"),
    "PR-AUC": _figure("pr_auc"),
    "F1": _figure("f1"),
    "closer": _figure("closer_to_train"),
    "TPR": _attack(""),
    "rare TPR": _attack("rare_"),
}
_COSTS: Mapping[str, Show] = {
    "fit CPU s": _cost("fit_cpu_seconds", 1),
    "sample CPU s": _cost("sample_cpu_seconds", 1),
    "import CPU s": _cost("import_cpu_seconds", 1),
    "peak MiB": _cost("sample_peak_bytes", 2**20),
    "import MiB": _cost("import_peak_bytes", 2**20),
}


def _ratios(mine: Sequence[Record], records: Mapping[str, Sequence[Record]]) -> list[str]:
    shown = []
    for ours in OURS:
        for phase in ("fit", "sample"):
            over, under = (
                _values(each, "cost", f"{phase}_cpu_seconds")
                for each in (mine, records.get(ours, ()))
            )
            shown.append(_ratio(over, under))
    return shown


def _ratio(over: Sequence[float], under: Sequence[float]) -> str:
    if not over or not under or not fmean(under):
        return NONE
    return f"{_three(fmean(over) / fmean(under))} x"


def _scaling_section(folder: Path) -> str:
    """Show fits by rows and columns, and sampling by rows, of each engine."""
    records = [_read(file) for file in sorted(folder.glob("*.json"))]
    fits = sorted(
        (r["columns"], r["rows"], r["system"], r["cost"]) for r in records if r["kind"] == "fit"
    )
    drawn = sorted((r["system"], r["rows"], r["cost"]) for r in records if r["kind"] == "sample")
    if not fits and not drawn:
        return ""
    least = {(c, s): (r, cost) for c, r, s, cost in reversed(fits)}
    lines = []
    for columns, rows, system, cost in fits:
        first, before = least[columns, system]
        growth = [
            _three(cost[key] / before[key] / (rows / first)) if before[key] else NONE
            for key in ("fit_cpu_seconds", "sample_cpu_seconds")
        ]
        lines.append(
            (
                system,
                f"{columns}",
                f"{rows:,}",
                _three(cost["fit_cpu_seconds"]),
                _three(cost["sample_cpu_seconds"]),
                *growth,
                _three(cost["sample_peak_bytes"] / 2**20),
            )
        )
    lines.sort(key=lambda line: (line[0], int(line[1]), int(line[2].replace(",", ""))))
    sampled = [
        (
            system,
            f"{rows:,}",
            _three(cost["sample_cpu_seconds"]),
            _three(cost["sample_seconds"]),
            f"{rows / cost['sample_cpu_seconds']:,.0f}",
            _three(cost["sample_peak_bytes"] / 2**20),
        )
        for system, rows, cost in drawn
    ]
    return "\n".join(
        [
            "## Scaling\n\nA made-up table; as many rows are drawn as are fitted. Growth is CPU "
            "a row over that of the fewest rows: 1 is linear, less is better.\n",
            _grid(
                (
                    "system",
                    "columns",
                    "rows",
                    "fit CPU s",
                    "sample CPU s",
                    "fit growth",
                    "sample growth",
                    "peak MiB",
                ),
                lines,
            ),
            "Sampling into Parquet, fitted to 100,000 rows of 15 columns; the peak is that of "
            "fit and sampling. A core is one CPU second a second.\n",
            _grid(
                ("system", "rows", "CPU s", "seconds", "rows / s / core", "peak MiB"),
                sampled,
            ),
        ]
    )


def _kernel_section(file: Path) -> str:
    """Show each kernel beside its floor in plain numpy."""
    benchmarks = _read(file).get("benchmarks", [])
    best = {(b["group"], b["params"]["way"]): b["stats"]["min"] for b in benchmarks}
    lines = [
        (
            group,
            _three(1000 * seconds),
            _three(1000 * best[group, "floor"]),
            f"{_three(seconds / best[group, 'floor'])} x",
        )
        for (group, way), seconds in best.items()
        if way == "privsynth" and best.get((group, "floor"))
    ]
    if not lines:
        return ""
    return (
        "## Kernels\n\nBest of several rounds, CPU milliseconds, one thread; the floor is the same "
        "work in a few lines of plain numpy.\n\n"
        + _grid(("kernel", "privsynth ms", "floor ms", "ratio"), lines)
    )


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _minority_section(folder: Path) -> str:
    """Set augmentations beside each other: PR-AUC by table and model, and mean ranks."""
    files = sorted(folder.glob("*.json"))
    if not files:
        return ""
    parts = ["## Augmentation of the minority", AUGMENTATION]
    ranks: dict[str, list[float]] = {}
    for file in files:
        about = _read(file)["about"]
        figures, verdicts = about["folds"]["pr_auc"], about["verdicts"]["pr_auc"]
        methods = list(next(iter(figures.values())))
        means = {m: [fmean(figures[learner][m]) for learner in figures] for m in methods}
        ranked = [m for m in methods if m not in SAME_RANKING]
        for i in range(len(figures)):
            order = sorted(ranked, key=lambda m: -means[m][i])
            for place, m in enumerate(order, 1):
                ranks.setdefault(m, []).append(place)
        rows = [
            [
                m,
                *(f"{value:.4f}".lstrip("0") for value in means[m]),
                _difference(verdicts.get(m, {})),
            ]
            for m in ranked
        ]
        splits = about["splits"]
        parts.append(
            f"**{file.stem}**: {about['rows']['real']:,} rows, {about['positives']} positive, "
            f"{splits['folds']} folds x {splits['repeats']}.\n"
        )
        parts.append(_grid(("method", *figures, "mean difference to nothing"), rows))
    order = sorted(ranks, key=lambda m: fmean(ranks[m]))
    mean = [[m, f"{fmean(ranks[m]):.2f}", str(len(ranks[m]))] for m in order]
    parts.append("**Mean ranks** over tables and models, 1 is best.\n")
    parts.append(_grid(("method", "mean rank", "rankings"), mean))
    return "\n".join(parts)


def _difference(verdict: Mapping[str, Any]) -> str:
    """Return the mean difference to doing nothing, its interval, and the verdict."""
    if "nothing" not in verdict:
        return "-"
    gain = verdict["nothing"]["mean"]
    shown = f"{gain['gain']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
    return f"{shown}: {gain['verdict']}"


Splits = dict[tuple[str, str], dict[str, dict[str, Any]]]
"""By engine and epsilon the records, by split."""


def _private_section(folder: Path) -> str:
    """Set engines under a privacy budget beside each other, by table and epsilon."""
    tables = {path.name: _splits(path) for path in sorted(folder.glob("*")) if path.is_dir()}
    if not tables:
        return ""
    parts = ["## Differential privacy", BUDGETS]
    for name, splits in tables.items():
        rows = [
            [epsilon or NONE, engine, *_budget_figures(done)]
            for (engine, epsilon), records in sorted(splits.items(), key=_by_epsilon)
            if (done := _that_ran(records))
        ]
        heads = ("epsilon", "engine", "ROC-AUC", "PR-AUC", *TVDS, "CPU s", "splits")
        parts += [f"**{name}**\n", _grid(heads, rows)]
        parts += [
            f"{engine} failed at epsilon {epsilon} on split {seed}: `{record['failed']}`\n"
            for (engine, epsilon), records in sorted(splits.items())
            for seed, record in sorted(records.items())
            if "failed" in record
        ]
    return "\n".join([*parts, _mean_ranks(tables)])


def _splits(folder: Path) -> Splits:
    """Read the records of a table; those of references have no epsilon."""
    found: Splits = {}
    for file in sorted(folder.glob("*.json")):
        name, seed = file.stem.rsplit("-", 1)
        engine, epsilon = (name, "") if name in UNNOISED else name.rsplit("-", 1)
        found.setdefault((engine, epsilon), {})[seed] = _read(file)
    return found


def _that_ran(records: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [record for record in records.values() if "scores" in record]


def _budget_figures(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return means over splits (two of utility, three distances, cost) and the number of splits."""
    mean = {key: fmean(r["scores"][key] for r in records) for key in records[0]["scores"]}
    useful = [f"{mean[key]:.3f}" for key in ("roc_auc", "pr_auc")]
    tvd = [f"{1 - mean[f'agreement_{order}way']:.4f}" for order in (1, 2, 3)]
    costs = [record["cpu_seconds"] for record in records if "cpu_seconds" in record]
    return [*useful, *tvd, f"{fmean(costs):.1f}" if costs else NONE, str(len(records))]


def _by_epsilon(
    entry: tuple[tuple[str, str], Mapping[str, Mapping[str, Any]]],
) -> tuple[float, float, str]:
    (engine, epsilon), records = entry
    roc = fmean([record["scores"]["roc_auc"] for record in _that_ran(records)] or [0.0])
    return float(epsilon or 0), -roc, engine


def _mean_ranks(tables: Mapping[str, Splits]) -> str:
    """Rank our engines, alone and beside each peer, where all that are ranked ran."""
    scores: dict[tuple[str, str, str], dict[str, float]] = {}
    for name, splits in tables.items():
        for (engine, epsilon), records in splits.items():
            for seed, record in records.items():
                if epsilon and "scores" in record:
                    roc = record["scores"]["roc_auc"]
                    scores.setdefault((name, epsilon, seed), {})[engine] = roc
    ran = {engine for each in scores.values() for engine in each}
    ours = ran - {*BUDGETED}
    fields = {"ours": ours, **{f"with {p}": ours | {p} for p in BUDGETED if p in ran}}
    heads, ranks = ["engine"], []
    for words, field in fields.items():
        found: dict[str, list[int]] = {engine: [] for engine in field}
        for each in scores.values():
            if field <= {*each}:
                for place, engine in enumerate(sorted(field, key=lambda e: -each[e]), 1):
                    found[engine].append(place)
        heads.append(f"{words} ({max(map(len, found.values()), default=0)})")
        ranks.append({engine: fmean(places) for engine, places in found.items() if places})
    order = sorted(ran, key=lambda engine: next((r[engine] for r in ranks if engine in r), 99.0))
    rows = [
        [engine, *(f"{r[engine]:.2f}" if engine in r else NONE for r in ranks)] for engine in order
    ]
    return (
        "**Mean ranks** by ROC-AUC, 1 is best, over the tables, epsilons and splits (how many, in "
        "brackets) that every engine of the column ran.\n\n" + _grid(heads, rows)
    )
