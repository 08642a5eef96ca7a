import numpy as np
import xxhash

from exray.instrumentation.execution import input_id_from_arrays, layout_of


def test_strings_are_named_by_their_text_not_by_where_they_lie() -> None:
    first, second = (np.array([b"a" * n, b"b"], object) for n in (3, 3))

    assert input_id_from_arrays([first]) == input_id_from_arrays([second])
    assert input_id_from_arrays([first]) != input_id_from_arrays([np.array([b"c"], object)])


def test_an_inputs_memory_layout_does_not_change_its_id() -> None:
    value = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert input_id_from_arrays([np.asfortranarray(value)]) == input_id_from_arrays([value])


def test_several_inputs_are_named_together_in_the_models_order() -> None:
    first, second = np.zeros(1, np.float32), np.ones(1, np.float32)

    assert input_id_from_arrays([first, second]) == xxhash.xxh3_64_hexdigest(
        first.tobytes() + second.tobytes()
    )


def test_only_a_rank_that_images_have_has_a_layout() -> None:
    assert [layout_of(shape) for shape in ((1, 8, 8, 3), (1, 5), ())] == ["nhwc", None, None]
