"""Made-up patients with several rows each, and their schema."""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.schema import Column, Kind, Role, Schema, Unit

SCHEMA = Schema(
    (
        Column("patient", Kind.ID, "int64"),
        Column("age", Kind.NUMERIC, "double"),
        Column("sex", Kind.CATEGORICAL, "string"),
        Column("dose", Kind.NUMERIC, "double"),
        Column("pain", Kind.NUMERIC, "double"),
        Column("ward", Kind.CATEGORICAL, "string"),
        Column("ill", Kind.CATEGORICAL, "string", role=Role.TARGET),
    ),
    Unit("patient"),
)


def visits(patients: int, seed: int, most: int = 6) -> pd.DataFrame:
    """Patients with 1 to `most` rows, who keep their age and sex and stay near their own dose."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, most + 1, patients)
    of = np.repeat(np.arange(patients), rows)
    age, mean = rng.uniform(20, 90, patients).round(1), rng.normal(size=patients)
    sex = rng.choice(["f", "m"], patients)
    dose = (mean[of] + 0.5 * rng.normal(size=len(of))).round(3)
    pain = (dose + age[of] / 40 + rng.normal(size=len(of))).round(3)
    return pd.DataFrame(
        {
            "patient": seed * 1_000_000 + of,
            "age": age[of],
            "sex": sex[of],
            "dose": dose,
            "pain": pain,
            "ward": np.array(["a", "b", "c", "d"])[np.digitize(pain, [0, 1.5, 3])],
            "ill": np.where(dose + rng.normal(size=len(of)) > 2, "yes", "no"),
        }
    )
