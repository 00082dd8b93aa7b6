"""Engine `copula`: a Gaussian copula over codes, exact or under a budget.

Import the recipe from here. The model is built from counts and sums alone, which is why every
condition on it is exact.
"""

from privsynth.engines.copula.recipe import Copula

__all__ = ["Copula"]
