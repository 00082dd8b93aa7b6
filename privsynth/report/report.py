"""What `evaluate` returns: the scores, the verdict, and the ways to show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from privsynth.evaluation import Evaluation, Finding, Policy, Score
from privsynth.files import check_writable, replacing
from privsynth.table import check_distinct

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """The scores of a synthetic table, and the ways to show them.

    Parameters
    ----------
    evaluation : Evaluation
    findings : tuple of Finding, optional
        What the policy says of each score that it gates; without a policy, what ``"standard"``
        says. None if no table was attacked.
    policy : Policy, optional
        The policy that was given.
    sources : mapping of str to Any
        What the report was computed from; no report overwrites a file among them.
    """

    evaluation: Evaluation
    findings: tuple[Finding, ...] | None = None
    policy: Policy | None = None
    sources: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def passed(self) -> bool | None:
        """Whether the policy that was given is met; None if none was given."""
        if self.policy is None:
            return None
        return not any(finding.fails for finding in self.findings or ())

    @property
    def scores(self) -> tuple[Score, ...]:
        """Every score."""
        return self.evaluation.scores

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores must know."""
        return self.evaluation.notes

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The conclusion of `minority_gain` on each engine, one line each."""
        from privsynth.evaluation.minority import conclusion

        about = self.evaluation.about
        engines = (*about.get("methods", ()), *about.get("not_judged", ()))
        return tuple(conclusion(self.evaluation, name) for name in dict.fromkeys(engines))

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the evaluation as JSON, and write it to `path` if one is given."""
        check_distinct(self.sources, {"path": path})
        return _saved(self.evaluation.to_json(), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the evaluation as one HTML page, and write it to `path` if one is given."""
        from privsynth.report.html import render

        check_distinct(self.sources, {"path": path})
        return _saved(render(self.evaluation), path)


def _saved(text: str, path: str | Path | None) -> str:
    if path is not None:
        check_writable(path)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text
