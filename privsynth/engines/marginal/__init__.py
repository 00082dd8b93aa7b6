"""Engines under a budget that measure marginals: `marginals`, `mst`, `aim`, `independent`.

Import the recipes from here. They select cliques, measure them through the curator, and fit one
graphical model to the noisy counts; none of them sees an exact count.
"""

from privsynth.engines.marginal.recipes import AIM, MST, Independent, Marginals

__all__ = ["AIM", "MST", "Independent", "Marginals"]
