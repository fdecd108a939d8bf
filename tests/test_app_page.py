"""The loss designer in a real headless Chromium: what a reader does, and what the page answers."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from divergence_lab.app import verdict_table
from divergence_lab.app.choice import Choice, from_link, presets, to_link
from divergence_lab.app.drawing import Curve, chart, heat_map
from divergence_lab.app.family import PRESETS, answers
from divergence_lab.export import export
from divergence_lab.theory.derivation import derive
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.loss import loss

PAGE = Path(__file__).resolve().parents[1] / "divergence_lab" / "app" / "page.py"
PATIENCE = 30  # seconds; on a busy machine the first answer waits for imports

# --- without a browser ---------------------------------------------------------------------------------------


def test_every_preset_survives_its_link():
    found = presets()
    assert {"quadratic", "huber(1)", "jsd"} <= set(found)
    for choice in found.values():
        assert from_link(to_link(choice)) == choice
        assert from_link({name: [value] for name, value in to_link(choice).items()}) == choice
    assert from_link({}) == Choice()


@pytest.mark.parametrize(("query", "says"), [
    ({"left": "abc"}, "the left tail 'abc' is not a number"), ({"right": "7"}, "outside the slider: choose one from -2 to 3"),
    ({"curvature": "1/0"}, "is not a number"), ({"g": "x" * 501}, "more than 500 characters")])
def test_a_bad_link_is_refused_in_one_line(query, says):
    with pytest.raises(ExpressionError, match=says):
        from_link(query)


@pytest.mark.parametrize("member", PRESETS.values(), ids=PRESETS)
def test_the_table_of_the_family_says_what_its_conditions_say(member):
    rows = {row.name: row.holds for row in verdict_table.of_member(member)}
    assert rows == {"valid": True, **answers(member)}


def test_the_table_of_a_derivation_shows_what_was_proved_and_escapes_it():
    found = derive(loss("huber(1)"), budget=15)
    html = verdict_table.table(verdict_table.of_derivation(found))
    assert html.count("<tr") == 7 and "[proved]" in html
    assert "✓" in html and "✗" in html
    assert "&lt;i&gt;" in verdict_table.table([verdict_table.Row("valid", None, "<i>")])


def test_drawings_leave_gaps_where_nothing_is_finite():
    import numpy as np
    x = np.linspace(0, 1, 11)
    whole, broken = (chart("t", [Curve("c", x, y)], (0, 1), (0, 1), "x") for y in (x, np.where(x == 0.5, np.inf, x)))
    assert whole.count("<polyline") == 1 and broken.count("<polyline") == 2
    law = np.full((2, 2), 0.04)
    law[0, 1] = 0.16
    assert 'fill-opacity="1.000"' in heat_map("h", law) and heat_map("h", law).count('fill-opacity="0.500"') == 3


# --- in the browser ------------------------------------------------------------------------------------------

# The time from a key's press to the first change of g's curve, both on the page's own clock.
STOPWATCH = """
const curve = () => document.querySelector('[data-curve="g"]')?.getAttribute('points');
window.pressed = window.answered = null;
window.addEventListener('keydown', () => { if (window.pressed === null) { window.pressed = performance.now(); window.before = curve(); } }, true);
new MutationObserver(() => { if (window.pressed !== null && window.answered === null && curve() && curve() !== window.before)
    window.answered = performance.now(); }).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
