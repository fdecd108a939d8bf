"""The loss designer in a real headless Chromium: what a reader does, and what the page answers."""

import json
import os
import re
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
from divergence_lab.app.family import PRESETS, answers
from divergence_lab.bridge.export import export
from divergence_lab.report.drawing import Curve, chart, heat_map
from divergence_lab.theory.answers.derivation import derive
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.syntax import ExpressionError

PAGE = Path(__file__).resolve().parents[1] / "divergence_lab" / "app" / "page.py"
PATIENCE = 120  # seconds; on a busy machine the first answer waits for imports

# --- without a browser


def test_every_preset_survives_its_link():
    found = presets()
    assert {"quadratic", "huber(1)", "jsd"} <= set(found)
    for choice in found.values():
        assert from_link(to_link(choice)) == choice
        assert from_link({name: [value] for name, value in to_link(choice).items()}) == choice
    assert from_link({}) == Choice()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"left": "abc"}, "the left tail 'abc' is not a number"),
        ({"right": "1_0"}, "the right tail '1_0' is not a number"),
        ({"right": "7"}, "outside the slider: choose one from -2 to 3"),
        ({"curvature": "1/0"}, "is not a number"),
        ({"g": "x" * 501}, "more than 500 characters"),
    ],
)
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


def test_a_legend_stands_above_the_frame_and_inside_the_picture():
    import numpy as np

    x = np.linspace(0, 1, 11)
    for labels in (["g"], ["target p", "best q", "linex(1)"], ["g", "Piecewise((x, x < 0))" * 4]):
        drawn = chart("t", [Curve(label, x, x) for label in labels], (0, 1), (0, 1), "x")
        (frame,) = re.findall(r'<svg x="44" y="(\d+)"', drawn)
        swatches = re.findall(r'y1="(\d+)" x2="([\d.]+)" y2="\d+" fill', drawn)
        assert len(swatches) == len(labels)
        assert all(15 < float(y) < float(frame) and float(right) < 340 for y, right in swatches)


def test_drawings_leave_gaps_where_nothing_is_finite():
    import numpy as np

    x = np.linspace(0, 1, 11)
    whole, broken = (
        chart("t", [Curve("c", x, y)], (0, 1), (0, 1), "x")
        for y in (x, np.where(x == 0.5, np.inf, x))
    )
    assert whole.count("<polyline") == 1 and broken.count("<polyline") == 2
    law = np.full((2, 2), 0.04)
    law[0, 1] = 0.16
    assert (
        'fill-opacity="1.000"' in heat_map("h", law)
        and heat_map("h", law).count('fill-opacity="0.500"') == 3
    )


def test_all_that_the_page_imports_is_there_before_the_first_visitor():
    """Two who came at once could leave half a SymPy to everybody who came later."""
    code = f"""if 1:
        import ast, runpy, sys
        def marimo(*_, **__):
            known = set(sys.modules)
            page = ast.parse(open({str(PAGE)!r}).read())
            cell = next(node for node in page.body if isinstance(node, ast.FunctionDef))
            exec(compile(ast.Module(cell.body[:-1], []), "cell", "exec"), {{}})
            print(sys.argv[1], "sympy" in known, sorted(set(sys.modules) - known))
        runpy.run_module = marimo
        import divergence_lab.app.__main__"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "run True []\n", done.stdout + done.stderr


def test_the_threads_of_the_page_may_start_together():
    """In a fresh process each imports what the other imports too: a package, and a module of it."""
    code = (
        "import sys, threading; from divergence_lab.app import background; "
        "sys.setswitchinterval(1e-6); background.STEPS = 20; answers = []\n"
        "jobs = [lambda: background.torch_text('x**2/2'), lambda: "
        "background.learn('x**2/2', lambda step, steps: None)]\n"
        "threads = [threading.Thread(target=lambda job=job: answers.append(job())) for "
        "job in jobs]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]; "
        "print(len(answers))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == "2", done.stderr


def test_a_thread_that_fails_tells_the_reader(monkeypatch):
    live = pytest.importorskip("divergence_lab.app.live", reason="needs the extra [app]")
    shown = []
    monkeypatch.setattr(live.mo.output, "replace", shown.append)

    @live.told
    def failing():
        raise ImportError("half a module")

    with pytest.raises(ImportError):
        failing()
    assert len(shown) == 1 and "half a module" in shown[0].text and 'id="problem"' in shown[0].text


# --- in the browser

# The time from the last move of a dragged slider to the last change of g's curve, both on the
# page's own clock.
STOPWATCH = """
window.moved = window.answered = null;
window.addEventListener('pointermove', event => {
  if (event.buttons) window.moved = performance.now(); }, true);
