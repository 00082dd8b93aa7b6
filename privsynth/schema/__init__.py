"""The columns of a table: kinds, domains and roles, schema inference, personal data, surrogates.

Import `Schema` and its nouns, `infer` and `surrogates` from here. Nothing here may fit, sample or
write rows.
"""

from __future__ import annotations

from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.domains import clipped, level_values, round_numbers
from privsynth.schema.inference import infer
from privsynth.schema.kinds import names_persons
from privsynth.schema.schema import Schema, opened
from privsynth.schema.surrogates import surrogates
from privsynth.schema.unit import Unit, agreed_unit

__all__ = [
    "Bounds",
    "Column",
    "Kind",
    "Levels",
    "Role",
    "Schema",
    "Source",
    "Unit",
    "agreed_unit",
    "clipped",
    "infer",
    "level_values",
    "names_persons",
    "opened",
    "round_numbers",
    "surrogates",
]