"""


@contextmanager
def serving(folder):
    """The address of a page that is being served."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "server.txt"
    with open(log, "w") as out:
        path = os.pathsep.join([str(PAGE.parents[2]), os.environ.get("PYTHONPATH", "")])
        server = subprocess.Popen(
            [sys.executable, "-m", "marimo", "run", str(PAGE), "--headless", "--no-token", "--port", str(port)],
            stdout=out, stderr=subprocess.STDOUT, cwd=folder,
            env={**os.environ, "MARIMO_SKIP_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path})
    try:
        address = f"http://127.0.0.1:{port}/"
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(address + "health", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def browsing(folder):
    """A headless Chromium with a log of its requests; skips where one is missing."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    pytest.importorskip("marimo", reason="needs the extra [app]")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1250,1500",
                 f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


class Reader:
    """Somebody in front of the page."""

    def __init__(self, browser):
        self.browser = browser
        self.js = browser.execute_script

    def wait(self, what, condition):
        """The first true answer of a script."""
        end = time.monotonic() + PATIENCE
        while not (answer := self.js(f"return {condition}")):
            assert time.monotonic() < end, f"{what}; the page says:\n{self.js('return document.body.innerText')}"
            time.sleep(0.05)
        return answer

    def open(self, address):
        """Load an address and wait until the page answers."""
        self.browser.get(address)
        self.wait("no answer", "document.querySelector('#pictures, #problem') !== null")

    def inside(self, host, selector):
        """Elements in the shadows of hosts."""
        return self.wait(f"no {host}", f"[...document.querySelectorAll('{host}')].flatMap("
                         f"h => [...(h.shadowRoot || h).querySelectorAll('{selector}')])")

    def positions(self):
        """Where the three sliders stand."""
        return [float(thumb.get_attribute("aria-valuenow")) for thumb in self.inside("marimo-slider", "[role=slider]")]

    def word(self, name):
        """A verdict: yes, no or undecided."""
        return self.wait(f"no verdict on {name}", f"document.querySelector('[data-verdict={name}] b')?.innerText")

    def curve(self):
        """The curve of g as it is drawn."""
        return self.js("return document.querySelector('[data-curve=g]')?.getAttribute('points')")

    def write(self, text):
        """Type a loss and press Enter."""
        from selenium.webdriver.common.keys import Keys
        (field,) = self.inside("marimo-text", "input")
        field.send_keys(Keys.END, Keys.BACKSPACE * len(field.get_property("value")), text, Keys.ENTER)


def test_the_page_as_a_reader_uses_it(tmp_path, capsys):
    with browsing(tmp_path) as browser, serving(tmp_path) as address:
        from selenium.webdriver.common.keys import Keys
        reader = Reader(browser)
        reader.open(address)

        # a slider moves: curve and verdicts follow
        assert (reader.word("zero_forcing"), reader.word("zero_avoiding")) == ("yes", "no")
        reader.js(STOPWATCH)
        times = []
        left = reader.inside("marimo-slider", "[role=slider]")[0]
        for _ in range(5):
            before = reader.curve()
            reader.js("window.pressed = window.answered = null")
            left.send_keys(Keys.ARROW_RIGHT)
            times.append(reader.wait("the curve did not follow the slider",
                                     "window.answered && window.answered - window.pressed"))
            assert reader.curve() != before
        times.sort()
        with capsys.disabled():
            print(f"\nfrom key to curve: median {times[2]:.0f} ms, slowest of {len(times)} {times[-1]:.0f} ms")
        assert times[2] < 1000, "300 ms on a quiet machine is the promise"
        assert reader.positions()[0] == pytest.approx(0.25)
        reader.wait("the verdict did not follow the slider",
                    "document.querySelector('[data-verdict=zero_forcing] b').innerText === 'no'")
        assert "left=1%2F4" in reader.wait("no link", "location.search.includes('left=1') && location.search")

        # a bad expression gets one clear line and the page lives on
        kept = reader.curve()
        reader.write("foo(x) + 1")
        assert "foo is not a function" in reader.wait("no message", "document.querySelector('#problem')?.innerText")
        reader.write("alpha*x**2")
        reader.wait("no second message", "document.querySelector('#problem')?.innerText.includes('in place of alpha')")
        reader.write("jsd")  # torch has no polylog: that alone is missing
        reader.wait("no LaTeX", found("all(document).find(e => e.tagName === 'BUTTON' && e.innerText.includes('Copy as LaTeX'))"))
        reader.write("x**2/2 + exp(x) - x - 1")
        reader.wait("the divergence is not named", "document.querySelector('#derived')?.innerText.includes('Jeffreys')")
        assert (reader.word("zero_forcing"), reader.word("zero_avoiding"), reader.word("symmetric")) == ("yes", "yes", "yes")
        assert reader.curve() != kept
        reader.write("")
        reader.wait("clearing did not bring the sliders back",
                    "document.querySelector('[data-curve=g]') && !location.search.includes('exp')")
        assert reader.curve() == kept

        # a preset moves the sliders
        reader.js("arguments[0].click()", reader.inside("marimo-dropdown", "button")[0])
        reader.wait("no search field", "document.activeElement.getAttribute('cmdk-input') !== null")
        browser.switch_to.active_element.send_keys("pearson", Keys.ENTER)
        reader.wait("no preset", "document.querySelector('#pictures b')?.innerText === 'pearson'")
        assert reader.positions() == [2, 2, 2]

        # a link restores the state; what it names is derived, trained with, and can be copied
        reader.open(address + "?" + urlencode({"left": "-1", "right": "5/4", "curvature": "3/2", "g": ""}))
        assert reader.positions() == [-1, 1.25, 1.5]
        assert (reader.word("zero_forcing"), reader.word("zero_avoiding")) == ("yes", "yes")
        reader.wait("not trained", "document.querySelector('#training [data-curve=TV]') !== null")
        assert "of 4 modes found" in reader.js("return document.querySelector('#training').innerText")
        browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
        text = loss(from_link({"left": "-1", "right": "5/4", "curvature": "3/2"}).text)
        for title, wanted in (("torch", export(text, "torch")), ("LaTeX", "\\begin{align*}")):
            assert wanted in copied(reader, title).replace("\xa0", " ")

        # a bad link says so
        reader.open(address + "?left=9")
        reader.wait("no message", "document.body.innerText.includes('outside the slider')")
        assert reader.positions() == [0, 0, 1]

        asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        addresses = [message["params"]["request"]["url"] for message in asked if message["method"] == "Network.requestWillBeSent"]
        addresses += [message["params"]["url"] for message in asked if message["method"] == "Network.webSocketCreated"]
        assert len(addresses) > 10, "the log of requests is at work"
        parts = {url: urlsplit(url) for url in addresses}
        outside = {url for url, part in parts.items()
                   if part.scheme in ("http", "https", "ws", "wss") and part.hostname != "127.0.0.1"}
        assert not outside


def found(script):
    """A script in which `all(node)` are the elements inside, through every shadow."""
    return ("(() => { const all = n => [...n.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]); "
            f"return {script}; }})()")


def copied(reader, title):
    """Unfold a source text, press its button, read the clipboard."""
    fold = reader.wait(f"no {title}", found("all(document).find(e => e.tagName === 'BUTTON' && "
                                            f"e.innerText.includes('Copy as {title}'))"))
    reader.js("arguments[0].click()", fold)
    mark = {"torch": "import torch", "LaTeX": "align*"}[title]
    button = reader.wait("no button to copy", found("all(document).find(e => e.ariaLabel === 'Copy to clipboard' && "
                                                   f"e.closest('.codehilite-wrapper').innerText.includes('{mark}'))"))
    reader.js("arguments[0].click()", button)
    time.sleep(0.3)
    return reader.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0], error => arguments[0](String(error)))")
