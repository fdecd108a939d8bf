"""The page that needs no server, in a real headless Chromium, from build/page: what a reader does,
and what the page answers. `make page` builds it.
"""

import functools
import http.server
import io
import itertools
import json
import random
import shutil
import statistics
import threading
import time
import zipfile
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from divergence_lab.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "build" / "page"
PATIENCE = 240  # seconds; on a busy machine Python takes long to start
HOSTILE = [
    "__import__('os').system('x')",
    "<img src=x onerror=alert(1)>",
    "'\"><script>document.title='owned'</script>",
    "x.__class__",
    "9**9**9**9",
    "(" * 400 + "x" + ")" * 400,
    "\u202ex\x00",
    "--help",
    "",
]


def reason_to_skip():
    """Why the page can't be tried here, or None."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        return "needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
    if not (PAGE / "service.js").exists():
        return "build/page is not built: make page"
    with zipfile.ZipFile(PAGE / "lab.zip") as lab:
        ours = [*ROOT.glob("divergence_lab/**/*.py")]
        ours += [*ROOT.glob("page/python/*.py")]
        for path in ours:
            name = str(path.relative_to(ROOT)).removeprefix("page/python/")
            if name not in lab.namelist() or lab.read(name) != path.read_bytes():
                return f"build/page was built from another {name}: make page"
    for path in [*ROOT.glob("page/js/*.js"), *ROOT.glob("page/*.html"), *ROOT.glob("page/*.css")]:
        if (PAGE / path.relative_to(ROOT / "page")).read_bytes() != path.read_bytes():
            return f"build/page was built from another {path.name}: make page"
    return None


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    """Where build/page is served, by a plain server of files."""
    if (reason := reason_to_skip()) is not None:
        pytest.skip(reason)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=PAGE)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@contextmanager
def chromium(folder, width=1250):
    """A headless Chromium that logs its requests and what goes to its console."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", "--enable-precise-memory-info"),
        *(f"--window-size={width},1500", f"--user-data-dir={folder / 'profile'}"),
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(PATIENCE)
    try:
        yield browser
    finally:
        browser.quit()


