import pickle

from exray.testing import MemorySink, recording

from .builders import FakeModel


def test_frames_of_one_model_share_their_list_of_sites() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        sites = [*model.read_inputs(), *model.read_outputs()]
        model.share_sites([site for site, _ in sites])

        shared = model.share_sites([site for site, _ in sites])

    assert shared is model.share_sites([site for site, _ in sites])


def test_a_tracer_copies_and_pickles_as_nothing() -> None:
    with recording(MemorySink()) as recorder:
        assert pickle.loads(pickle.dumps(FakeModel(recorder))) is None
