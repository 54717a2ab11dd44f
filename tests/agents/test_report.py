"""The report: what the page holds, that it needs nothing else, and how it behaves in a real browser."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promed_agents.cli import app
from promed_agents.evaluate import Evaluation, evaluate, write_results
from promed_agents.report import write_report
from promed_agents.report.data import Curve, read_folder
from promed_agents.report.plots import _apart
from promed_agents.setting import Setting
from promed_agents.zoo import make_agent
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select
from typer.testing import CliRunner

from promed_env.datasets import load_dataset
from promed_env.errors import BackendError, DatasetError

CASES = load_dataset("medqa")[:12]
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>&amp;\u2028"


def played(name: str, **setting: Any) -> Evaluation:
    return evaluate(make_agent(name), Setting(**{"facts_per_reply": 1, "max_questions": 4, **setting}), CASES)


@pytest.fixture(scope="session")
def evaluations() -> list[Evaluation]:
    levels = ("initial", "interactive", "full")
    return [played(name, information=level) for name in ("reactive", "scripted", "greedy") for level in levels]


@pytest.fixture
def folder(evaluations: list[Evaluation], tmp_path: Path) -> Path:
    write_results(evaluations, tmp_path)
    return tmp_path


def trained(folder: Path, *accuracies: float, steps: int = 1000, **settings: Any) -> None:
    """What `promed train` leaves behind, as far as the report reads it."""
    folder.mkdir(parents=True)
    rows = [
        {"steps": index * steps, "seconds": 1.0, "accuracy": accuracy, "questions": 3.0, "reward": 1.0, "n": 50}
        for index, accuracy in enumerate(accuracies)
    ]
    (folder / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if settings:
        (folder / "checkpoint-000000001000").mkdir()
        (folder / "checkpoint-000000001000" / "config.json").write_text(json.dumps(settings), encoding="utf-8")


def hostile(evaluation: Evaluation) -> Evaluation:
    """The evaluation with markup wherever somebody else's text may stand."""
    first = evaluation.episodes[0]
    turns = tuple({**turn, "text": HOSTILE, "reply": turn["reply"] and HOSTILE} for turn in first.turns)
    text = evaluation.cases[first.case_id]
    told = dataclasses.replace(
        text,
        presentation=HOSTILE,
        question=HOSTILE,
        options=tuple((key, HOSTILE) for key, _ in text.options),
        facts=tuple((section, HOSTILE) for section, _ in text.facts),
    )
    episode = dataclasses.replace(first, case_id=HOSTILE, turns=turns)
    return dataclasses.replace(
        evaluation,
        agent=HOSTILE,
        dataset=HOSTILE,
        patient=HOSTILE,
        episodes=(episode, *evaluation.episodes[1:]),
        cases={**evaluation.cases, HOSTILE: told},
    )


