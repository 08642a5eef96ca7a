"""Where two runs part: alignment, divergence, reports."""
