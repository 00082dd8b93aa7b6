"""The systems that are measured: ours by engine, and the peers, each in an environment of its own.

An adapter is a module of this folder with three functions, and imports nothing of privsynth unless
it is ours: ``load(options)`` imports what it needs and gives the versions, ``fit(train, target,
seed, options)`` reads the Parquet file and gives a model, ``sample(model, rows, out, seed)`` writes
a Parquet file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BUDGETED", "DEFAULT", "SYSTEMS", "System"]


@dataclass(frozen=True)
class System:
    """One system.

    Parameters
    ----------
    name : str
    adapter : str
        A module of this folder.
    environment : str or None
        The peer's virtual environment; None for privsynth's own.
    options : mapping of str to value
        For the adapter.
    words : str
        What it is, for the reader of the results.
    """

    name: str
    adapter: str
    environment: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""


def _ours(engine: str, words: str, **settings: Any) -> System:
    return System(
        f"privsynth-{engine}", "ours", None, {"engine": engine, "settings": settings}, words
    )


def _sdv(name: str, synthesizer: str, words: str, **settings: Any) -> System:
    return System(name, "sdv_peer", "sdv", {"class": synthesizer, "settings": settings}, words)


SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        _ours("cart", "sequential trees, defaults"),
        _ours("copula", "native Gaussian copula, defaults"),
        _ours("sdv-gaussian-copula", "SDV's copula as privsynth runs it"),
        _ours("sdv-ctgan", "CTGAN as privsynth runs it, 30 epochs", epochs=30),
        _ours("sdv-tvae", "TVAE as privsynth runs it, 30 epochs", epochs=30),
        _sdv("sdv-copula", "GaussianCopulaSynthesizer", "SDV's GaussianCopula, defaults"),
        _sdv("sdv-ctgan", "CTGANSynthesizer", "SDV's CTGAN, 30 epochs", epochs=30),
        _sdv("sdv-tvae", "TVAESynthesizer", "SDV's TVAE, 30 epochs", epochs=30),
        System("arfpy", "arf_peer", "arf", {"trees": 10}, "adversarial random forest, 10 trees"),
        System(
            "mostlyai-argn",
            "argn_peer",
            "mostly",
            {"minutes": 2.0},
            "MOSTLY AI's autoregressive network, at most 2 minutes of training",
        ),
    )
}

DEFAULT = ("privsynth-cart", "privsynth-copula", "sdv-copula", "arfpy", "mostlyai-argn")
"""The systems that are run unless others are named; networks of many epochs take long."""

BUDGETED: Mapping[str, System] = {
    system.name: system
    for system in (
        System("mbi-mst", "mbi_peer", "mbi", {}, "MST put together of mbi's parts"),
        System("dpmm-mst", "dpmm_peer", "dpmm", {}, "dpmm's MST, as shipped"),
    )
}
"""Peers that keep a privacy budget: they read and write codes.

As options they are told ``epsilon``, ``delta``, ``rho`` (what both come to in zero-concentrated
privacy) and ``sizes``, how many codes each column has.
"""
