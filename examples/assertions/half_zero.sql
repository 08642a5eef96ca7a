-- Look at the activation before it: a layer is dead in most of its elements.
SELECT
  printf('%.0f %% of the elements are zero', 100 * h.zero_ratio) AS what,
  h.layer_index,
  h.layer_name,
  h.op
FROM layer_health($edge) AS h
WHERE h.zero_ratio > 0.95
ORDER BY h.layer_index;