class Page(HTMLParser):
    """Elements, attributes and the text of every script, as a browser would split them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.within: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.within.append(tag)
            self.scripts += [""] if tag == "script" else []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.within.pop()

    def handle_data(self, data: str) -> None:
        if self.within == ["script"]:
            self.scripts[-1] += data
        elif not self.within:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_holds_setting_tables_and_plots(folder: Path) -> None:
    text = page(write_report(folder)).text
    assert "For research, not for care. The cases are synthetic" in text
    assert "ProMed-MedQA-v0" in text
    assert re.search(r"promed [\d.]+, python 3\.", text)
    for part in ("Accuracy against questions", "Information levels", "Paired comparison", "Calibration", "Recall by"):
        assert part in text
    assert re.search(r"greedy : asking closes \d+% of the gap", text)


def test_every_figure_of_the_summary_is_in_the_table(folder: Path, evaluations: list[Evaluation]) -> None:
    text = page(write_report(folder)).text
    for evaluation in evaluations:
        summary = evaluation.summaries["all"]
        row = f"{evaluation.agent} {evaluation.setting.information} {evaluation.access} {summary.accuracy:.3f} "
        assert row in text


def test_the_page_needs_nothing_from_outside(folder: Path) -> None:
    written = write_report(folder).read_text(encoding="utf-8")
    found = Page(written)
    assert not [tag for tag, _ in found.elements if tag in ("link", "img", "iframe", "object", "embed", "base")]
    for _, attributes in found.elements:
        assert "src" not in attributes
        assert str(attributes.get("href", "#")).startswith("#")
    addresses = set(re.findall(r"\w+://[^\s\"'<)]+", written))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a vocabulary; nothing is loaded from it
    assert "url(" not in written
    assert "@import" not in written


def test_the_dialogues_in_the_page_are_those_of_the_results(folder: Path, evaluations: list[Evaluation]) -> None:
    (run,) = json.loads(page(write_report(folder)).scripts[0])
    assert [doctor["agent"] for doctor in run["doctors"]] == [each.agent for each in evaluations]
    for doctor, evaluation in zip(run["doctors"], evaluations, strict=True):
        for row, episode in zip(doctor["episodes"], evaluation.episodes, strict=True):
            assert (row["id"], row["correct"], row["turns"]) == (episode.case_id, episode.correct, list(episode.turns))
            facts = run["cases"][row["id"]]["facts"]
            assert all(index < len(facts) for turn in row["turns"] for index in turn["disclosed"])
            assert all(set(turn["new"]) <= set(turn["disclosed"]) for turn in row["turns"])


def test_no_text_can_become_markup(evaluations: list[Evaluation], tmp_path: Path) -> None:
    write_results([hostile(each) for each in evaluations], tmp_path)
    trained(tmp_path / "<b>run", 0.1, 0.2, reward=HOSTILE, algo=HOSTILE, env_id=HOSTILE, seed=0)
    write_results(evaluations, tmp_path / "plain")
    plain = page(write_report(tmp_path / "plain"))
    found = page(write_report(tmp_path))
    assert len(found.scripts) == len(plain.scripts) == 2
    assert json.loads(found.scripts[0])[0]["doctors"][0]["episodes"][0]["id"] == HOSTILE
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in plain.elements}
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)


def test_structure_for_screen_readers(folder: Path) -> None:
    trained(folder / "train", 0.2, 0.4, 0.6)
    found = page(write_report(folder))
    tags = [tag for tag, _ in found.elements]
    assert tags.count("main") == tags.count("h1") == 1
    assert {"header", "nav", "footer"} <= set(tags)
    assert tags.count("table") == tags.count("caption")
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in found.elements if tag == "th")
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = [attributes for tag, attributes in found.elements if tag == "svg" and "aria-hidden" not in attributes]
    assert len(pictures) >= 6  # by turn, levels, three calibrations, learning
    for picture in pictures:
        assert picture["role"] == "img"
        assert set(str(picture["aria-labelledby"]).split()) <= set(ids)
    for _, attributes in found.elements:
        for name in ("aria-labelledby", "for"):
            assert set((attributes.get(name) or "").split()) <= {*ids, "case-head"}
    assert tags.count("figure") == tags.count("figcaption")
    html = [attributes for tag, attributes in found.elements if tag == "html"]
    assert html == [{"lang": "en"}]


def test_only_the_first_cases_are_held_if_there_are_many(folder: Path) -> None:
    found = page(write_report(folder, cases=3))
    assert "holds the first 3 of 12 cases" in found.text
    (run,) = json.loads(found.scripts[0])
    assert {len(doctor["episodes"]) for doctor in run["doctors"]} == {3}
    assert "n = 12" in found.text
    assert json.loads(page(write_report(folder, cases=0)).scripts[0])[0]["cases"] == {}
    with pytest.raises(ValueError, match="cases must be at least 0, got -1"):
        write_report(folder, cases=-1)


def test_the_report_is_written_whole_and_where_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    assert write_report(folder) == folder / "report.html"
    target = write_report(folder, tmp_path / "new" / "page.html")
    assert target.read_bytes() == (folder / "report.html").read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]


def test_runs_in_subfolders_with_other_budgets_share_a_plot(tmp_path: Path) -> None:
    for budget in (1, 2, 4):
        write_results([played("scripted", max_questions=budget)], tmp_path / f"budget{budget}")
    found = page(write_report(tmp_path))
    assert "Accuracy against the budget" in found.text
    assert {"run0", "run1", "run2"} <= {attributes.get("id") for _, attributes in found.elements}
    assert len(json.loads(found.scripts[0])) == 3


def test_runs_that_differ_in_more_share_none(tmp_path: Path) -> None:
    write_results([played("scripted", max_questions=1)], tmp_path / "one")
    write_results([played("scripted", max_questions=2, facts_per_reply=2)], tmp_path / "two")
    assert "Accuracy against the budget" not in page(write_report(tmp_path)).text


def test_training_runs_that_differ_in_the_seed_only_are_one_kind(tmp_path: Path) -> None:
    base: dict[str, Any] = {"env_id": "ProMed-PrimaryCare-v0", "algo": "ppo", "steps": 1000}
    for seed in (0, 1):
        trained(tmp_path / f"a{seed}", 0.2, 0.4 + 0.2 * seed, seed=seed, reward="diagnosis", **base)
    trained(tmp_path / "b", 0.2, 0.9, seed=0, reward="promed", **base)
    trained(tmp_path / "unknown", 0.2)
    curves = read_folder(tmp_path).curves
    assert [(curve.name, curve.group) for curve in curves] == [
        ("a0", "diagnosis"),
        ("a1", "diagnosis"),
        ("b", "promed"),
        ("unknown", "unknown"),
    ]
    text = page(write_report(tmp_path)).text
    assert "diagnosis (mean of 2)" in text
    assert "ProMed-PrimaryCare-v0" in text


def test_a_training_run_that_has_just_begun_is_named_without_figures(tmp_path: Path) -> None:
    trained(tmp_path / "new")
    (curve,) = read_folder(tmp_path).curves
    assert curve == Curve("new", "new", (), None)
    assert "none yet" in page(write_report(tmp_path)).text


def test_a_folder_of_its_own_is_named_by_itself(tmp_path: Path) -> None:
    trained(tmp_path / "run", 0.3, 0.5)
    found = page(write_report(tmp_path / "run"))
    assert read_folder(tmp_path / "run").curves[0].name == "run"
    assert "Consultations" not in found.text


def test_results_of_earlier_versions_can_be_read(folder: Path) -> None:
    """They hold neither the texts of the cases nor versions, nor which known facts a reply repeats."""
    file = folder / "results.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["cases"]
    for row in content["evaluations"]:
        del row["versions"]
        for episode in row["episodes"]:
            for turn in episode["turns"]:
                del turn["disclosed"]
    file.write_text(json.dumps(content), encoding="utf-8")
    assert "not recorded" in page(write_report(folder)).text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, "", "holds neither results.json nor evaluations.jsonl"),
        ("results.json", "{", "Expecting property name"),
        ("results.json", '{"schema_version": 1, "evaluations": []}', "holds no evaluation"),
        ("results.json", '{"schema_version": 1, "cases": {"a": {}}}', "cases: KeyError"),
        ("results.json", '{"schema_version": 1, "cases": {"a": {"options": [], "facts": [3]}}}', "cases: IndexError"),
        ("evaluations.jsonl", '{"steps": 1}\n', "line 1: KeyError"),
        ("evaluations.jsonl", "[]\n", "line 1: TypeError"),
        ("evaluations.jsonl", "steps\n", "line 1: JSONDecodeError"),
    ],
)
def test_what_cannot_be_read_is_reported_with_its_place(
    name: str | None, content: str, message: str, tmp_path: Path
) -> None:
    if name is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        write_report(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_checkpoint_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    trained(tmp_path / "run", 0.2, seed=0)
    (tmp_path / "run" / "checkpoint-000000001000" / "config.json").write_text("[1", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"config\.json: .*as `promed train` wrote it"):
        write_report(tmp_path)


def test_the_command_ends_with_the_path_and_fails_in_one_line(folder: Path, tmp_path: Path) -> None:
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})
    done = runner.invoke(app, ["report", str(folder), "--out", str(tmp_path / "a.html"), "--cases", "2"])
    assert done.exit_code == 0, done.output
    assert "".join(done.output.split()).endswith(f"reportwrittento{tmp_path / 'a.html'}")
    missing = runner.invoke(app, ["report", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "there is no such folder" in missing.output


def test_without_the_extra_the_error_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(BackendError, match=r"needs the package jinja2: pip install \"promed\[report\]\""):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_case_texts_of_two_runs_do_not_go_into_one_file(evaluations: list[Evaluation], tmp_path: Path) -> None:
    first = evaluations[0]
    case_id = first.episodes[0].case_id
    other = dataclasses.replace(first.cases[case_id], question="Another?")
    changed = dataclasses.replace(first, cases={**first.cases, case_id: other})
    with pytest.raises(ValueError, match="differs between the evaluations"):
        write_results([first, changed], tmp_path)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.floats(0, 300), min_size=1, max_size=15))
def test_labels_keep_their_distance_and_order(heights: list[float]) -> None:
    placed = _apart(heights, 16, 0, 300)
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    steps = [placed[lower] - placed[upper] for upper, lower in pairwise(order)]
    assert all(step >= 16 - 1e-6 for step in steps)
    assert all(-1e-6 <= height <= 300 + 1e-6 for height in placed)


# In a browser


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium chromium-driver")
    return found


QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = chromium
    for argument in (*QUIET, "--window-size=1280,900", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = shutil.which("chromedriver")
    assert driver is not None, "Chromium is there, its driver is not: apt-get install chromium-driver"
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


class Viewer:
    """The page in the browser, as a reader uses it."""

    def __init__(self, browser: webdriver.Chrome, path: Path, place: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")  # another fragment alone would not load the page anew
        browser.get_log("browser")  # what earlier pages said
        browser.get(path.as_uri() + place)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)

    def choose(self, control: str, text: str) -> None:
        Select(self.one(control)).select_by_visible_text(text)

    def errors(self) -> list[Any]:
        return list(self.browser.get_log("browser"))  # type: ignore[no-untyped-call]


@pytest.fixture
def viewer(browser: webdriver.Chrome, folder: Path) -> Viewer:
    return Viewer(browser, write_report(folder))


@pytest.mark.browser
def test_the_viewer_shows_a_consultation_without_errors(viewer: Viewer, evaluations: list[Evaluation]) -> None:
    scripted = evaluations[4]
    episode = scripted.episodes[0]
    assert viewer.one("#case-head").text == episode.case_id
    assert viewer.one("#presentation").text == scripted.cases[episode.case_id].presentation
    assert [each.text for each in viewer.all("#turns .ask")][:-1] == [turn["text"] for turn in episode.turns[:-1]]
    assert [each.text for each in viewer.all("#turns .reply")] == [turn["reply"] for turn in episode.turns[:-1]]
    facts = scripted.cases[episode.case_id].facts
    fresh = [" ".join(facts[index]) for turn in episode.turns for index in turn["new"]]
    assert [each.text for each in viewer.all("#turns .facts .fresh")] == [f"new {fact}" for fact in fresh]
    assert episode.sig is not None
    shown = [each.text.split()[-1].replace("−", "-") for each in viewer.all("#turns .sig")]
    assert shown == [f"{gain:+.3f}" for gain in episode.sig[:-1]]
    assert viewer.errors() == []


@pytest.mark.browser
def test_the_arrow_keys_move_the_belief_through_the_turns(viewer: Viewer, evaluations: list[Evaluation]) -> None:
    leanings = evaluations[4].episodes[0].leanings
    assert leanings is not None
    viewer.run("document.getElementById('consultation').focus()")

    def shares() -> list[str]:
        return [each.text for each in viewer.all("#options .share")]

    def expected(turn: int) -> list[str]:
        return [f"{int(100 * share + 0.5)}%" for share in leanings[turn]]

    assert shares() == expected(0)
    viewer.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert shares() == expected(2)
    assert viewer.one("#turn-number").text == "2 of 5"
    assert viewer.one("#turns > [aria-current=step]").get_attribute("data-turn") == "2"
    assert viewer.one("#said").get_attribute("textContent").startswith("Turn 2: ")  # type: ignore[union-attr]
    viewer.press(Keys.ARROW_LEFT)
    assert shares() == expected(1)
    viewer.one("#turn").send_keys(Keys.END)
    assert viewer.one("#turn-number").text == "5 of 5"
    assert viewer.errors() == []


@pytest.mark.browser
def test_cases_are_filtered_searched_and_walked_by_keys(viewer: Viewer, evaluations: list[Evaluation]) -> None:
    reactive = evaluations[1].episodes
    viewer.choose("#doctor", "reactive, interactive")
    for outcome, right in (("right", True), ("wrong", False)):
        viewer.choose("#outcome", outcome)
        wanted = [episode.case_id for episode in reactive if episode.correct == right]
        assert [each.get_attribute("data-id") for each in viewer.all("#cases button")] == wanted
        assert viewer.one("#case-head").text in wanted
        assert viewer.one("#count").text == f"{len(wanted)} of 12 consultations"
    viewer.choose("#outcome", "all")
    viewer.one("#cases button").click()
    viewer.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert viewer.one("#case-head").text == reactive[2].case_id
    assert viewer.browser.switch_to.active_element.get_attribute("data-id") == reactive[2].case_id
    viewer.press(Keys.END, Keys.ARROW_DOWN)
    assert viewer.one("#case-head").text == reactive[-1].case_id
    assert not viewer.one("#next").is_enabled()
    viewer.one("#search").send_keys(reactive[5].case_id[-9:].upper())
    assert reactive[5].case_id in [each.get_attribute("data-id") for each in viewer.all("#cases button")]
    viewer.one("#search").send_keys("no such case")
    assert viewer.all("#cases button") == []
    assert not viewer.one("#consultation").is_displayed()
    assert viewer.errors() == []


@pytest.mark.browser
def test_a_link_opens_its_consultation(viewer: Viewer, browser: webdriver.Chrome, folder: Path) -> None:
    viewer.one("#next").click()
    place = "#" + browser.current_url.partition("#")[2]
    case_id = viewer.one("#case-head").text
    again = Viewer(browser, folder / "report.html", place)
    assert again.one("#case-head").text == case_id
    assert again.errors() == []


@pytest.mark.browser
def test_hostile_texts_stay_texts_in_the_browser(
    evaluations: list[Evaluation], tmp_path: Path, browser: webdriver.Chrome
) -> None:
    write_results([hostile(evaluations[4])], tmp_path)
    viewer = Viewer(browser, write_report(tmp_path))
    assert viewer.run("return document.title") == "ProMed-MedQA-v0 · ProMed report"
    assert viewer.run("return document.getElementById('case-head').textContent") == HOSTILE
    assert viewer.run("return document.querySelector('#turns .reply').textContent") == HOSTILE
    assert viewer.run("return document.querySelectorAll('img, main script').length") == 0
    assert viewer.errors() == []


@pytest.mark.browser
def test_results_without_case_texts_can_be_viewed(
    evaluations: list[Evaluation], tmp_path: Path, browser: webdriver.Chrome
) -> None:
    write_results([dataclasses.replace(each, cases={}) for each in evaluations], tmp_path)
    viewer = Viewer(browser, write_report(tmp_path))
    assert "evaluate again" in viewer.one("#presentation").text
    assert len(viewer.all("#options li")) == len(CASES[0].options)
    assert viewer.errors() == []


@pytest.mark.browser
def test_light_dark_and_the_button_between_them(viewer: Viewer) -> None:
    def ground() -> str:
        return str(viewer.run("return getComputedStyle(document.body).backgroundColor"))

    def prefer(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        viewer.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    prefer("dark")
    dark = ground()
    prefer("light")
    light = ground()
    assert dark != light
    button = viewer.one("#theme")
    button.click()
    assert (button.text, ground()) == ("Theme: light", light)
    button.click()
    assert (button.text, ground()) == ("Theme: dark", dark)
    button.click()
    assert (button.text, ground()) == ("Theme: auto", light)


@pytest.mark.browser
def test_the_first_tab_reaches_a_visible_skip_link(viewer: Viewer) -> None:
    viewer.one("body").send_keys(Keys.TAB)
    focused = viewer.browser.switch_to.active_element
    assert focused.text == "Skip to the results"
    assert focused.rect["x"] >= 0
    focused.send_keys(Keys.ENTER)
    assert viewer.run("return document.activeElement.id") == "main"


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_runs_out_of_a_narrow_screen(viewer: Viewer, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    viewer.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert viewer.run("return document.documentElement.scrollWidth") <= width
    finally:
        viewer.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
def test_print_shows_the_chosen_consultation_and_no_controls(viewer: Viewer) -> None:
    viewer.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for hidden in (".top", ".controls", ".list", ".steps", ".keys", "#turn"):
            assert not viewer.one(hidden).is_displayed(), hidden
        assert viewer.one("#turns .reply").is_displayed()
        assert viewer.one("table").is_displayed()
    finally:
        viewer.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.browser
def test_it_prints_to_pdf_without_a_driver(chromium: str, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.pdf"
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    address = write_report(folder).as_uri()
    command = [chromium, *QUIET, profile, f"--print-to-pdf={target}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert target.read_bytes().startswith(b"%PDF")
