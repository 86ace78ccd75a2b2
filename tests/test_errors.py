import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro import errors
from irp_kedro.errors import InvalidImagesError, IrpError, SourceError, nearest

CLASSES = ["pill", "screw", "zipper"]


def test_every_error_of_ours_is_an_irp_error_and_explains_itself() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    ours = [kind for kind in classes if kind.__module__ == errors.__name__]
    assert len(ours) >= 8
    assert all(issubclass(kind, IrpError) and kind.__doc__ for kind in ours)


def test_one_fault_is_spoken_of_in_the_singular() -> None:
    assert str(InvalidImagesError(["a.png: truncated"])) == "1 fault in the images:\n  - a.png: truncated"


def test_all_faults_are_kept_and_the_first_twenty_shown() -> None:
    faults = [f"{i}.png: truncated" for i in range(25)]
    error = InvalidImagesError(faults)
    lines = str(error).splitlines()
    assert lines[0] == "25 faults in the images:"
    assert lines[1:21] == [f"  - {fault}" for fault in faults[:20]]
    assert lines[21:] == ["  … and 5 more"]
    assert error.faults == tuple(faults)


def test_twenty_faults_need_no_line_about_more() -> None:
    assert "more" not in str(InvalidImagesError(["x"] * 20))


def test_invalid_images_are_a_fault_of_the_source() -> None:
    with pytest.raises(SourceError):
        raise InvalidImagesError(["a.png: truncated"])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pil", "did you mean 'pill'?"),
        ("scerw", "did you mean 'screw'?"),
        ("pill", "did you mean 'pill'?"),
        ("qqq", "known: 'pill', 'screw', 'zipper'"),
        ("", "known: 'pill', 'screw', 'zipper'"),
    ],
)
def test_the_hint_names_the_nearest_known_name_or_all_of_them(name: str, hint: str) -> None:
    assert nearest(name, CLASSES) == hint


@given(st.text("cegilprswz_", max_size=8), st.permutations(CLASSES))
def test_the_hint_does_not_depend_on_the_order_of_the_known_names(name: str, known: list[str]) -> None:
    assert nearest(name, iter(known)) == nearest(name, CLASSES)
