"""The page in a real browser, headless Chromium: it works, by keyboard too, and nothing hostile gets to act in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from modelaudit.model import Finding, Severity
from modelaudit.report import make
from tests.report.test_report import HOSTILE, lines
from tests.servers.debian import program
from tests.sinks.records import EVIL, MIXED, finding, report

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ROWS = '#grid [role="row"][aria-rowindex]'
HACK = "window.hacked=1"
NAMES = (
    f"<script>{HACK}</script>",
    f'"><img src=x onerror="{HACK}">',
    f"</script><script>{HACK}//",
    f"javascript:{HACK}",
    f"${{{HACK}}}",
    "{{constructor.constructor('window.hacked=1')()}}",
    "\u202egnp.lkp",
    "<!--<script>",
    "]]>",
    f"<svg/onload={HACK}>",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program("chromium", "chromium"), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(20_000)
    yield made
    made.close()


def opened(context: BrowserContext, folder: Path, *paths: str) -> tuple[Page, list[str]]:
    """The report on `paths` in a tab; whatever it says or asks for besides itself is in the list."""
    made = folder / "report.html"
    make(paths, str(made))
    page, told = context.new_page(), []
    page.on("console", lambda message: told.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: told.append(f"error: {error}"))
    page.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: told.append(request.url) if request.url != made.as_uri() else None)
    page.goto(made.as_uri())
    page.wait_for_selector(ROWS)
    return page, told


def hostile(name: str) -> Finding:
    return replace(finding(place=name), id=name, rule=name, message=name, why=name, details={name: name, "l": [name]})


def test_nothing_hostile_acts(context: BrowserContext, tmp_path: Path) -> None:
    """Names and evidence in every place: shown as text, wherever one clicks; no script, dialog, request comes of it."""
    reports = tuple(
        report(f"models/{name}", findings=(hostile(name),), formats=(name,), message=name, severity=Severity.CRITICAL)
        for name in (*NAMES, HOSTILE)
    )
    page, told = opened(context, tmp_path, lines(tmp_path / "run", reports))
    for view in ("#view-findings", "#view-objects"):
        page.click(view)
        page.focus("#grid")
        for _ in reports:
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    page.fill("#search", NAMES[0])
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("window.hacked") is None
    assert told == []
    page.reload()
    page.wait_for_selector(ROWS)
    shown = page.inner_text("body")
    assert NAMES[0] in shown
    assert page.locator("img, iframe, object, embed, svg[onload]").count() == 0


def test_the_policy_stands(context: BrowserContext, tmp_path: Path) -> None:
    """Even a fault of ours that wrote markup could neither run nor fetch anything: the browser refuses."""
    page, told = opened(context, tmp_path, lines(tmp_path / "run", MIXED))
    blocked: list[str] = []
    page.on("requestfailed", lambda request: blocked.append(f"{request.url} {request.failure}"))
    refused = page.evaluate(
        """() => {
            const ways = {
                script: () => {
                    const script = document.createElement("script");
                    script.textContent = "window.hacked = 1";
                    document.body.append(script);
                },
                markup: () => document.body.insertAdjacentHTML("beforeend", "<p onclick='window.hacked = 1'>x</p>"),
                handler: () => document.body.setAttribute("onclick", "window.hacked = 1"),
                image: () => {
                    const image = document.createElement("img");
                    image.src = "http://127.0.0.1:9/x";
                    document.body.append(image);
                },
            };
            return Object.keys(ways).filter((name) => {
                try {
                    ways[name]();
                } catch (error) {
                    return true;
                }
                return false;
            });
        }"""
    )
    page.click("h1")
    page.wait_for_timeout(200)
    assert {"script", "markup"} <= set(refused)  # trusted types
    assert page.evaluate("window.hacked") is None
    assert blocked == ["http://127.0.0.1:9/x csp"]
    assert [line for line in told if "Content Security Policy" in line]


def test_by_keyboard(context: BrowserContext, tmp_path: Path) -> None:
    """Everything is reached without a mouse, and where one is can be seen."""
    page, _ = opened(context, tmp_path, lines(tmp_path / "run", MIXED))
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("critical")
    counted(page, "1 of 2")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
        if page.evaluate("document.activeElement.id") == "grid":
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            break
    assert {"format", "source", "reset", "grid"} <= reached
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail"
    assert "It runs a command of the author's choice." in page.inner_text("#detail")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "grid"


def test_what_became_of_findings(context: BrowserContext, tmp_path: Path) -> None:
    """New, fixed and suppressed ones, each behind its filter, the suppressed one with its reason."""
    old = replace(finding(), id="old")
    before = (replace(EVIL, findings=(old,), findings_cut=0), report("models/b.pkl", findings=(finding(),)))
    accepted = replace(finding(), id="acc", suppressed="a drill on the 3rd")
    now = (replace(EVIL, findings=(replace(finding(), id="new"),), findings_cut=0, suppressed=(accepted,)), before[1])
    paths = [lines(tmp_path / "a", before, "r1", 1e9), lines(tmp_path / "b", now, "r2", 1e9 + 86400)]
    page, told = opened(context, tmp_path, *paths)
    counts = {}
    for fate in ("now", "new", "known", "fixed", "gone", "suppressed", ""):
        page.select_option("#fate", fate)
        page.wait_for_timeout(50)
        counts[fate] = int(page.inner_text("#count").split()[0])
    assert counts == {"now": 2, "new": 1, "known": 1, "fixed": 1, "gone": 0, "suppressed": 1, "": 4}
    page.select_option("#fate", "suppressed")
    page.focus("#grid")
    page.keyboard.press("ArrowDown")
    assert "a drill on the 3rd" in page.inner_text("#detail")
    assert told == []


def test_a_hundred_thousand_records(context: BrowserContext, tmp_path: Path) -> None:
    """They are searched, sorted and filtered, and only those in sight are in the page."""
    log = tmp_path / "run"
    lines(log, (EVIL,))
    first, record, _ = log.read_text().splitlines()
    with log.open("w") as file:
        file.write(first + "\n")
        for number in range(100_000):
            one = json.loads(record)
            one["uri"] = f"s3://bucket/{number % 7}/model-{number}.pkl"
            one["findings"] = one["findings"][:1] if number % 3 else one["findings"][1:]
            one["findings"][0]["location"] = f"{one['uri']} (pos 28)"
            one["findings_cut"] = 0
            file.write(json.dumps(one) + "\n")
    page, told = opened(context, tmp_path, str(log))
    assert count(page) == 100_000
    assert page.locator(ROWS).count() < 200
    page.fill("#search", "model-99")
    counted(page, "1,111 of")
    page.fill("#search", "model-99999")
    counted(page, "1 of")
    page.fill("#search", "")
    page.uncheck('#levels input[value="0"]')
    counted(page, "66,666 of")
    page.check('#levels input[value="0"]')
    page.click("#view-objects")
    assert count(page) == 100_000
    page.locator('#grid [role="columnheader"] button', has_text="Object").click()
    page.focus("#grid")
    page.keyboard.press("Home")
    first_row = page.locator(ROWS).nth(1).inner_text()
    page.locator('#grid [role="columnheader"] button', has_text="Object").click()
    page.keyboard.press("Home")
    assert page.locator(ROWS).nth(1).inner_text() != first_row
    assert told == []


def counted(page: Page, beginning: str) -> None:
    """Wait until the line below the controls begins so. (The policy forbids what Playwright would evaluate for it.)"""
    for _ in range(400):
        if page.inner_text("#count").startswith(beginning):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{page.inner_text('#count')!r} does not begin with {beginning!r}")


def count(page: Page) -> int:
    """How many rows there are to see."""
    return int(page.inner_text("#count").split()[0].replace(",", ""))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    """Ink and paper stand far apart in both, on a phone too, where nothing has to be scrolled sideways."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page, _ = opened(context, tmp_path, lines(tmp_path / "run", MIXED))
    ink, paper = (
        sum(map(int, page.evaluate(f"getComputedStyle(document.body).{name}").strip("rgba()").split(",")[:3]))
        for name in ("color", "backgroundColor")
    )
    assert (ink < 200 and paper > 600) if scheme == "light" else (ink > 600 and paper < 200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_on_paper(context: BrowserContext, tmp_path: Path) -> None:
    """Printed, the rows that are chosen are all there, and what is for clicking is not."""
    page, _ = opened(context, tmp_path, lines(tmp_path / "run", MIXED))
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#printed .row").count() >= 2
    assert "models/evil.pkl (pos 28)" in page.locator("#printed").inner_text() + page.locator("#printed").inner_html()
    assert not page.locator("#controls").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("#printed .row").count() == 0
    assert page.pdf()[:5] == b"%PDF-"
