"""The choices at the top of the boards, and the conditions that they make."""

from .board import Variable

MODEL = Variable(
    "model",
    "Model",
    # those that devices ran before those that are references alone
    "SELECT model_name AS __text, model_name AS __value FROM build_trend"
    " GROUP BY model_name ORDER BY min(role), max(started) DESC, model_name LIMIT 500",
)
ROLE = Variable("role", "Role", values=("edge", "reference"))
DEVICE = Variable(
    "device",
    "Device",
    "SELECT DISTINCT device AS __text, device AS __value FROM build_trend"
    " WHERE model_name = ${model:sqlstring} AND role = ${role:sqlstring} ORDER BY 1 LIMIT 500",
    multi=True,
)
KERNELS = Variable(
    "kernels",
    "Kernels",
    "SELECT DISTINCT kernels AS __text, kernels AS __value FROM build_trend"
    " WHERE model_name = ${model:sqlstring} AND role = ${role:sqlstring} ORDER BY 1 LIMIT 500",
    multi=True,
)
BUILD = Variable(
    "build",
    "Build",
    "SELECT build AS __text, build AS __value FROM build_trend"
    " WHERE model_name = ${model:sqlstring} AND role = ${role:sqlstring}"
    " GROUP BY build ORDER BY max(started) DESC, build LIMIT 200",
)
BASELINE = Variable(
    "baseline",
    "Baseline",
    "SELECT build AS __text, build AS __value FROM build_trend"
    " WHERE model_name = ${model:sqlstring} AND build <> ${build:sqlstring}"
    " GROUP BY build ORDER BY min(started) < (SELECT min(b.started) FROM build_trend AS b"
    " WHERE b.build = ${build:sqlstring}) DESC, max(started) DESC, build LIMIT 200",
)
"""The build before first: what comes first is chosen until the reader chooses."""

REFERENCE = Variable(
    "reference",
    "Reference",
    "SELECT build AS __text, build AS __value FROM (SELECT reference_build AS build, 0 AS place"
    " FROM build_trend WHERE build = ${build:sqlstring} AND reference_build IS NOT NULL"
    " UNION ALL SELECT build, 1 AS place FROM build_trend WHERE role = 'reference')"
    " GROUP BY build ORDER BY min(place), build LIMIT 200",
)
LAYER = Variable(
    "layer",
    "Layer",
    "SELECT min(layer_index) || ' ' || layer_name AS __text,"
    " CAST(min(layer_index) AS VARCHAR) AS __value FROM layer_trend"
    " WHERE model_name = ${model:sqlstring} AND build = ${build:sqlstring}"
    " GROUP BY layer_name ORDER BY min(layer_index) LIMIT 500",
)
TRACE = Variable(
    "trace",
    "Frame",
    "SELECT strftime(started, '%m-%d %H:%M:%S') || ' ' || input_id || ' ' || device AS __text,"
    " trace_id AS __value FROM frame_times"
    " WHERE model_name = ${model:sqlstring} AND build = ${build:sqlstring}"
    " ORDER BY level = 'latency', started DESC, trace_id LIMIT 200",
)

OF_MODEL = "model_name = ${model:sqlstring} AND role = ${role:sqlstring}"
"""Rows of the chosen model and role."""

OF_GROUP = (
    f"{OF_MODEL} AND list_contains([${{device:sqlstring}}], device)"
    " AND list_contains([${kernels:sqlstring}], kernels)"
)
"""Rows of the chosen model, role, devices and kernel families; a list may be empty, IN may not."""

OF_BUILD = f"{OF_GROUP} AND build = ${{build:sqlstring}}"
"""Those of the chosen build."""

CHOSEN_LAYER = (
    "layer_name = (SELECT min(n.layer_name) FROM layer_trend AS n"
    " WHERE n.model_name = ${model:sqlstring} AND n.build = ${build:sqlstring}"
    " AND n.layer_index = TRY_CAST(${layer:sqlstring} AS INTEGER))"
)
"""Rows of the chosen layer in any build: layers meet by name."""
