-- Whether a frame's best class is its label; NULL without a prediction, or where the label
-- is not a class index.
CREATE OR REPLACE MACRO _frame_right(label, prediction_ids) AS
TRY_CAST(label AS INTEGER) = list_extract(prediction_ids, 1);
