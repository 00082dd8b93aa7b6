"""Train CTGAN's and TVAE's networks, and extract their parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.curator import Curator
from privsynth.engines.labels import labels_to_draw
from privsynth.engines.protocols import Progress
from privsynth.engines.sdv.encoding import Category, Encoded, Number, Part, encode
from privsynth.engines.sdv.model import Layer, NetworkModel
from privsynth.errors import DataError

MAX_CLUSTERS = 10
MIN_WEIGHT = 0.005
"""ctgan's settings of a column's Gaussian mixture."""
CALIBRATION_ROWS = 8_192
CALIBRATION_ROUNDS = 30


def train(
    trainer: Callable[..., Any],
    settings: Mapping[str, Any],
    curator: Curator,
    rng: np.random.Generator,
    progress: Progress | None,
    *,
    max_levels: int,
    min_rows: int = 1,
    focus: float = 0.0,
    normal_scores: tuple[str, ...] | None = None,
) -> NetworkModel:
    """Train one of ctgan's synthesizers, and extract its parameters.

    Parameters
    ----------
    trainer : callable
        The synthesizer's class.
    settings : mapping of str to value
        Its arguments.
    curator : Curator
    rng : numpy.random.Generator
    progress : callable, optional
    max_levels : int
        The most categories of a column.
    min_rows : int
        The fewest rows that the network can be trained on.
    focus : float
        The share of training conditions on the target's class.
    normal_scores : tuple of str, optional
        The distribution of each column, where numbers become normal scores.

    Raises
    ------
    DataError
        The table has too few rows, or no column varies.
    """
    import pandas as pd

    codec, k = curator.codec, curator.disclosure.k
    codes = curator.codes()
    n, needed = len(codes), max(2 * k, min_rows)
    if n < needed:
        raise DataError(
            f"the table has {n} rows, but this engine needs {needed}; give more rows, or lower --k"
        )
    # ctgan keeps the order in which categories first appear, which must not disclose the rows'.
    codes = codes[rng.permutation(n)]
    encoded = encode(codec, codes, rng, max_levels=max_levels, distributions=normal_scores)
    if not encoded:
        raise DataError("no column varies, so there is nothing to learn; use sdv-gaussian-copula")
    frame = pd.DataFrame({str(i): column.values for i, column in enumerate(encoded)})
    discrete = [i for i, column in enumerate(encoded) if isinstance(column.part, Category)]
    target = codec.label
    discrete_columns = [encoded[i].part.column for i in discrete]
    watched = _watched(
        trainer,
        mixture=_mixture(n, k),
        aim=(discrete_columns.index(target), focus) if target in discrete_columns else None,
        report=lambda epochs: progress("fit", epochs, settings["epochs"]) if progress else None,
    )
    with _quiet():
        network = watched(**settings)
        network.set_random_state(int(rng.integers(2**31)))
        network.fit(frame, [str(i) for i in discrete])
    counts = (
        np.array([n])
        if target is None
        else np.bincount(codes[:, target], minlength=codec.sizes[target])
    )
    decoder = getattr(network, "decoder", None)
    transformer = network.transformer if decoder is not None else network._transformer
    noise = None if decoder is None else decoder.sigma.detach().cpu().numpy()
    model = NetworkModel(
        sizes=codec.sizes,
        target=target,
        prior=counts / n,
        parts=_parts(encoded, transformer, noise),
        residual=decoder is None,
        conditional=decoder is None,
        embedding=settings["embedding_dim"],
        layers=_layers(network._generator if decoder is None else decoder),
    )
    return _calibrated(model, rng)


def _calibrated(model: NetworkModel, rng: np.random.Generator) -> NetworkModel:
    """Shift the last layer's biases until each category has its share of the training rows.

    After a few epochs a network's shares of nulls and levels are off; which rows get them is left
    to the network.
    """
    labels = labels_to_draw(CALIBRATION_ROWS, model.prior, model.target, rng, None)
    classes, class_counts = np.unique(labels, return_counts=True)
    outputs = np.concatenate(
        [model._outputs(int(n), int(c), rng) for c, n in zip(classes, class_counts, strict=True)]
    )
    weight, bias = model.layers[-1]
    shifted = bias.copy()
    for part, span in zip(model.parts, model._spans, strict=True):
        if not isinstance(part, Category) or part.column == model.target:
            continue
        logits, shift = outputs[:, span].astype(float), np.zeros(part.width)
        for _ in range(CALIBRATION_ROUNDS):
            moved = logits + shift
            odds = np.exp(moved - moved.max(axis=1, keepdims=True))
            shares = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
            shift += np.log(part.shares / np.maximum(shares, 1e-12))
        shifted[span] += shift.astype(np.float32)
    return replace(model, layers=(*model.layers[:-1], (weight, shifted)))


def _mixture(n: int, k: int) -> dict[str, Any]:
    """Return the settings under which every component of a mixture rests on k of n rows."""
    # Slightly below k/n, so that a mixture of one component remains if n equals k.
    weight = max(MIN_WEIGHT, k / n * (1 - 1e-6))
    return {"max_clusters": min(MAX_CLUSTERS, n // k), "weight_threshold": weight}


def _watched(
    trainer: Any,
    *,
    mixture: Mapping[str, Any],
    aim: tuple[int, float] | None,
    report: Callable[[int], None],
) -> Callable[..., Any]:
    """Patch a trainer: other mixtures, conditions focused on the target, progress per epoch.

    All three are attributes that the trainer's `fit` sets on itself. Intercepting them leaves the
    library unchanged for any other use at the same time.
    """
    from ctgan.data_sampler import DataSampler
    from ctgan.data_transformer import DataTransformer

    class Watched(trainer):  # type: ignore[misc]
        def __setattr__(self, name: str, value: Any) -> None:
            if isinstance(value, DataTransformer):
                value = DataTransformer(**mixture)
            elif isinstance(value, DataSampler) and aim is not None:
                value.sample_condvec = partial(_aimed, value, *aim)
            elif name == "loss_values" and value is not None:
                report(int(value["Epoch"].max()) + 1 if len(value) else 0)
            super().__setattr__(name, value)

    return Watched


def _aimed(sampler: Any, target: int, focus: float, batch: int) -> tuple[Any, ...]:
    """Draw training conditions as `ctgan` does, with a share of `focus` on the target's class.

    Rows are sampled by class, so the generator must learn to answer that condition. On adult (30
    epochs of 10,000 rows, seeds 0 and 1) the ROC-AUC of a classifier trained on synthetic and
    tested on real rows was 0.41 and 0.50 without focus, 0.80 and 0.80 with 0.5, 0.79 and 0.83
    with 0.9; the 2-way agreement 0.81 and 0.82, 0.80 and 0.81, 0.83 and 0.82. Another draw of two
    columns inside their cells moved 0.79 to 0.77, so 0.5 and 0.9 cannot be told apart by these.
    """
    column = np.random.choice(sampler._n_discrete_columns, batch)  # noqa: NPY002 - ctgan's own state
    column[np.random.rand(batch) < focus] = target  # noqa: NPY002
    category = sampler._random_choice_prob_index(column)
    rows = np.arange(batch)
    condition = np.zeros((batch, sampler._n_categories), dtype=np.float32)
    condition[rows, sampler._discrete_column_cond_st[column] + category] = 1
    mask = np.zeros((batch, sampler._n_discrete_columns), dtype=np.float32)
    mask[rows, column] = 1
    return condition, mask, column, category


@contextmanager
def _quiet() -> Iterator[None]:
    """Train in one thread and one process, without warnings; restore everything afterwards.

    More threads sum in another order, and worker processes have random states of their own: both
    would make the bytes depend on the machine.
    """
    import joblib
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    torch.set_num_threads(1)
    try:
        with (
            warnings.catch_warnings(),
            threadpool_limits(1),
            joblib.parallel_config(backend="sequential"),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
        np.random.set_state(state[0])  # noqa: NPY002
        torch.set_rng_state(state[1])


def _parts(encoded: Sequence[Encoded], transformer: Any, noise: Any) -> tuple[Part, ...]:
    """Return the parts with the network's order of categories and its mixtures."""
    parts: list[Part] = []
    start = 0
    for column, info in zip(encoded, transformer._column_transform_info_list, strict=True):
        part = column.part
        if isinstance(part, Category):
            part = part.permuted(np.array(info.transform.dummies, dtype=np.intp))
        else:
            mixture = info.transform._bgm_transformer
            valid = info.transform.valid_component_indicator
            part = Number(
                part.column,
                part.cuts,
                mixture.means_.ravel()[valid].astype(float),
                np.sqrt(mixture.covariances_.ravel()[valid]).astype(float),
                0.0 if noise is None else float(noise[start]),
            )
        parts.append(part)
        start += info.output_dimensions
    return tuple(parts)


def _layers(network: Any) -> tuple[Layer, ...]:
    """Extract a generator's or decoder's layers, with batch normalisation folded in.

    The running statistics of training are used, so that a row does not depend on its batch.
    """
    from torch.nn import Linear

    layers: list[Layer] = []
    for step in network.seq:
        linear = step if isinstance(step, Linear) else getattr(step, "fc", None)
        if linear is None:
            continue
        weight, bias = _array(linear.weight), _array(linear.bias)
        norm = getattr(step, "bn", None)
        if norm is not None:
            gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
            weight = weight * gain[:, None]
            bias = (bias - _array(norm.running_mean)) * gain + _array(norm.bias)
        layers.append((weight.astype(np.float32), bias.astype(np.float32)))
    return tuple(layers)


def _array(tensor: Any) -> npt.NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
