"""Metrics of classification. Pure NumPy: predicted classes in, numbers out.

Shape legend: `n` nodes, `C` classes.
"""

import numpy as np

from llmgnn_jax.errors import UserError

METRICS = ("accuracy", "macro_f1")


def evaluate_classes(
    predicted: np.ndarray, labels: np.ndarray, *, num_classes: int
) -> dict[str, float]:
    """Compares predicted classes with the true ones.

        accuracy  share of nodes whose class was found
        macro_f1  mean over classes of F1 = 2 TP / (2 TP + FP + FN), of those classes
                  that some node has or was said to have

    Args:
        predicted: (n,) classes.
        labels: (n,) classes.
        num_classes: C.

    Raises:
        UserError: If there is no node: no mean exists.
        ValueError: If shapes differ or a class is not in [0, C).
    """
    predicted, labels = np.asarray(predicted, np.int64), np.asarray(labels, np.int64)
    if predicted.shape != labels.shape or labels.ndim != 1:
        raise ValueError(f"predicted {predicted.shape}, labels {labels.shape}: not (n)")
    if not labels.size:
        raise UserError.field(
            "labels", expected="at least one labelled node", got="none"
        )
    for name, classes in (("predicted", predicted), ("labels", labels)):
        if not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(f"{name} must lie in [0, {num_classes})")
    found = np.bincount(labels[predicted == labels], minlength=num_classes)
    said = np.bincount(predicted, minlength=num_classes)
    true = np.bincount(labels, minlength=num_classes)
    # 2 TP + FP + FN: once as said, once as true.
    either = said + true
    f1 = 2 * found[either > 0] / either[either > 0]
    return {
        "accuracy": float(found.sum() / labels.size),
        "macro_f1": float(f1.mean()),
    }
