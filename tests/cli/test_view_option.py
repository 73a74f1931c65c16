"""What the command line makes of the text of a view."""

import numpy as np
import pytest

from gateway.cli.view_option import parse_slice, view_of
from gateway.client import View
from gateway.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("::4, ::4", View(np.s_[::4, ::4])),
        ("[0, ..., -1]", View(np.s_[0, ..., -1])),
        ("10:20", View(np.s_[10:20])),
        (" : , ::-1 ", View(np.s_[:, ::-1])),
        ("", View()),
        ("...", View()),
    ],
)
def test_a_slice_is_what_numpy_makes_of_it(text: str, view: View) -> None:
    assert View(parse_slice(text)) == view
    asked = view_of(text, "float16", 10.0, "w")
    assert asked is not None
    assert (asked.slice, asked.dtype, asked.max_rate_hz, asked.tensor) == (view.slice, "float16", 10.0, "w")


@pytest.mark.parametrize("text", ["x", "1:2:3:4", "0.5", "0,,1", "None", "::0"])
def test_what_is_no_slice_is_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match="view"):
        view_of(text, None, None, None)


def test_no_options_are_no_view() -> None:
    assert view_of(None, None, None, None) is None
    assert view_of(None, "uint8", None, None) == View(dtype="uint8")
