import numpy as np
import pytest

from utils.counts import check_count


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers_pass(value):
    check_count("n_layers", value)


@pytest.mark.parametrize("value", [2.0, "2", None, True, [2]])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(ValueError, match="n_layers should be a whole number, 1 or"):
        check_count("n_layers", value)


def test_too_few_are_named():
    with pytest.raises(ValueError, match="T should be 0 or more, got -1"):
        check_count("T", -1, least=0)