let drawn = null;
new MutationObserver(() => {
    const now = document.querySelector('[data-curve="g"]')?.getAttribute('points');
    if (now && now !== drawn) { drawn = now; window.answered = performance.now(); }
}).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
"""
# How visible an element is: the product of the opacities around it.
OPACITY = """(() => { let found = 1;
for (let node = document.querySelector('%s'); node; node = node.parentElement)
  found *= getComputedStyle(node).opacity;
return found; })()"""
DRAGS = 20
# The address bar has the state of the page.
RESTED = (
    "[...new URL(document.querySelector('#link').href).searchParams].every(([name, value]) => "
    "new URLSearchParams(location.search).get(name) === value)"
)


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
            [
                sys.executable,
                "-P",
                "-m",
                "divergence_lab.app",
                "--headless",
                "--no-token",
                "--port",
                str(port),
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={
                **os.environ,
                "MARIMO_SKIP_UPDATE_CHECK": "1",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": path,
            },
        )
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
        pytest.skip(
            "needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
        )
    pytest.importorskip("marimo", reason="needs the extra [app]")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1250,1500",
        f"--user-data-dir={folder / 'profile'}",
    ):
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
            assert time.monotonic() < end, (
                f"{what}; the page says:\n{self.js('return document.body.innerText')}"
            )
            time.sleep(0.05)
        return answer

    def open(self, address):
        """Load an address and wait until the page answers."""
        self.browser.get(address)
        self.wait("no answer", "document.querySelector('#pictures, #problem') !== null")

    def inside(self, host, selector):
        """Elements in the shadows of hosts."""
        return self.wait(
            f"no {host}",
            f"[...document.querySelectorAll('{host}')].flatMap("
            f"h => [...(h.shadowRoot || h).querySelectorAll('{selector}')])",
        )

    def positions(self):
        """Where the three sliders stand."""
        return [
            float(thumb.get_attribute("aria-valuenow"))
            for thumb in self.inside("marimo-slider", "[role=slider]")
        ]

    def word(self, name):
        """A verdict: yes, no or undecided."""
        return self.wait(
            f"no verdict on {name}", f"document.querySelector('[data-verdict={name}] b')?.innerText"
        )

    def curve(self):
        """The curve of g as it is drawn."""
        return self.js("return document.querySelector('[data-curve=g]')?.getAttribute('points')")

    def write(self, text):
        """Type a loss and press Enter."""
        from selenium.webdriver.common.keys import Keys

        (field,) = self.inside("marimo-text", "input")
        field.send_keys(
            Keys.END, Keys.BACKSPACE * len(field.get_property("value")), text, Keys.ENTER
        )


def drag(reader, thumb, by):
    """Drag a slider in five moves; milliseconds from the last of them to the last change of the
    curve.
    """
    from selenium.webdriver.common.action_chains import ActionChains

    reader.js("window.moved = window.answered = null")
    moves = ActionChains(reader.browser, duration=0).click_and_hold(thumb)
    for _ in range(5):
        moves = moves.move_by_offset(by, 0).pause(0.05)
    moves.perform()
    reader.wait("the curve did not follow the slider", "window.answered > window.moved")
    time.sleep(0.3)  # an answer to an earlier move may come first
    taken = reader.js("return window.answered - window.moved")
    ActionChains(reader.browser).release().perform()
    return taken


@pytest.mark.slow
def test_the_page_as_a_reader_uses_it(tmp_path, capsys):
    with browsing(tmp_path) as browser, serving(tmp_path) as address:
        from selenium.webdriver.common.keys import Keys

        reader = Reader(browser)
        browser.execute_cdp_cmd(
            "Browser.grantPermissions",
            {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
        )
        reader.open(address)

        # a slider moves: curve and verdicts follow
        assert (reader.word("zero_forcing"), reader.word("zero_avoiding")) == ("yes", "no")
        reader.js(STOPWATCH)
        left, right, _ = reader.inside("marimo-slider", "[role=slider]")
        kept, times = reader.curve(), []
        for turn in range(DRAGS):
            times.append(drag(reader, (left, right)[turn // 2 % 2], 12 if turn % 2 == 0 else -9))
        times.sort()
        with capsys.disabled():
            print(
                f"\nfrom drag to curve: median {times[DRAGS // 2]:.0f} ms, slowest of "
                f"{DRAGS} {times[-1]:.0f} ms"
                f" (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
            )
        assert reader.curve() != kept and min(reader.positions()[:2]) > 0
        reader.wait(
            "the verdict did not follow the slider",
            "document.querySelector('[data-verdict=zero_forcing] b').innerText === 'no'",
        )

        # one rest is one entry of the history, and it can be gone back to
        entries, (at, second, _) = reader.js("return history.length"), reader.positions()
        reader.wait(
            "no link", f"new URLSearchParams(location.search).get('left') !== '0' && {RESTED}"
        )
        for _ in range(5):
            left.send_keys(Keys.ARROW_RIGHT)
        reader.wait("no progress", "document.querySelector('#training progress') !== null")
        reader.wait("the link did not follow", RESTED)
        moved = reader.positions()
        assert moved == pytest.approx([at + 0.25, second, 1])
        assert reader.js("return history.length") - entries in (
            1,
            2,
        )  # the drags' own rest may come in between
        browser.back()
        reader.wait("back did not restore", f"document.querySelector('#link') && {RESTED}")
        assert reader.positions() == pytest.approx([at, second, 1])

        # what is typed and not read yet dims the answers; a bad expression gets one clear line, and
        # they are gone
        reader.wait(
            "no derivation", "document.querySelector('#derived')?.innerText.startsWith('Minimises')"
        )
        kept, seen = (
            reader.curve(),
            ("#pictures", "#derived", "[data-verdict]", "#training", "#link"),
        )
        assert [reader.js(f"return {OPACITY % part}") for part in ("#pictures", "#link")] == [1, 1]
        (field,) = reader.inside("marimo-text", "input")
        field.send_keys("foo(x) + 1")
        assert all(reader.js(f"return {OPACITY % part}") < 0.3 for part in seen)
        assert "Enter reads what is typed" in reader.js("return document.body.innerText")
        field.send_keys(Keys.ENTER)
        assert "foo is not a function" in reader.wait(
            "no message", "document.querySelector('#problem')?.innerText"
        )
        assert not reader.js(
            "return document.querySelector('[data-verdict], #derived, #training, #link')"
        )
        reader.write("alpha*x**2")
        reader.wait(
            "no second message",
            "document.querySelector('#problem')?.innerText.includes('in place of alpha')",
        )
        reader.write("jsd")  # torch has no polylog: that alone is missing
        reader.wait(
            "no LaTeX",
            found(
                "all(document).find(e => e.tagName === 'BUTTON' && "
                "e.innerText.includes('Copy as LaTeX'))"
            ),
        )
        reader.write("x**2/2 + exp(x) - x - 1")
        reader.wait(
            "the divergence is not named",
            "document.querySelector('#derived')?.innerText.includes('Jeffreys')",
        )
        assert (
            reader.word("zero_forcing"),
            reader.word("zero_avoiding"),
            reader.word("symmetric"),
        ) == ("yes", "yes", "yes")
        assert reader.curve() != kept
        reader.wait("no link", RESTED)
        browser.refresh()  # the address alone restores a typed loss
        reader.wait(
            "not restored",
            "document.querySelector('#pictures code')?.innerText === 'x**2/2 + exp(x) - x - 1'",
        )
        assert (
            reader.inside("marimo-text", "input")[0].get_property("value")
            == "x**2/2 + exp(x) - x - 1"
        )
        assert "e^{x}" in copied(reader, "LaTeX")
        reader.write("")
        reader.wait(
            "clearing did not bring the sliders back",
            "document.querySelector('[data-curve=g]') && !location.search.includes('exp')",
        )
        assert reader.curve() == kept

        # a preset moves the sliders
        reader.js("arguments[0].click()", reader.inside("marimo-dropdown", "button")[0])
        reader.wait("no search field", "document.activeElement.getAttribute('cmdk-input') !== null")
        browser.switch_to.active_element.send_keys("pearson", Keys.ENTER)
        reader.wait("no preset", "document.querySelector('#pictures b')?.innerText === 'pearson'")
        assert reader.positions() == [2, 2, 2]

        # a link restores the state; what it names is derived, trained with, and can be copied
        reader.open(
            address + "?" + urlencode({"left": "-1", "right": "5/4", "curvature": "3/2", "g": ""})
        )
        assert reader.positions() == [-1, 1.25, 1.5]
        assert (reader.word("zero_forcing"), reader.word("zero_avoiding")) == ("yes", "yes")
        reader.wait(
            "not trained", "document.querySelector('#training [data-curve=table]') !== null"
        )
        assert "of 4 modes found" in reader.js(
            "return document.querySelector('#training').innerText"
        )
        text = loss(from_link({"left": "-1", "right": "5/4", "curvature": "3/2"}).text)
        for title, wanted in (("torch", export(text, "torch")), ("LaTeX", "\\begin{align*}")):
            assert wanted in copied(reader, title).replace("\xa0", " ")

        # a telephone: nothing lies beside the page, and every slider is wide enough for a finger
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
        )
        reader.wait(
            "wider than the screen",
            "document.documentElement.scrollWidth === 390 && "
            "document.querySelector('#App').scrollWidth <= 390",
        )
        widths = reader.js(
            "return "
            + found(
                "all(document).filter(e => e.matches('marimo-slider, marimo-text')).map(e => "
                "e.shadowRoot.querySelector('[data-orientation], input').getBoundingClientRect())"
                ".map(e => [e.left, e.right])"
            )
        )
        assert len(widths) == 4 and all(
            low >= 0 and high - low > 240 and high <= 390 for low, high in widths
        ), widths
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

        # a bad link says so
        reader.open(address + "?left=9")
        reader.wait("no message", "document.body.innerText.includes('outside the slider')")
        assert reader.positions() == [0, 0, 1]

        asked = [
            json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
        ]
        addresses = [
            message["params"]["request"]["url"]
            for message in asked
            if message["method"] == "Network.requestWillBeSent"
        ]
        addresses += [
            message["params"]["url"]
            for message in asked
            if message["method"] == "Network.webSocketCreated"
        ]
        assert len(addresses) > 10, "the log of requests is at work"
        parts = {url: urlsplit(url) for url in addresses}
        outside = {
            url
            for url, part in parts.items()
            if part.scheme in ("http", "https", "ws", "wss") and part.hostname != "127.0.0.1"
        }
        assert not outside


def found(script):
    """A script in which `all(node)` are the elements inside, through every shadow."""
    return (
        "(() => { const all = n => [...n.querySelectorAll('*')].flatMap(e => "
        "e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]); "
        f"return {script}; }})()"
    )


def copied(reader, title):
    """Unfold a source text, press its button, read the clipboard."""
    fold = reader.wait(
        f"no {title}",
        found(
            "all(document).find(e => e.tagName === 'BUTTON' && "
            f"e.innerText.includes('Copy as {title}'))"
        ),
    )
    reader.js("arguments[0].click()", fold)
    mark = {"torch": "import torch", "LaTeX": "align*"}[title]
    button = reader.wait(
        "no button to copy",
        found(
            "all(document).find(e => e.ariaLabel === 'Copy to clipboard' && "
            f"e.closest('.codehilite-wrapper').innerText.includes('{mark}'))"
        ),
    )
    reader.js("arguments[0].click()", button)
    time.sleep(0.3)
    return reader.browser.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], error => arguments[0](String(error)))"
    )
