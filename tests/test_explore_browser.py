"""The page of ``lpmjax explore`` in headless Chromium: clicks, drags, files; timings are recorded, never asserted."""

import shutil
import time

import pytest
from command_line import COUNTS

import lpmjax as lpm
from lpmjax.explore import server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright (pip install playwright)")


@pytest.fixture(scope="module")
def context():
    with server.serving(0) as served, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 900})
        opened.grant_permissions(["clipboard-read", "clipboard-write"])
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


@pytest.fixture
def page(context):
    """The page with its first picture; at the end nothing may have been said on its console."""
    said = []
    page = context.new_page()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.extend([request.url] if not request.url.startswith("http://127.0.0.1") else [])
    )
    page.goto("/")
    page.locator("#phase").wait_for()
    yield page
    page.close()
    assert [line for line in said if not line.startswith("blob:")] == []


def expect(page, selector, text):
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=60_000)


def until(page, script):
    """The page's security policy forbids what Playwright waits with: evaluated strings."""
    begin = time.monotonic()
    while not page.evaluate(script):
        assert time.monotonic() - begin < 60, script
        time.sleep(0.02)


def image(page, canvas):
    return page.evaluate("id => document.getElementById(id).toDataURL()", canvas)


def test_first_picture_and_sliders(page, record_property):
    until(page, "performance.getEntriesByName('diagram').length > 0")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    record_property("first_paint_ms", paint)
    expect(page, "#phase", "separated, rank 9")
    expect(page, "#status", "✓ certified")
    assert len({image(page, canvas) for canvas in ("diagram", "geometry", "gram", "slack")}) == 4
    slider = page.get_by_label("R ratio n_A / n_B", exact=True)
    page.evaluate("performance.clearMeasures('slider to picture')")
    for _ in range(20):
        slider.press("ArrowRight")
        time.sleep(0.05)
    taken = sorted(page.evaluate("performance.getEntriesByName('slider to picture').map(entry => entry.duration)"))
    record_property("slider_to_picture_ms", taken[len(taken) // 2])
    expect(page, "#phase", "merged")
    expect(page, "#groups", "-0.")
    slider.press("End")
    assert page.locator("#R").input_value() == "10000"
    assert slider.get_attribute("aria-valuetext") == "10000"


def test_the_point_is_dragged_and_moved_by_keys(page):
    until(page, "performance.getEntriesByName('diagram').length > 0")
    box = page.locator("#diagram").bounding_box()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(box["x"] + (0.7 - 0.08 * step) * box["width"], box["y"] + (0.5 - 0.05 * step) * box["height"])
    page.mouse.up()
    expect(page, "#phase", "annihilated")
    expect(page, "#groups", "undefined (zero)")
    budget, ratio = (float(page.locator(name).input_value()) for name in ("#E_H", "#R"))
    solved = lpm.solve(lpm.LayerPeeled.two_group(5, 5, ratio, 1.0, budget))
    expect(page, "#phase", f"annihilated, rank {int(solved.rank)}")
    page.locator("#diagram").press("ArrowRight")
    assert float(page.locator("#E_H").input_value()) > budget


def test_geometry_turns_and_shows_what_is_chosen(page):
    box, before, gram = page.locator("#geometry").bounding_box(), image(page, "geometry"), image(page, "gram")
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 130, steps=4)
    page.mouse.up()
    turned = image(page, "geometry")
    page.locator("#geometry").press("ArrowLeft")
    assert len({before, turned, image(page, "geometry")}) == 3
    assert image(page, "gram") == gram
    page.get_by_label("Directions").select_option("principal")
    expect(page, "#geometry-note", "63.2 %")
    page.locator("#R").fill("1000")
    page.locator("#E_H").fill("0.3")
    expect(page, "#phase", "annihilated")
    page.get_by_label("Gram matrix", exact=True).select_option("cosines")
    expect(page, "#gram-note", "Hatched: undefined")


def test_numbers_beyond_the_sliders_and_bad_ones(page):
    page.locator("#K_A").fill("1000000")
    page.locator("#K_B").fill("1000000")
    expect(page, "#geometry-note", "Drawn: 12 of the 1000000 classes of A and 12 of the 1000000 classes of B.")
    page.locator("#R").fill("1e20")
    expect(page, "#diagram-note", "The point is outside of the diagram.")
    page.locator("#R").fill("-3")
    expect(page, "#error", "R = -3 is out of range: R must be from")
    assert page.locator("#R").get_attribute("aria-invalid") == "true"
    page.locator("#R").fill("2")
    page.locator("#error").wait_for(state="hidden")
    assert page.locator("#R").get_attribute("aria-invalid") is None


def test_weight_decay_and_what_is_copied(page):
    page.get_by_label("weight decay (unconstrained features)").check()
    expect(page, "#verdict", "multiplier 0.005")
    assert not page.locator("#E_W").is_visible()
    page.get_by_role("button", name="Copy as Python").first.click()
    expect(page, "#copied", "copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "lpm.UnconstrainedFeatures.two_group(K_A=5, K_B=5, R=10, lambda_W=0.005, lambda_H=0.005, n_B=1)" in copied


DROP = """([name, text]) => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([text], name, { type: "text/csv" }));
    for (const kind of ["dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: dropped }));
}"""


def test_a_file_is_dropped_and_a_bad_one_and_a_large_one(page, record_property):
    page.evaluate(DROP, ["counts.csv", COUNTS.read_text()])  # on the other tab: it changes
    expect(page, "#text", "2 collapsed (*)")
    expect(page, "#remedies", "By weights: loss weight times 2.0971")
    expect(page, "#remedies", "By budget: E_H times 1.3057")
    page.locator("#working").wait_for(state="hidden")
    page.evaluate(DROP, ["bad.csv", "class,count\ncat,10\ndog,minus three\n"])
    expect(page, "#refused", "bad.csv, line 3: count = 'minus three' of class 'dog' is out of range")
    assert not page.locator("#answer").is_visible()
    page.evaluate(DROP, ["large.csv", "a,1\n" * (2**22 + 1)])
    expect(page, "#refused", f"the file has {2**24 + 4} bytes, and at most {2**24} are taken here")
    page.get_by_label("Model").last.select_option("decays")
    rows = "".join(f"class {k},{100 if k < 5000 else 3}\n" for k in range(10**4))
    begin = time.monotonic()
    page.evaluate(DROP, ["ten thousand.csv", "class,count\n" + rows])
    expect(page, "#text", "10000 classes, 515000 samples")
    page.locator("#working").wait_for(state="hidden")
    record_property("ten_thousand_rows_s", time.monotonic() - begin)
    expect(page, "#remedies", "By decay")


def test_a_file_is_chosen_and_cancelled(page):
    page.get_by_role("tab", name="Two groups").press("ArrowRight")
    playwright.expect(page.get_by_role("tab", name="Diagnose counts")).to_be_focused()
    page.locator("#file").set_input_files(COUNTS)
    expect(page, "#doing", "starting")
    page.get_by_role("button", name="Cancel").click()
    expect(page, "#refused", "Cancelled before anything was found.")
    playwright.expect(page.locator("#working")).to_be_hidden()
    page.locator("#parameters input[name=E_H]").fill("20")
    page.get_by_role("button", name="Diagnose again").click()
    expect(page, "#text", "E_W = 1, E_H = 20")
    page.get_by_role("button", name="Copy as Python").last.click()
    expect(page, "#copied-diagnosis", "copied")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as JSON").click()
    assert saved.value.suggested_filename == "diagnosis.json"
