"""Values to integer codes and back, and the reading of values as a declared column.

Import from here the codec, its codings, and the functions that build or read them. Nothing here may
query the curator or know an engine: both see codes, and only the codec knows values.
"""

from __future__ import annotations

from privsynth.coding.cells import Cells
from privsynth.coding.codec import MAX_INTEGER_CLASSES, Codec, Coding, spare
from privsynth.coding.declared import check_declared, declared_codec, readable_levels
from privsynth.coding.determined import DeterminedCodes
from privsynth.coding.grid import Units, units_of
from privsynth.coding.learning import learn
from privsynth.coding.levels import OTHER, LevelCodes
from privsynth.coding.reading import as_declared, comparable, numbers_in, unit_texts
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.coding.units import unit_codes, unit_indices
from privsynth.coding.values import as_type, decoded, numbers_of, typed

__all__ = [
    "MAX_INTEGER_CLASSES",
    "OTHER",
    "Cells",
    "Codec",
    "Coding",
    "DeterminedCodes",
    "LevelCodes",
    "SurrogateCodes",
    "Units",
    "as_declared",
    "as_type",
    "check_declared",
    "comparable",
    "declared_codec",
    "decoded",
    "learn",
    "numbers_in",
    "numbers_of",
    "readable_levels",
    "spare",
    "typed",
    "unit_codes",
    "unit_indices",
    "unit_texts",
    "units_of",
]
