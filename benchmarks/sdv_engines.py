"""SDV's engines against an independent shuffle and against SDV itself, on real tables.

    PRIVSYNTH_BENCH_DATA=FOLDER python benchmarks/sdv_engines.py [--tables NAME ...] [--rows N]
                                                                 [--epochs E] [--gan]

For each table: 2-way agreement (1 - total variation distance, mean over all pairs) of
sdv-gaussian-copula, of the training table with its columns shuffled, and of the holdout. With
`--gan` also CTGAN and TVAE beside SDV's own at the same epochs: ROC-AUC and average precision of
HistGradientBoosting trained on synthetic rows and tested on real ones (takes minutes).
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import privsynth

TABLES = {
    "adult": "income",
    "nass_cds": "dead",
    "vehicle_fraud": "FraudFound_P",
    "bank_marketing": "y",
}


LEFT_OUT = ("caseid",)


def agreement(codes: np.ndarray, other: np.ndarray, codec) -> float:
    """Mean over all pairs of columns of 1 - total variation distance; ten quantile bins."""
    left, right, sizes = [], [], []
    for j, coding in enumerate(codec.codings):
        size, edges = coding.size, None
        if coding.ordered and size > 20:
            edges = np.unique(np.quantile(codes[:, j], np.arange(1, 10) / 10, method="lower"))
            size = len(edges) + 1
        for table, binned in ((codes, left), (other, right)):
            column = table[:, j].astype(np.int64)
            binned.append(column if edges is None else np.searchsorted(edges, column, "right"))
        sizes.append(size)
    each = []
    for i, j in itertools.combinations([j for j, size in enumerate(sizes) if size > 1], 2):
        counts = [
            np.bincount(b[i] * sizes[j] + b[j], minlength=sizes[i] * sizes[j]) / len(b[i])
            for b in (left, right)
        ]
        each.append(1 - np.abs(counts[0] - counts[1]).sum() / 2)
    return float(np.mean(each))


def tstr(codes: np.ndarray, holdout: np.ndarray, codec) -> str:
    """Train on `codes`, test on `holdout`: ROC-AUC and average precision of the rarer class."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import average_precision_score, roc_auc_score

    sizes, target = codec.sizes, codec.target
    inputs = [j for j in range(len(sizes)) if j != target and sizes[j] > 1]
    nominal = [i for i, j in enumerate(inputs) if not codec.codings[j].ordered and sizes[j] <= 250]
    rare = int(np.bincount(holdout[:, target]).argmin())
    model = HistGradientBoostingClassifier(
        max_iter=60, categorical_features=nominal, random_state=0
    ).fit(codes[:, inputs], codes[:, target] == rare)
    score = model.predict_proba(holdout[:, inputs])[:, 1]
    truth = holdout[:, target] == rare
    return f"AUC {roc_auc_score(truth, score):.3f} AP {average_precision_score(truth, score):.3f}"


def sdv_rows(name: str, table, epochs: int, n: int):
    """Rows of SDV's own synthesizer with its defaults, in a home folder of its own."""
    import pyarrow as pa

    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["HOME"] = home
        from sdv.metadata import Metadata
        from sdv.single_table import CTGANSynthesizer, TVAESynthesizer

        frame = table.to_pandas()
        texts = frame.select_dtypes("category").columns
        frame = frame.astype(dict.fromkeys(texts, object))
        synthesizer = {"sdv-ctgan": CTGANSynthesizer, "sdv-tvae": TVAESynthesizer}[name](
            Metadata.detect_from_dataframes({"t": frame}), epochs=epochs, enable_gpu=False
        )
        synthesizer.fit({"t": frame})
        made = synthesizer.sample(n)
    made = pa.Table.from_pandas(made["t"] if isinstance(made, dict) else made)
    plain = [
        field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        for field in table.schema
    ]
    return pa.table(
        {
            field.name: made.column(field.name).cast(dtype)
            for field, dtype in zip(table.schema, plain, strict=True)
        }
    )


def main() -> int:
    """Print one line a figure."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=10_000, help="training rows for --gan")
    arguments.add_argument("--epochs", type=int, default=30)
    arguments.add_argument("--gan", action="store_true")
    arguments.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    asked = arguments.parse_args()
    folder = os.environ.get("PRIVSYNTH_BENCH_DATA")
    if not folder:
        print("skipped: set PRIVSYNTH_BENCH_DATA to the folder that holds the real tables")
        return 0
    from privsynth.table import read

    for name in asked.tables:
        target = TABLES[name]
        whole = read(str(Path(folder) / f"{name}.parquet"))
        # SDV would spend a category on every id.
        table = read(whole.to_arrow([c for c in whole.names if c not in LEFT_OUT]))
        order = np.random.default_rng(0).permutation(table.n_rows)
        some = asked.rows if asked.gan else table.n_rows * 3 // 5
        train, holdout = table.take(order[:some]), table.take(order[some:])
        for engine in ("sdv-gaussian-copula", *(("sdv-ctgan", "sdv-tvae") if asked.gan else ())):
            settings = {} if "copula" in engine else {"epochs": asked.epochs}
            start = time.perf_counter()
            model = privsynth.fit(
                train.to_arrow(), engine=engine, target=target, seed=0, settings=settings
            )
            took = time.perf_counter() - start
            codec = model.codec
            real, test = codec.encode(train.to_arrow()), codec.encode(holdout.to_arrow())
            if not settings:
                rng = np.random.default_rng(1)
                shuffled = np.stack([rng.permutation(column) for column in real.T], axis=1)
                print(
                    f"{name}: real: 2-way {agreement(real, test, codec):.3f}, "
                    f"TSTR {tstr(real, test, codec)}"
                )
                print(f"{name}: shuffle: 2-way {agreement(real, shuffled, codec):.3f}")
            made = codec.encode(model.sample(len(real), seed=1))
            print(
                f"{name}: {engine}: 2-way {agreement(real, made, codec):.3f}, "
                f"TSTR {tstr(made, test, codec)}, fit {took:.0f} s"
            )
            if settings:
                start = time.perf_counter()
                theirs = sdv_rows(engine, train.to_arrow(), asked.epochs, len(real))
                made = codec.encode(theirs)
                print(
                    f"{name}: SDV's own for {engine}: 2-way {agreement(real, made, codec):.3f}, "
                    f"TSTR {tstr(made, test, codec)}, fit {time.perf_counter() - start:.0f} s"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
