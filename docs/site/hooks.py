"""What the site adds to docs/: notebooks, paper checks and figures from beside it, the reference,
formulas as MathML.

MkDocs calls these functions by their names. Pages are written for the repository, so that links
work there; here they are turned to where the same file lies in the site.
"""

from __future__ import annotations

import ast
import html
import posixpath
import re
from importlib.util import find_spec
from pathlib import Path

import command_page
import loss_pages
from math_core import LatexToMathML
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File
from plain_docstrings import plain

ROOT = Path(__file__).resolve().parents[2]
# folders of the repository whose files become pages or pictures of the site, under the same name
BESIDE = {
    "notebooks": ("*.ipynb", "*.md", "runner/*.svg"),
    "paper_checks": ("*.md", "*.png", "*.svg", "**/*.png", "**/*.svg"),
    "figures": ("*.md", "*.png", "*.svg"),
}
# the reference: a page for each of these rooms
REFERENCE = ("theory", "graphs", "bridge", "gflownet", "theorem", "training", "results", "report")
REFERENCE += ("audit", "bench")
LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s]+)\)")
# TeX in the HTML of a page, and in that of a notebook, where code and scripts are left as they are
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# a link of a notebook to a page of docs/ or of a folder beside it
UPWARD = re.compile(r'href="\.\./(?:docs/)?([\w/]+)\.md')
IN_NOTEBOOK = re.compile(
    r"""(<pre\b.*?</pre>|<code\b.*?</code>|<script\b.*?</script>|<style\b.*?</style>"""
    r"""|<div class="clipboard-copy-txt".*?</div>)"""
    r"""|(\$\$?)([^$]+)\2""",
    re.DOTALL,
)
MATHML = LatexToMathML()
PRIMED = re.compile(r"<msup>(<mi>[^<]*</mi>)<mo>([′″‴])</mo></msup>")
# a font with the metrics that formulas need, served by the site itself
FONT = next((Path(find_spec("ziamath").origin).parent / "fonts").glob("*Math*.ttf"))


def on_config(config):
    """The named losses in the table of contents, by class."""
    for entry in config.nav:
        if "Losses" in entry:
            entry["Losses"] = loss_pages.navigation()
    return config


@event_priority(100)  # before the plugin that turns notebooks into pages
def on_files(files, config):
    """Adds what lies beside docs/, and the pages that are made here."""
    for directory, patterns in BESIDE.items():
        for path in sorted(
            {path for pattern in patterns for path in (ROOT / directory).glob(pattern)}
        ):
            files.append(
                File(
                    path.relative_to(ROOT).as_posix(),
                    ROOT,
                    config.site_dir,
                    use_directory_urls=False,
                )
            )
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    made = {"commands.md": command_page.page(), "changelog.md": changes}
    for name, text in {**reference_pages(), **loss_pages.pages(), **made}.items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "assets/math.ttf", content=FONT.read_bytes()))
    return files


def reference_pages() -> dict[str, str]:
    """File name -> Markdown: the public names of the package, and a page for each group of
    modules.
    """
    lines = [
        "# Reference\n",
        "`import divergence_lab as dl` gives these names; the pages show the modules "
        "that a user meets.\n",
        "| name | where | what |",
        "|---|---|---|",
    ]
    for name, module in public_names():
        page = f"{module.partition('.')[0]}.md"
        what = first_sentence(module, name)
        lines.append(
            "| "
            f"[`{name}`]({page}#divergence_lab.{module}{'' if module == name else '.' + name}) "
            f"| `{module}` | {what} |"
        )
    pages = {"reference/index.md": "\n".join(lines)}
    for room in REFERENCE:
        shown = [*shown_modules(room), *(m for _, m in public_names() if m.startswith(f"{room}."))]
        body = "\n\n".join(f"::: divergence_lab.{module}" for module in dict.fromkeys(shown))
        pages[f"reference/{room}.md"] = f"# {room}\n\n{body}\n"
    return pages


def shown_modules(room: str) -> list[str]:
    """The modules that hold the names of a room's face and of those of the rooms in it."""
    found = []
    for face in sorted((ROOT / "divergence_lab" / room).rglob("__init__.py")):
        inside = ".".join(face.parent.relative_to(ROOT / "divergence_lab").parts)
        for node in ast.walk(ast.parse(face.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open_room":
                found += [
                    f"{inside}.{module}" for module in ast.literal_eval(node.args[1]).values()
                ]
    return list(dict.fromkeys(found))


def path_of(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def public_names() -> list[tuple[str, str]]:
    """(name, module) of what `divergence_lab` exports, read from its source."""
    tree = ast.parse((ROOT / "divergence_lab/__init__.py").read_text(encoding="utf-8"))
    (home,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "_HOME"
    )
    return list(ast.literal_eval(home).items())


def first_sentence(module: str, name: str) -> str:
    """The first sentence of a docstring, as text that a table can hold."""
    tree = ast.parse(path_of(f"divergence_lab.{module}").read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if getattr(node, "name", None) == name]
    words = ast.get_docstring(nodes[0] if nodes else tree) or ""
    paragraph = " ".join(words.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=\.)\s", paragraph)[0]
    return plain(sentence).replace("|", "\\|")


def on_page_markdown(markdown, page, config, files):
    """Display formulas get a paragraph of their own; links that lead out of docs/ are turned to
    the site's copy.
    """
    here = posixpath.dirname(page.file.src_uri)
    in_docs = (ROOT / "docs" / page.file.src_uri).is_file()

    def turned(match):
        target, _, anchor = match[2].partition("#")
        if not target or "://" in target or page.file.src_uri.startswith("reference/"):
            return match[0]
        at = posixpath.normpath(
            posixpath.join("docs" if in_docs else "", here, target)
        ).removeprefix("docs/")
        at = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}.get(at, at)
        found = files.get_file_from_path(at) or files.get_file_from_path(
            posixpath.join(at, "README.md")
        )
        if (
            found is None and (ROOT / at).exists()
        ):  # a file of the repository that is no page: its name is enough
            return match[1]
        if found is None:
            return match[0]  # MkDocs warns
        there = posixpath.relpath(found.src_uri, here or ".")
        return f"[{match[1]}]({there}{'#' + anchor if anchor else ''})"

    return LINK.sub(
        turned, re.sub(r"\s*\$\$(.+?)\$\$\s*", r"\n\n$$\1$$\n\n", markdown, flags=re.DOTALL)
    )


def on_page_content(content, page, config, files):
    """TeX -> MathML, which every browser draws by itself."""
    if page.file.src_uri.endswith(".ipynb"):
        content = content.replace('href="README.md', 'href="index.html')
        content = UPWARD.sub(r'href="../\1.html', content).replace("/README.html", "/index.html")
        return IN_NOTEBOOK.sub(
            lambda match: match[0] if match[1] else mathml(match[3], len(match[2]) == 2), content
        )
    return FORMULA.sub(lambda match: mathml(match[2], match[1] == "div"), content)


def mathml(tex: str, display: bool) -> str:
    tex = re.sub(r"\\tag\{(.*?)\}", r"\\qquad(\\text{\1})", html.unescape(tex))
    return with_plain_primes(MATHML.convert_with_local_state(tex, displaystyle=display))


def with_plain_primes(found: str) -> str:
    """A prime is a raised sign already: as a superscript of its letter it would be raised twice."""
    sign = r'<mo form="postfix" lspace="0" rspace="0">\2</mo>'
    return PRIMED.sub(rf"\1{sign}", found)
