"""How sure a match makes: from its strength and its lead to a probability."""

LEAST_MATCH_DB = 34.4
"""Match below which nothing is named: there fewer than nine in ten were right, see `STEPS`."""

MARGIN_BASE_DB = 30.0
"""Evidence for a mistake without which the edge is explained as well."""

MARGIN_FACTOR = 3.0
"""Evidence in dB for each dB that a mistake explains."""

STEPS = (
    (20.1, 0.250),
    (28.0, 0.778),
    (34.5, 0.993),
)
"""Least evidence in dB, and the share of mistakes named on it that were right.

Isotonic regression with Laplace's rule over the 154 mistakes that the best match had in 174
cases; ``benchmarks/preprocessing_confidence.py`` makes it, on networks and kinds of faults
other than ``benchmarks/preprocessing.py`` reports.
"""


def evidence_db(match_db: float, margin_db: float) -> float:
    """Return match and lead in one number: a mistake is as sure as the weaker of the two."""
    return min(match_db, MARGIN_BASE_DB + MARGIN_FACTOR * max(margin_db, 0.0))


def confidence(match_db: float, margin_db: float) -> float:
    """Return the probability that a mistake named with this evidence is right.

    Args:
        match_db: How well the alternative matches what the edge saw.
        margin_db: How much worse the best one does that lacks the mistake.

    >>> confidence(60.0, 20.0) > confidence(34.0, 20.0) > confidence(60.0, 0.0) - 0.01
    True
    """
    evidence = evidence_db(match_db, margin_db)
    return max((share for least, share in STEPS if evidence >= least), default=0.0)
