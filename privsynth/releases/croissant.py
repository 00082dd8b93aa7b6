"""Metadata of the synthetic table in MLCommons' Croissant format, version 1.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from privsynth.releases.files import TABLES
from privsynth.table.formulas import escape_names

__all__ = ["croissant"]

_TERMS = (
    "citeAs",
    "column",
    "equivalentProperty",
    "extract",
    "field",
    "fileProperty",
    "fileObject",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS},
}

_ESCAPED = (
    " A ' stands before each cell or column name that a spreadsheet would run as a formula, and "
    "is no part of the value."
)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")

_TYPES = (
    (("int", "uint"), "sc:Integer"),
    (("float", "double", "half", "decimal"), "sc:Float"),
    (("bool",), "sc:Boolean"),
    (("date", "timestamp"), "sc:Date"),
)


def croissant(
    output: Mapping[str, Any], guarantee: str, *, attacked: bool = True
) -> dict[str, Any]:
    """Describe a synthetic table as Croissant metadata.

    Parameters
    ----------
    output : mapping
        The card's entry for the table: file, rows, whether it is escaped, columns (name and
        dtype), bytes, sha256.
    guarantee : str
        What is proven of it, in words.
    attacked : bool
        Whether the card beside it reports attacks.

    Returns
    -------
    dict
        JSON-LD. The specification also requires a creator, a licence, a URL and a date of
        publication. The publisher adds those in a copy: none of them is known here.

    Notes
    -----
    https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html
    """
    table, escaped = output["file"], bool(output.get("escaped", False))
    names = [column["name"] for column in output["columns"]]
    header = escape_names(names) if escaped else names
    attacks = "the attacks that were tried and for " if attacked else ""
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "synthetic",
        "description": (
            f"{output['rows']:,} synthetic rows made by privsynth: {guarantee}. See card.json for "
            f"{attacks}what is not covered." + (_ESCAPED if escaped else "")
        ),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table,
                "name": table,
                "contentUrl": table,
                "contentSize": f"{output['bytes']} B",
                "encodingFormat": TABLES[table],
                "sha256": output["sha256"],
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "field": [
                    _field(i, column, head, table)
                    for i, (column, head) in enumerate(
                        zip(output["columns"], header, strict=True), 1
                    )
                ],
            }
        ],
    }


def _field(place: int, column: Mapping[str, str], header: str, table: str) -> dict[str, Any]:
    name, dtype = column["name"], column["dtype"]
    kinds = [kind for starts, kind in _TYPES if dtype.startswith(starts)]
    return {
        "@type": "cr:Field",
        # Readers refuse an id with a blank in it, even an escaped one.
        "@id": f"rows/{name if _PLAIN.fullmatch(name) else f'column~{place}'}",
        "name": name,
        "dataType": kinds[0] if kinds else "sc:Text",
        "source": {"fileObject": {"@id": table}, "extract": {"column": header}},
    }
