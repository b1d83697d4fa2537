"""The garbage collector is paused, and runs again only where it did before."""
import gc

import pytest

from od_patch import _garbage


@pytest.fixture(autouse=True)
def collector():
    """Whatever a test does, the collector runs afterwards as it did."""
    runs = gc.isenabled()
    yield
    (gc.enable if runs else gc.disable)()


@pytest.mark.parametrize('runs', [True, False])
def test_it_is_as_before_afterwards_also_where_something_fails(runs):
    (gc.enable if runs else gc.disable)()
    with pytest.raises(ZeroDivisionError):
        with _garbage.paused():
            with _garbage.paused():
                assert not gc.isenabled()
            assert not gc.isenabled()
            raise ZeroDivisionError
    assert gc.isenabled() is runs
