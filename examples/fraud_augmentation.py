"""More of a rare class in Python: add synthetic bad loans, and find out whether that helped.

python examples/fraud_augmentation.py [FOLDER]
"""

import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
from imblearn.pipeline import make_pipeline
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.preprocessing import OrdinalEncoder

import privsynth


def main(folder: Path) -> None:
    """Augment in a pipeline, attack SMOTE, draw and judge; files go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    loans = pd.read_csv(str(files("privsynth") / "data" / "lending_club.csv.gz"))
    loans, _ = train_test_split(loans, train_size=4000, stratify=loans["Class"], random_state=0)
    X, y = loans.drop(columns="Class"), loans["Class"]

    # As any imbalanced-learn sampler: rows are added inside each training fold, never to a test.
    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            make_column_selector(dtype_exclude="number"),
        ),
        remainder="passthrough",
    )
    pipeline = make_pipeline(
        privsynth.MinoritySampler(random_state=0),
        encode,
        HistGradientBoostingClassifier(max_iter=50, random_state=0),
    )
    search = GridSearchCV(
        pipeline,
        {"minoritysampler__sampling_strategy": [0.2, 1.0]},
        scoring="average_precision",
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(X, (y == "bad").astype(int))
    print(f"grid search: PR-AUC {search.best_score_:.3f} with {search.best_params_}")

    sampler = privsynth.MinoritySampler(random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    print(f"{sampler.synthetic_mask_.sum():,} synthetic rows behind {len(X):,} real ones")
    X2[sampler.synthetic_mask_].to_csv(folder / "synthetic_bad.csv", index=False)

    # What SMOTE adds can be traced back to the real rows; what cart adds cannot be, in this way.
    for engine in ("cart", "smotenc"):
        attacked = privsynth.MinoritySampler(engine, random_state=0)
        attacked.fit_resample(X, y)
        found = next(
            score
            for score in attacked.report_.attacks
            if score.name == "smote_reconstruction_recall"
        )
        print(f"{engine}: {found.value or 0:.0%} of the real bad loans can be reconstructed")

    sampler.report_.plot(folder / "before_after.png")  # holds real records

    judged = privsynth.minority_gain(loans, target="Class", engine="cart", folds=3, repeats=1)
    for score in judged.scores:
        if score.name.startswith("gain_pr_auc_cart") and score.value is not None:
            print(f"{score.name}: {score.value:+.3f} ({score.low:+.3f} to {score.high:+.3f})")
    judged.to_html(folder / "judged.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "augmentation-output"))
