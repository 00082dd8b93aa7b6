"""Engine `cart`: sequential trees over codes.

Import the recipe from here, and nothing else. The package must never see a column's values: it
learns and draws codes.
"""

from privsynth.engines.cart.recipe import Cart

__all__ = ["Cart"]
