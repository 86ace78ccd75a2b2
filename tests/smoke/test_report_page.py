"""The report in a real browser: it opens without a fault, and the next run honours what a person clicks."""

import csv
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from PIL import Image

from irp_kedro.parameters import Parameters
from irp_kedro.reporting.cell_command import flat
from irp_kedro.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).parents[2]
RunProject = Callable[..., str]
MAIN = "iterative_refinement"
CELL, OVERVIEW = "08_reporting/*/report.html", "08_reporting/report.html"
LARGEST = 10_000_000  # bytes of a page of the sample
MORE_REMOVALS = {"refinement.mad_factor": 2.0}


@pytest.fixture(scope="module")
def labelled(run_project: RunProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root of a run on the tiny sample that removes a handful of images."""
    root = tmp_path_factory.mktemp("labelled")
    run_project(root, **MORE_REMOVALS)
    return root


@pytest.fixture(scope="module")
def unlabelled(run_project: RunProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root of a run on a flat folder of images that nobody labelled."""
    images, root = tmp_path_factory.mktemp("flat"), tmp_path_factory.mktemp("unlabelled")
    rng = np.random.default_rng(0)
    for number in range(20):
        grey = 120 + rng.integers(0, 20, (32, 32))
        grey[8:20, 8:20] += 100 * (number < 2)
        Image.fromarray(grey.astype(np.uint8)).save(images / f"part<{number}>.png")
    run_project(root, **{"dataset.name": "image_folder", "dataset.path": images, **MORE_REMOVALS})
    return root


@pytest.fixture(scope="module")
def page_of_cell(labelled: Path, browser: Any) -> Iterator[Any]:
    """The report of the labelled cell, for tests that only look."""
    page, _ = browser.open(the(labelled, CELL))
    yield page
    page.close()


def the(root: Path, name: str) -> Path:
    (found,) = root.glob(name)
    return found


def table(root: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(the(root, f"0*/*/{name}"), dtype={"digest": str, "image_id": str})


@pytest.mark.slow
def test_the_pages_of_the_default_sample_open_whole_and_stay_below_ten_megabytes(
    run_project: RunProject, tiny: dict[str, Any], browser: Any, tmp_path: Path
) -> None:
    usual = dict(flat(Parameters().model_dump(mode="json")))
    run_project(tmp_path, **{name: usual[name] for name in tiny})
    for place in (CELL, OVERVIEW):
        path = the(tmp_path, place)
        page, faults = browser.open(path)
        assert faults == []
        assert browser.is_whole(page)
        assert path.stat().st_size < LARGEST
        page.close()
    assert table(tmp_path, f"{MAIN}/removal_log.csv").empty is False


@pytest.mark.parametrize("name", ["labelled", "unlabelled"])
@pytest.mark.parametrize("place", [CELL, OVERVIEW])
def test_a_page_opens_without_a_fault_a_missing_image_or_the_network(
    request: pytest.FixtureRequest, browser: Any, name: str, place: str
) -> None:
    path = the(request.getfixturevalue(name), place)
    page, faults = browser.open(path)
    assert faults == []
    assert browser.is_whole(page)
    assert path.stat().st_size < LARGEST
    page.close()


@pytest.mark.parametrize("place", [CELL, OVERVIEW])
def test_on_a_narrow_screen_nothing_hangs_over_the_edge_or_stands_on_something_else(
    labelled: Path, browser: Any, place: str
) -> None:
    page, _ = browser.open(the(labelled, place), width=390)
    assert browser.is_whole(page)
    assert not browser.words_overlap(page)
    page.close()


def test_on_a_wide_screen_no_figure_has_to_be_scrolled(page_of_cell: Any) -> None:
    assert page_of_cell.evaluate("document.querySelectorAll('figure').length")
    assert page_of_cell.evaluate(
        "[...document.querySelectorAll('figure')].every(figure => figure.scrollWidth <= figure.clientWidth)"
    )


def test_every_image_and_plot_is_described_and_every_field_has_a_name(page_of_cell: Any) -> None:
    assert page_of_cell.evaluate("[...document.images].every(image => image.alt)")
    assert page_of_cell.evaluate("[...document.querySelectorAll('[role=img]')].every(plot => plot.ariaLabel)")
    assert page_of_cell.evaluate("[...document.querySelectorAll('input')].every(input => input.labels.length)")
    assert page_of_cell.evaluate("document.documentElement.lang") == "en"


def test_every_entry_that_a_page_names_is_in_the_catalog(labelled: Path, browser: Any) -> None:
    resolvers = dict.fromkeys(("cell", "data_root", "lineage_folder"), lambda: "x") | {
        "lineage": lambda key: key
    }
    entries = set(
        OmegaConfigLoader((PROJECT / "conf").as_posix(), custom_resolvers=resolvers, **CONFIG_LOADER_ARGS)[
            "catalog"
        ]
    )
    for place in (CELL, OVERVIEW):
        page, _ = browser.open(the(labelled, place))
        named = set(page.evaluate("[...document.querySelectorAll('.entry')].map(entry => entry.textContent)"))
        figures = page.locator("figure").count()
        captioned = page.locator("figcaption .entry").count()
        if place == CELL:
            assert browser.parts_without_entry(page) == []
        page.close()
        assert named
        assert {name for name in named if f"{{strategy}}.{name.partition('.')[2]}" not in entries} <= entries
        assert captioned == figures > 0


def test_the_numbers_of_the_page_are_those_of_the_entries_it_names(labelled: Path, page_of_cell: Any) -> None:
    measured = {
        path.parent.name.replace("_", " "): json.loads(path.read_text())
        for path in labelled.glob("08_reporting/*/*/metrics.json")
    }
    for caption, written in (
        ("Strategies side by side", lambda image, name: f"{image[name]:.3f}"),
        ("95 % bootstrap intervals", lambda image, name: "{:.3f} to {:.3f}".format(*image[f"{name}_interval"])),
    ):
        shown = page_of_cell.locator("table", has_text=caption)
        columns = [heading.strip() for heading in shown.locator("thead th").all_inner_texts()]
        entries = shown.locator("caption .entry").all_inner_texts()
        assert {f"{name.replace(' ', '_')}.metrics" for name in measured} <= set(entries)
        rows = {
            row.locator("th").inner_text(): row.locator("td").all_inner_texts()
            for row in shown.locator("tbody tr").all()
        }
        assert set(rows) == set(measured)
        for name, cells in rows.items():
            found = dict(zip(columns[1:], cells, strict=True))
            for heading, metric in (("image AUROC", "image_auroc"), ("FPR at 95 % TPR", "fpr_at_95_tpr")):
                assert found[heading] == written(measured[name]["image"], metric)
    removals = measured[MAIN.replace("_", " ")]["removals"]
    facts = page_of_cell.locator("dl.facts div").all_inner_texts()
    assert facts[0].split()[:2] == ["removed", str(removals["n_removed"])]


def test_maps_of_the_judge_that_decided_are_shown_and_named(page_of_cell: Any) -> None:
    cards = page_of_cell.locator("#removed .card, #near .card")
    assert cards.locator(".images img:nth-child(2)").count() == cards.count() > 0
    assert set(cards.locator(".whose").all_inner_texts()) == {"Map: patch_memory, judge"}


def test_the_command_on_the_page_runs_this_cell_with_the_review(labelled: Path, page_of_cell: Any) -> None:
    program, command, option, value = shlex.split(page_of_cell.locator("#again").inner_text())
    assert (program, command, option) == ("kedro", "run", "--params")
    asked = dict(pair.split("=", 1) for pair in value.split(","))
    assert asked["refinement.review"] == "review.csv"
    assert asked["data_root"] == str(labelled)
    assert asked["refinement.mad_factor"] == "2.0"


def test_on_paper_figures_are_drawn_and_nothing_asks_for_a_click(labelled: Path, browser: Any) -> None:
    page, faults = browser.open(the(labelled, CELL))
    page.emulate_media(media="print")
    assert page.locator("figure img.static:visible").count() == page.locator("figure").count() > 0
    assert page.locator("figure .interactive:visible").count() == 0
    for asking in ("nav", "#reviewer", "fieldset.review", "#again"):
        assert page.locator(f"{asking}:visible").count() == 0, asking
    assert page.locator("#removed .card:visible").count() > 0
    assert len(page.pdf(format="A4")) > 10_000
    assert faults == []
    page.close()


def test_the_gallery_shows_the_removed_in_the_order_of_the_log_then_those_that_stayed(
    labelled: Path, page_of_cell: Any
) -> None:
    log = table(labelled, f"{MAIN}/removal_log.csv").drop_duplicates("image_id", keep="last")
    ranking = table(labelled, f"{MAIN}/suspicion_ranking.csv")
    removed, near = (
        page_of_cell.evaluate(
            f"[...document.querySelectorAll('#{section} fieldset')].map(f => f.dataset.digest)"
        )
        for section in ("removed", "near")
    )
    assert removed == list(log.loc[log["action"] == "removed", "digest"])
    stayed = ranking[~ranking["removed"]].sort_values("score", ascending=False, kind="stable")
    assert near == list(stayed["digest"][: len(near)])
    assert len(near) == min(24, len(stayed))


def test_a_file_name_is_text_on_the_page_whatever_it_holds(unlabelled: Path, browser: Any) -> None:
    page, _ = browser.open(the(unlabelled, CELL))
    names = page.evaluate("[...document.querySelectorAll('.card h4')].map(name => name.textContent)")
    assert names
    assert all("part<" in name for name in names)
    page.close()


@pytest.fixture(scope="module")
def clicked(
    labelled: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """A review as a person makes it: keep the first that left, remove the first that stayed."""
    page, _ = browser.open(the(labelled, CELL))
    decisions = {}
    for section, number, decision in (("removed", 0, "keep"), ("near", 0, "remove"), ("near", 1, "unsure")):
        field = page.locator(f"#{section} fieldset.review").nth(number)
        field.get_by_text(decision, exact=True).click()
        decisions[field.get_attribute("data-digest")] = decision
    page.get_by_label("Reviewer").fill('Ada "QA", line 3')
    with page.expect_download() as download:
        page.get_by_role("button", name="Save review.csv").click()
    saved = tmp_path_factory.mktemp("review") / download.value.suggested_filename
    download.value.save_as(saved)
    page.close()
    return saved, decisions


def test_the_button_saves_what_was_clicked(clicked: tuple[Path, dict[str, str]]) -> None:
    saved, decisions = clicked
    assert saved.name == "review.csv"
    rows = list(csv.DictReader(saved.read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["image_id", "digest", "decision", "who", "when"]
    assert {row["digest"]: row["decision"] for row in rows} == decisions
    assert {row["who"] for row in rows} == {'Ada "QA", line 3'}
    assert all(pd.Timestamp(row["when"]).tz is not None for row in rows)
    assert all(row["digest"].startswith(row["image_id"][:16]) for row in rows)


def test_without_a_name_nothing_is_saved(page_of_cell: Any) -> None:
    page_of_cell.get_by_label("Reviewer").fill("")
    page_of_cell.get_by_role("button", name="Save review.csv").click()
    assert page_of_cell.evaluate("!document.getElementById('reviewer').checkValidity()")


def test_the_next_run_honours_the_file_and_its_page_goes_on_from_it(
    labelled: Path,
    clicked: tuple[Path, dict[str, str]],
    browser: Any,
    run_project: RunProject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    saved, decisions = clicked
    by_decision = {decision: digest for digest, decision in decisions.items()}
    root = tmp_path_factory.mktemp("reviewed")
    run_project(root, **MORE_REMOVALS, **{"refinement.review": saved})
    log = table(root, f"{MAIN}/removal_log.csv").set_index("digest")
    assert log.loc[by_decision["remove"], ["cycle", "action", "judge"]].tolist() == [0, "removed", "review"]
    assert log.loc[by_decision["keep"], ["cycle", "action", "judge"]].tolist() == [0, "kept", "review"]
    refined = set(table(root, f"{MAIN}/refined_manifest.csv")["digest"])
    assert by_decision["keep"] in refined
    assert by_decision["remove"] not in refined
    lineage = [path.read_text() for path in root.glob(f"lineage/*/{MAIN}/cycle_000/lineage.json")]
    assert len(lineage) == 1
    assert '"review": ""' not in lineage[0]
    page, faults = browser.open(the(root, CELL))
    checked = page.evaluate(
        "[...document.querySelectorAll('fieldset.review input:checked')]"
        ".map(input => [input.closest('fieldset').dataset.digest, input.value])"
    )
    assert faults == []
    assert dict(checked).items() <= decisions.items()
    assert by_decision["remove"] in dict(checked)
    page.close()
    assert the(root, CELL).parent.name != the(labelled, CELL).parent.name
