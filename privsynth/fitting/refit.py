"""Fit another engine to the noisy measurements of a model, at no privacy cost."""

from __future__ import annotations

from dataclasses import replace

from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel
from privsynth.engines import PRIVATE, Refits, Synthesizer, traits
from privsynth.errors import UsageError
from privsynth.fitting.versions import json_values

__all__ = ["refit"]


def refit(fitted: FittedModel, name: str, synthesizer: Synthesizer) -> FittedModel:
    """Fit another engine to the noisy measurements of a model, at no privacy cost.

    Parameters
    ----------
    fitted : FittedModel
        Fitted under a budget by an engine that measures marginals.
    name : str
        The other engine's name.
    synthesizer : Synthesizer
        Its recipe.

    Raises
    ------
    UsageError
        The model holds no noisy marginals, or the engine cannot use them.
    """
    measured = traits(fitted.card.engine).budget == "required"
    if not measured or not isinstance(synthesizer, Refits):
        raise UsageError(
            f"{name} cannot be fitted to a model of {fitted.card.engine}; give a model of one of "
            f"{', '.join(PRIVATE)}, and choose one of them"
        )
    with threadpool_limits(1):
        model = synthesizer.refit(fitted.model)
    shares = fitted.card.class_shares
    if shares is not None and fitted.codec.target is not None:
        shares = tuple(float(share) for share in model.marginal(fitted.codec.target))
    card = fitted.card.refitted(name, json_values(synthesizer), shares)
    return replace(fitted, model=model, card=card, cautions=(), sources={})
