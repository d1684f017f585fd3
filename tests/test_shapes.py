import pytest
import torch

from utils.shapes import check_shapes


def test_sizes_by_name():
    q, k = torch.ones(2, 5, 3), torch.ones(2, 7, 3)
    sizes = check_shapes(q=(q, "B Tq d"), k=(k, "B Tk d"))
    assert sizes == {"B": 2, "Tq": 5, "d": 3, "Tk": 7}


def test_any_batch_axes_and_fixed_numbers():
    assert check_shapes(x=(torch.ones(4, 5, 6, 2), "... T 2")) == {"T": 6}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {
                "q": (torch.ones(2, 8), "... Tq d_k"),
                "k": (torch.ones(5, 6), "... Tk d_k"),
            },
            r"k should be \(..., Tk, d_k\) but has shape \(5, 6\): "
            r"d_k is 6, expected 8 \(q has d_k=8\)",
        ),
        ({"x": (torch.ones(2), "B T")}, "needs 2 axes"),
        ({"x": (torch.ones(2), "... B T")}, "at least 2 axes"),
        ({"x": (torch.ones(2, 3), "B 4")}, "expected 4$"),
        ({"x": ([1, 2], "B")}, "type list: turn it into one"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_shapes(**arguments)
