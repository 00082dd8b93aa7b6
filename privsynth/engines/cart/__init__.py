"""Engine `cart`: sequential trees over codes.

Import the recipe from here. Growing a tree, weighing columns and drawing rows have files of
their own; none of them knows a column's values.
"""

from privsynth.engines.cart.recipe import Cart

__all__ = ["Cart"]
