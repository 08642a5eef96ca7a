"""The elements of one layer's output, edge over reference."""

from .board import Board, Column, Link
from .panels import falling, table, trend
from .variables import BUILD, LAYER, MODEL, REFERENCE, ROLE

TO_LAYER = Link("This layer", "layer", {"layer": "layer_index"})
TO_TENSOR = Link("Its distribution", "tensor", {"layer": "layer_index"})

OF_LAYER = "layer_index = TRY_CAST(${layer:sqlstring} AS INTEGER)"
BOTH = "(${build:sqlstring}, ${reference:sqlstring})"

TENSOR = Board(
    name="tensor",
    title="exray / Tensor",
    description="How the elements of one layer's output are distributed, edge over reference."
    " Needs frames at level distribution on both sides.",
    variables=(MODEL, ROLE, BUILD, REFERENCE, LAYER),
    annotated=False,
    panels=(
        trend(
            "Elements by size",
            "Share of the elements in each bucket of the exponential histogram, the build over the"
            " reference; frames at level distribution alone. Healthy: one line upon the other;"
            " a wall at the end is saturation, a comb too coarse a scale.",
            "SELECT CAST((b.lower_bound + b.upper_bound) / 2 AS DOUBLE) AS middle,"
            " CAST(sum(b.edge_ratio) AS DOUBLE) AS build_ratio,"
            " CAST(sum(b.reference_ratio) AS DOUBLE) AS reference_ratio"
            " FROM (SELECT unnest(lower_bounds) AS lower_bound, unnest(upper_bounds) AS upper_bound,"
            " unnest(edge_ratios) AS edge_ratio, unnest(reference_ratios) AS reference_ratio"
            f" FROM build_tensors{BOTH} WHERE {OF_LAYER} AND tensor_role IN ('layer', 'output')) AS b"
            " GROUP BY b.lower_bound, b.upper_bound ORDER BY 1 LIMIT 1000",
            "middle",
            Column("build_ratio", "Build"),
            Column("reference_ratio", "Reference"),
            unit="percentunit",
            width=24,
            height=11,
        ),
        trend(
            "Means by channel",
            "Mean element of each channel, the build over the reference. Healthy: one line upon"
            " the other; an offset is a bias, a factor a scale, an exchange a swapped channel.",
            "SELECT CAST(c.channel AS BIGINT) AS channel, CAST(max(c.edge_mean) AS DOUBLE) AS build_mean,"
            " CAST(max(c.reference_mean) AS DOUBLE) AS reference_mean"
            " FROM (SELECT unnest(channels) AS channel, unnest(edge_means) AS edge_mean,"
            " unnest(reference_means) AS reference_mean"
            f" FROM build_tensors{BOTH} WHERE {OF_LAYER} AND tensor_role IN ('layer', 'output')) AS c"
            " GROUP BY c.channel ORDER BY 1 LIMIT 1000",
            "channel",
            Column("build_mean", "Build"),
            Column("reference_mean", "Reference"),
            width=24,
        ),
        table(
            "All tensors",
            "Quantiles of every tensor that was recorded at level distribution, and how much of"
            " both distributions lies in the same buckets. Healthy: an overlap near 1; it falls"
            " along a quantized network, but not at one layer.",
            "SELECT tensor_role, layer_index, tensor_name, op, overlap_ratio, edge_p01,"
            " reference_p01, edge_p50, reference_p50, edge_p99, reference_p99"
            f" FROM build_tensors{BOTH} WHERE overlap_ratio IS NOT NULL"
            " ORDER BY layer_index NULLS FIRST, tensor_name LIMIT 500",
            Column("tensor_role", "Role"),
            Column("layer_index", "#", width=50),
            Column("tensor_name", "Tensor", link=TO_TENSOR),
            Column("op", "Operator", link=TO_LAYER),
            Column("overlap_ratio", "Overlap", "percentunit", decimals=1, steps=falling(0.5, 0.8)),
            Column("edge_p01", "1 %", decimals=4),
            Column("reference_p01", "1 % of reference", decimals=4),
            Column("edge_p50", "Median", decimals=4),
            Column("reference_p50", "Median of reference", decimals=4),
            Column("edge_p99", "99 %", decimals=4),
            Column("reference_p99", "99 % of reference", decimals=4),
            height=12,
        ),
    ),
)
