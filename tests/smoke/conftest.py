"""Whole runs of the project, as a user starts them, on sets that take seconds, and a browser for the pages."""

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from omegaconf import OmegaConf

PROJECT = Path(__file__).parents[2]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

# Runs the pipelines named (all, where none is) below a data root; returns what the terminal showed.
RunProject = Callable[..., str]
# Spells parameters as ``--params`` takes them.
Spelt = Callable[[Mapping[str, Any]], str]


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """What makes a run small, spelt as for ``--params``."""
    return {
        "sample.size": 32,
        "sample.normal_train": 24,
        "sample.normal_test": 8,
        "sample.defective": 16,
        "preparation.size": 32,
        "patches.size": 64,
        "views.bank": 2,
        "views.train": 2,
        "views.score": 2,
        "flow.blocks": 2,
        "flow.hidden": 16,
        "training.epochs": 4,
        "refinement.tail_factor": 0.5,  # so few images never stand out by as much as the default asks
        "refinement.pretrain_epochs": 1,
        "refinement.epochs_per_cycle": 1,
        "refinement.max_cycles": 2,
        "evaluation.bootstrap_samples": 50,
        "evaluation.map_views": 1,
    }


@pytest.fixture(scope="session")
def make_dvc_repository() -> Callable[[Path], None]:
    """Makes a folder a DVC repository without git, so that nothing is recorded in the project's own."""

    def make(folder: Path) -> None:
        (folder / ".dvc").mkdir(parents=True, exist_ok=True)
        (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")

    return make


@pytest.fixture(scope="session")
def spelt() -> Spelt:
    return lambda parameters: ",".join(f"{key}={value}" for key, value in parameters.items())


@pytest.fixture(scope="module")
def run_project(
    tiny: dict[str, Any], make_dvc_repository: Callable[[Path], None], no_resolvers_left: None
) -> RunProject:
    bootstrap_project(PROJECT)

    def run(data_root: Path, *pipelines: str, **asked: Any) -> str:
        make_dvc_repository(data_root)
        parameters = {**tiny, "data_root": data_root, "lineage.root": data_root / "lineage", **asked}
        dotted = OmegaConf.from_dotlist([f"{key}={value}" for key, value in parameters.items()])
        session = KedroSession.create(PROJECT, runtime_params=OmegaConf.to_container(dotted))
        with contextlib.redirect_stdout(io.StringIO()) as terminal, session:
            session.run(pipeline_names=list(pipelines) or None)
        return terminal.getvalue()

    return run


@dataclass(frozen=True)
class Browser:
    """Opens pages in a browser without network, and remembers what it complained about."""

    context: Any

    def open(self, path: Path, *, width: int = 1280) -> tuple[Any, list[str]]:
        page, faults = self.context.new_page(), []
        page.set_viewport_size({"width": width, "height": 800})
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.extend(_outside(request.url)))
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.classList.contains('drawn')")
        return page, faults

    def is_whole(self, page: Any) -> bool:
        """Whether every image on the page is there, every plot was drawn, and nothing hangs over the edge."""
        images = page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        plots = page.evaluate(
            "[...document.querySelectorAll('.interactive')].every(plot => plot.querySelector('svg.main-svg'))"
        )
        wide, shown = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        return bool(images and plots and wide <= shown)

    def words_overlap(self, page: Any) -> bool:
        """Whether titles of panels, or names of limits, of one plot stand on each other."""
        return bool(
            page.evaluate(
                "[...document.querySelectorAll('.interactive')].some(plot => {"
                "  const words = [...plot.querySelectorAll('.annotation-text')];"
                "  const boxes = words.map(word => word.getBoundingClientRect());"
                "  return boxes.some((a, i) => boxes.slice(i + 1).some("
                "    b => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)); })"
            )
        )

    def parts_without_entry(self, page: Any) -> list[str]:
        """The sections, tables and figures of a page that name no entry of the catalog."""
        return list(
            page.evaluate(
                "[...document.querySelectorAll('section, table, figure')]"
                ".filter(part => !part.querySelector('.entry')).map(part => part.outerHTML.slice(0, 200))"
            )
        )


def _outside(url: str) -> list[str]:
    return [] if url.startswith(("file:", "data:", "blob:")) else [f"asked the network for {url}"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed: the pages were not opened in a real browser")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield Browser(started.new_context(offline=True, accept_downloads=True))
        started.close()