class Reader:
    """Somebody in front of the page."""

    def __init__(self, browser, address):
        self.browser, self.address, self.js = browser, address, browser.execute_script

    def open(self, link=""):
        """Load the page; `link`: what stands after #."""
        self.browser.get("about:blank")
        self.browser.get(f"{self.address}#{link}")

    def go(self, link):
        """Follow a link to the page, which stays open, with its Python."""
        if not self.browser.current_url.startswith(self.address):
            self.open(link)
            return
        self.js(
            "document.querySelector('#loss-answer').classList.add('old');"
            "for (const name of ['invert', 'design', 'check'])"
            "  document.querySelector(`#${name}-answer`).replaceChildren();"
            "location.hash = arguments[0]",
            link,
        )

    def wait(self, what, condition, seconds=PATIENCE):
        """The first true answer of a script."""
        end = time.monotonic() + seconds
        while not (answer := self.js(f"return {condition}")):
            assert time.monotonic() < end, f"{what}: {self.js('return document.body.innerText')}"
            time.sleep(0.02)
        return answer

    def answered(self):
        """Wait until the engine's own answer stands there, or its refusal."""
        return self.wait(
            "no answer",
            "(document.querySelector('#loss-answer:not(.old) .note')?.textContent.includes("
            "'in your browser in') || document.querySelector('#loss-answer:not(.old) .problem'))"
            " && document.querySelector('#loss-answer').innerText",
        )

    def type(self, text):
        """Type a loss and press the button, as a reader does; a script sets what no key writes."""
        self.js("document.querySelector('#g').value = arguments[0]", text)
        self.js("document.querySelector('#loss-answer').classList.add('old')")
        self.js("document.querySelector('#loss-form button').click()")
        return self.answered()

    def ask(self, words):
        """The engine's answer to a command."""
        return self.browser.execute_async_script(
            "const [question, done] = arguments; lab.engine.ask(question, 120).then(done)",
            {"kind": "command", "words": words},
        )

    def outside(self):
        """Requests that went anywhere but to the page's own server."""
        asked = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        assert any(url.startswith(self.address) for url in asked)
        home = urlsplit(self.address).netloc
        near = ("data", "blob", "about", "chrome", "chrome-extension")
        return [
            url
            for url in asked
            if urlsplit(url).netloc != home and urlsplit(url).scheme not in near
        ]

    def errors(self):
        """What the console shows in red."""
        return [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def reader(address, tmp_path_factory):
    """A reader whose browser saw the page for the first time."""
    with chromium(tmp_path_factory.mktemp("page")) as browser:
        yield Reader(browser, address)


def told(words):
    """What the command line prints here, as JSON."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(words) == 0
    return json.loads(out.getvalue())


def test_a_loss_is_derived_proved_and_checked_in_the_browser(reader):
    reader.open("g=" + quote("exp(x) - x - 1 + 0*x"))
    found = reader.answered()
    assert "Minimises forward KL" in found and "zero-avoiding" in found
    words = ["derive", "exp(x) - x - 1 + 0*x", "--budget", "60", "--json"]
    assert json.loads(reader.ask(words)["out"]) == told(words)
    assert "Unknown" not in found and not reader.outside() and not reader.errors()


# --- all of it: make test-slow


def random_losses(count, seed=20261128):
    """Valid losses, and some that are not: sums of even and one-sided blocks."""
    drawn, blocks = (
        random.Random(seed),
        (
            *(
                "x**2/2",
                "exp({a}*x) - {a}*x - 1",
                "log(cosh({a}*x))",
                "Abs(x)",
                "x**4",
                "cosh({a}*x) - 1",
            ),
            *("sqrt(1 + ({a}*x)**2) - 1", "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))"),
            *("Max(x, 0)**2", "atan({a}*x)**2", "x*tanh(x)", "log(1 + x**2)", "x*erf(x)"),
        ),
    )
    rates = ("1", "2", "1/2", "-1", "3", "2/3")

    def term() -> str:
        block = drawn.choice(blocks).format(a=f"({drawn.choice(rates)})")
        return f"{drawn.choice(('1', '2', '1/3'))}*({block})"

    found: dict[str, None] = {}  # in the order in which they were drawn
    while len(found) < count:
        found[" + ".join(term() for _ in range(drawn.choice((1, 1, 2))))] = None
    return [*found]


@pytest.mark.slow
@pytest.mark.alone
def test_twenty_random_losses_are_answered_as_by_the_command_line(reader):
    reader.open()
    different, seconds = [], []
    for text in random_losses(20):
        words = ["derive", text, "--budget", "60", "--json"]
        found = reader.ask(words)
        seconds.append(found.get("seconds", 75.0))
        if found.get("ended") or json.loads(found["out"]) != told(words):
            different.append((text, found.get("ended") or found["cut"]))
    print(f"\n20 losses: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s")
    assert not different


@pytest.mark.slow
@pytest.mark.alone
def test_the_first_answer_comes_within_twenty_seconds_and_the_next_within_two(address, tmp_path):
    with chromium(tmp_path) as browser:
        fresh = Reader(browser, address)
        started = time.monotonic()
        fresh.open("g=" + quote("exp(x) - x - 1 + x**2/2"))
        fresh.wait("nothing is there", "document.querySelectorAll('#catalogue button').length > 9")
        useful = time.monotonic() - started
        fresh.answered()
        first, times = time.monotonic() - started, []
        for k in range(2, 13):
            began = time.monotonic()
            fresh.type(f"exp(x) - x - 1 + {k}*x**2")
            times.append(time.monotonic() - began)
        print(
            f"\nuseful after {useful:.2f} s, first answer after {first:.1f} s, the next: median "
            f"{statistics.median(times):.2f} s, slowest {max(times):.2f} s"
        )
        assert useful < 2 and first < 20 and statistics.median(times) < 2


@pytest.mark.slow
def test_hostile_text_runs_nothing_and_is_told_in_one_line(reader):
    reader.open()
    for text in HOSTILE:
        if text:
            found = reader.type(text)
            assert (
                reader.js("return document.querySelectorAll('#loss-answer .problem').length") == 1
            )
            assert len(found) < 1200 and "Traceback" not in found and "SyntaxError" not in found
        link = "&".join(
            f"{name}={quote(text)}" for name in ("left", "f", "assume", "wishes", "tab")
        )
        reader.open(link)
        reader.wait("no page", "document.querySelectorAll('#catalogue button').length > 9")
    assert reader.js("return document.title").startswith("divergence_lab")
    assert reader.js("return document.querySelectorAll('img, #loss-answer script').length") == 0
    assert not reader.outside() and not reader.errors()


@pytest.mark.slow
def test_a_worker_that_does_not_answer_is_ended_and_another_takes_over(reader):
    reader.open("g=x**2")
    reader.answered()
    dear = {"kind": "command", "words": ["derive", "a*x**2 + b*(exp(x) - x - 1)", "--json"]}
    ended = reader.browser.execute_async_script(
        "const [question, done] = arguments; lab.engine.ask(question, -14).then(done)", dear
    )  # one second, with the grace that a search has to end by itself
    assert ended == {"ended": "time"} and reader.js("return lab.engine.replaced") == 1
    assert "reverse KL" in reader.type("3*x**2")


@pytest.mark.slow
def test_the_other_tabs_answer(reader):
    reader.go("tab=invert&f=" + quote("t*log(t)"))
    reader.wait("no loss", "document.querySelector('#invert-answer .found')")
    reader.go("tab=design&wishes=" + quote("zero-forcing=yes&symmetric-divergence=yes"))
    reader.wait("no design", "document.querySelector('#design-answer .found .met')")
    reader.go("tab=design&wishes=" + quote("bounded-gradient=yes&zero-forcing=yes"))
    said = "document.querySelector('#design-answer .problem')?.textContent"
    assert "zero-forcing" in reader.wait("no refusal", said)
    words = ["derive", "x**2", "--json"]
    document = reader.ask(words)["out"]
    for content, says in ((document, "✓"), (document.replace('"2*x"', '"3*x"'), "✗")):
        reader.go("tab=check")
        reader.js(
            "const files = new DataTransfer(); files.items.add(new File([arguments[0]], 'c.json'));"
            "document.querySelector('#drop').dispatchEvent(new DragEvent('drop', "
            "{dataTransfer: files, bubbles: true, cancelable: true}))",
            content,
        )
        place = "document.querySelector('#check-answer')"
        found = reader.wait(
            "not checked", f"{place}.querySelector('.good, .problem') && {place}.innerText"
        )
        assert found.startswith(f"c.json: {says}"), found
    assert not reader.errors()


@pytest.mark.slow
def test_numbers_are_wished_for_without_numpy(reader):
    reader.go("tab=design&wishes=" + quote("penalty=-3:1 2:1&zero-forcing=yes"))
    found = reader.wait("no design", "document.querySelector('#design-answer .met')?.innerText")
    assert "g(-3) = 1 (proved)" in found and "g(2) = 1 (proved)" in found
    reader.go("tab=design&wishes=" + quote("tradeoff=-2:2"))
    reader.wait("no trade-off", "document.querySelector('#design-answer .met')?.innerText")


@pytest.mark.slow
def test_sampler_and_placement_are_told_and_drawn(reader):
    """The straight part of a loss counts where the draws are weighted; a term's place decides."""
    reader.go("sampler=backward&g=" + quote("exp(x)-1"))
    found = reader.answered()
    assert "Minimises Pearson chi-square" in found and "weighted by p_B acts like" in found
    for name, place, minimises in (
        ("k3", "loss", "Minimises forward KL"),
        ("k3", "weighted", "Minimises reverse KL"),
        ("k1", "loss", "No gradient"),
        ("k2", "reward", "No valid loss"),
    ):
        reader.go(f"placement={place}&g={name}")
        assert minimises in reader.answered()
    text = "document.querySelector('#loss-answer').textContent"  # innerText slants set letters
    assert "minimises no f-divergence" in reader.js(f"return {text}")
    reader.go("placement=weighted&g=k3")
    reader.answered()
    drawn = "document.querySelector('#pictures svg')?.getAttribute('aria-label')"
    assert "g(2) is about 2.00" in reader.wait("no picture", drawn)  # of x^2/2, not of k3


@pytest.mark.slow
def test_a_link_of_nonsense_opens_the_page_as_at_the_start(reader):
    reader.go(
        "tab=x&left=9e9&right=%00&budget=1e99&placement=evil&wishes=help%3Dyes&%ff%&&=&g=x**2"
    )
    assert "reverse KL" in reader.answered()
    state = reader.js("return lab.state()")
    assert (state["tab"], state["left"], state["placement"]) == ("loss", "0", "")
    assert state["budget"] == "600"
    reader.go("tab=design&wishes=" + quote("help=yes&residuals=/etc/passwd&curvature=--help"))
    said = "document.querySelector('#design-answer .problem')?.textContent"
    assert "help is a reserved word" in reader.wait("no refusal", said)
    assert not reader.errors()


@pytest.mark.slow
def test_a_search_is_stopped_by_a_button_and_by_the_next_question(reader):
    dear = "exp(x)/(1+x**2)**p + a*x**2 + b*x**4*sin(x)**2 + c*(cosh(a*x) - cosh(b*x))**2"
    reader.go("curvature=3")
    reader.answered()
    reader.wait("no spare", "lab.engine.spare?.isReady === true")
    reader.js("document.querySelector('#g').value = arguments[0]", dear)
    reader.js("document.querySelector('#loss-form button').click()")
    reader.wait("not searching", "Boolean(lab.engine.underWay)")
    before = reader.js("return lab.engine.replaced")
    reader.js("document.querySelector('#stop').click()")
    assert "you stopped the search" in reader.answered()
    reader.wait("no spare", "lab.engine.spare?.isReady === true")
    reader.js("document.querySelector('#loss-form button').click()")
    reader.wait("not searching", "Boolean(lab.engine.underWay)")
    assert "reverse KL" in reader.type("x**2")
    assert reader.js("return lab.engine.replaced") > before


# --- keys alone, and a screen reader


REACHABLE = (
    "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
    ".filter(one => one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true}))"
)
FOCUSED = """
const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one)
return {
  index: reachable().indexOf(one), html: one.outerHTML.slice(0, 120),
  seen: box.width > 0 && box.right > 0 && box.bottom > 0 && box.top < innerHeight,
  outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
}
""".replace("reachable()", REACHABLE)


def press(browser, *keys):
    """Keys, to whatever has the focus."""
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


@pytest.mark.slow
def test_everything_is_reached_by_tab_in_the_order_of_the_page_with_a_visible_focus(reader):
    for tab in ("loss", "invert", "design", "check"):
        reader.go(f"tab={tab}")
        if tab == "loss":
            reader.wait("no catalogue", "document.querySelectorAll('#catalogue button').length > 9")
            reader.js("document.querySelector('#more').open = true")
            reader.answered()
        count = reader.js(f"return {REACHABLE}.length")
        reader.js("document.querySelector('.skip').focus({focusVisible: true})")
        seen = [reader.js(FOCUSED)]
        for _ in range(count - 1):
            press(reader.browser, "\ue004")
            seen.append(reader.js(FOCUSED))
        assert [one["index"] for one in seen] == list(range(count)), [one["html"] for one in seen]
        assert all(one["seen"] and one["outline"] for one in seen), [
            one for one in seen if not (one["seen"] and one["outline"])
        ]


@pytest.mark.slow
def test_the_page_is_used_by_keys_alone(reader):
    enter, tab, right, space = "\ue007", "\ue004", "\ue014", "\ue00d"
    reader.go("curvature=2")
    reader.answered()
    reader.js("document.querySelector('#g').focus()")
    press(reader.browser, *"3*x**2", enter)
    reader.wait("no answer", "lab.state().g === '3*x**2'")
    reader.wait(
        "no answer", "document.querySelector('#loss-answer').innerText.includes('6 × reverse')"
    )
    reader.js("document.querySelector('.verdicts summary').focus()")
    press(reader.browser, enter)
    assert reader.js("return document.querySelector('.verdicts details').open")
    reader.js("document.querySelector('#right').focus()")
    press(reader.browser, right)
    assert (
        reader.js("return document.querySelector('#right').getAttribute('aria-valuetext')")
        == "1/20"
    )
    reader.wait("catalogue", "document.querySelectorAll('#catalogue button').length > 9")
    reader.js("document.querySelector('#search').focus()")
    press(reader.browser, *"hellinger", tab, space)
    reader.wait(
        "not taken", "document.querySelector('#left').getAttribute('aria-valuetext') === '1/2'"
    )
    reader.js("document.querySelector('#tab-loss').focus()")
    press(reader.browser, right)
    assert reader.js("return document.activeElement.id") == "tab-invert"
    assert reader.js("return !document.querySelector('#panel-invert').hidden")
    press(reader.browser, tab, *"t*log(t)", enter)
    reader.wait("no loss", "document.querySelector('#invert-answer .found')")
    assert not reader.errors()


def heard(browser):
    """What a screen reader is given: (role, name, properties) of each node."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (
            node["role"]["value"],
            node.get("name", {}).get("value", "").strip(),
            {one["name"]: one["value"].get("value") for one in node.get("properties", ())},
        )
        for node in nodes
        if not node["ignored"] and "role" in node
    ]


NAMED = {
    *("button", "link", "textbox", "searchbox", "slider", "combobox", "spinbutton", "tab", "image"),
    *("tabpanel", "tablist", "DisclosureTriangle", "list", "table", "group", "img", "math"),
}


@pytest.mark.slow
@pytest.mark.parametrize("width", [1250, 380])
def test_a_screen_reader_is_told_names_states_and_answers(address, tmp_path, width):
    with chromium(tmp_path, width) as browser:
        blind = Reader(browser, address)
        browser.execute_cdp_cmd("Accessibility.enable", {})
        blind.open("g=3*x**2")
        blind.answered()
        nodes = heard(browser)
        lists = [name for role, name, _ in nodes if role == "list" and name]
        assert "Named losses" in lists
        silent = [
            (role, properties)
            for role, name, properties in nodes
            if role in NAMED - {"list", "group"} and not name
        ]
        assert not silent
        told = [name for role, name, _ in nodes if role == "image" or role == "img"]
        assert any("g(2) is about 12.0" in name for name in told)
        chosen = {n: p.get("selected") for role, n, p in nodes if role == "tab"}
        assert chosen["A loss"] and not chosen["Check a proof"] and len(chosen) == 4
        rows = [name for role, name, _ in nodes if role == "rowheader"]
        assert len(rows) == 7 and "zero-forcing" in rows
        assert sum(role == "row" for role, _, _ in nodes) == 7
        levels = [p["level"] for role, _, p in nodes if role == "heading"]
        assert levels[0] == 1 and all(b <= a + 1 for a, b in itertools.pairwise(levels))
        regions = [p.get("live") for role, _, p in nodes if role == "status"]
        assert regions == ["polite"]
        news = blind.js("return document.querySelector('#news').textContent")
        assert news.startswith("Minimises 6 × reverse KL. valid: yes, zero-forcing: yes")
        blind.type("x +")
        assert blind.js("return document.querySelector('#news').textContent.includes('x +')")


@pytest.mark.slow
def test_two_tabs_of_one_browser_answer_their_own_questions(address, tmp_path):
    """Asked at once, and while the other one searches; Stop in one leaves the other alone."""
    asked = {"x**2/2": "reverse KL", "exp(x) - x - 1": "forward KL", "Abs(x)": "total variation"}
    long = "(1+(x-1)**2)**(3/2)/6 + ((x-1)*asinh(x-1) - sqrt(1+(x-1)**2))/2 - x**2/2"
    with chromium(tmp_path) as browser:
        tab = Reader(browser, address)
        tab.open("g=x")
        one = browser.current_window_handle
        browser.switch_to.new_window("tab")
        two = browser.current_window_handle
        tab.open("g=-x")
        for other in asked:
            for first, second in ((one, other), (two, "exp(2*x) - 2*x - 1")):
                browser.switch_to.window(first)
                tab.js(
                    "document.querySelector('#g').value = arguments[0];"
                    "document.querySelector('#loss-answer').classList.add('old');"
                    "document.querySelector('#loss-form').requestSubmit()",
                    second,
                )
            assert "Minimises 2 × Pearson chi-square" in tab.answered()
            browser.switch_to.window(one)
            assert f"{asked[other]}\n" in tab.answered()
        tab.js("location.hash = arguments[0]", "g=" + quote(long))
        tab.wait("no search", "document.querySelector('#engine').className === 'busy'")
        browser.switch_to.window(two)
        assert "Minimises 6 × reverse KL" in tab.type("3*x**2")
        browser.switch_to.window(one)
        tab.js("document.querySelector('#stop').click()")
        assert "you stopped" in tab.answered()
        browser.switch_to.window(two)
        assert "Minimises 6 × reverse KL" in tab.answered() and not tab.errors()


@pytest.mark.slow
def test_a_link_restores_what_was_chosen_and_back_goes_back(reader):
    reader.open("left=1%2F3&right=1&curvature=2&sampler=backward")
    reader.wait("no sliders", "document.querySelector('output[for=left]').textContent === '1/3'")
    reader.type("x**2")
    assert "g=x**2" in reader.js("return location.hash") and "sampler" in reader.js(
        "return location.hash"
    )
    reader.browser.back()
    reader.wait("no way back", "document.querySelector('#g').value === ''")


@pytest.mark.slow
def test_the_page_is_kept_for_the_next_visit_without_a_network(address, tmp_path):
    with chromium(tmp_path) as browser:
        guest = Reader(browser, address)
        guest.open("g=3*x**2")
        guest.answered()
        kept = guest.browser.execute_async_script(
            "const done = arguments[0]; navigator.serviceWorker.ready.then(async () => done("
            "(await (await caches.open((await caches.keys())[0])).keys()).length))"
        )
        assert kept > 20
        browser.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        guest.open("g=5*x**2")
        assert "10 × reverse KL" in guest.answered()


@pytest.mark.slow
@pytest.mark.alone
def test_memory_stays_bounded_over_a_hundred_questions(reader):
    reader.open()
    for k in range(100):
        reader.ask(["derive", f"exp(x) - x - 1 + {k + 1}*x**2/{k % 7 + 2}", "--json"])
    heap = reader.js("return lab.engine.heap")
    print(f"\nafter 100 questions: {heap / 1e6:.0f} MB in the worker")
    assert heap < 900e6
