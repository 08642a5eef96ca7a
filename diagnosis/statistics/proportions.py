"""Exact intervals of shares: for rates of detection and of false alarms."""


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share, which holds it at least as often as it says.

    Clopper and Pearson, Biometrika 26 (1934): quantiles of the beta distribution.

    Args:
        count: How often it happened.
        total: Of how many; of none the share may be anything.
        confidence: Share of repetitions in which the interval holds the true value.

    >>> low, high = clopper_pearson(0, 500)
    >>> print(f"{low:.4f} {high:.4f}")
    0.0000 0.0074
    """
    from scipy.stats import beta

    if not total:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high
