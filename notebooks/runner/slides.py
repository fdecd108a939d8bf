"""Executed lessons -> slides: python notebooks/runner/slides.py [FOLDER]   (make slides)

A page a lesson, whole in itself: no network, formulas as MathML, printed a slide a page. A slide is
a heading with what is set off in the text below it (formulas, lists, tables, sentences with bold
words) and a short cell that prints nothing, or the output of a cell with what there is to see. What
is too long for the window is written smaller. The full text is in the notes: press n.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

import nbformat
from math_core import LatexToMathML
from nbconvert.filters import markdown2html

NOTEBOOKS = Path(__file__).resolve().parents[1]
OUT = NOTEBOOKS.parent / "build" / "slides"
FORMULA = re.compile(r"(\$\$?)([^$]+)\1")
SOLUTIONS = re.compile(r"<details>.*?</details>", re.DOTALL)
SET_OFF = re.compile(r"\$\$|^\s*[*|>-]\s|\*\*|^#", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)", re.MULTILINE)
SEES = "**What to see.**"
ANCHOR = re.compile(r' id="[^"]*"(?=>)|<a class="anchor-link".*?</a>')
ASKS = re.compile(r"#+ [\d. ]*Your turn")
LONGEST = 15  # lines of code that can be read from the last row
HIDDEN = re.compile(r"^(if my_\w+|my_\w+ = )|^assert ", re.MULTILINE)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
html {{ scroll-snap-type: y mandatory; font: clamp(16px, 2.1vw, 30px)/1.4 sans-serif; }}
body {{ margin: 0; color: #222; background: white; }}
body {{ counter-reset: slide; }}
section::after {{ counter-increment: slide; content: counter(slide); position: absolute; right: 2vw;
  bottom: 2vh; color: #999; font-size: 14px; }}
section {{ position: relative; min-height: 100vh; box-sizing: border-box; padding: 4vh 7vw; scroll-snap-align: start;
  border-bottom: 1px solid #ddd; display: flex; flex-direction: column; justify-content: center; }}
h1, h2 {{ color: #0072b2; line-height: 1.15; }}
h2:has(~ img), h2:has(~ pre) {{ font-size: 1.1em; margin: 0 0 .4em; }}
img {{ max-width: 100%; max-height: min(62vh, 35vw); align-self: center; object-fit: contain; }}
section:has(img) p {{ font-size: .75em; margin: .5em 0; }}
pre {{ flex-shrink: 0; font-size: calc(var(--pre, .9) * 1em); line-height: 1.3; overflow-x: auto; background: #f6f6f6; padding: .6em; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .2em .8em; border: 1px solid #bbb; }}
math[display=block] {{ margin: .6em 0; }} .notes {{ font-size: .65em; color: #555; display: none; }}
.with-notes .notes {{ display: block; }}
@page {{ size: 1280px 720px; margin: 0; }}
@media print {{ section {{ height: 100vh; page-break-after: always; border: 0; }} }}
</style><body>{slides}<script>
const wide = one => one.scrollWidth > one.clientWidth + 1;
const fit = () => {{
  if (document.body.matches(".with-notes")) return;
  const high = Math.min(innerHeight, innerWidth * 9 / 16);  // of a printed page too
  for (const one of document.querySelectorAll("section")) {{
    one.style.minHeight = "0";
    const blocks = [...one.querySelectorAll("pre")].filter(pre => !pre.closest(".notes"));
    const fits = (size, pre) => {{
      one.style.fontSize = size + "%";
      one.style.setProperty("--pre", pre / 100);
      return one.scrollHeight <= high + 1 && ![one, ...blocks].some(wide);
    }};
    blocks.forEach(pre => {{ pre.style.whiteSpace = ""; }});
    let pre = 90, size = 100;
    while (!fits(size, pre) && blocks.length && pre > 60) pre -= 5;  // what a cell printed first
    if (blocks.some(wide)) {{
      blocks.forEach(pre => {{ pre.style.whiteSpace = "pre-wrap"; }});
      pre = 80;
    }}
    while (!fits(size, pre) && size > 44) size -= 4;
    one.style.minHeight = "";
  }}
}};
addEventListener("load", fit); addEventListener("resize", fit);
addEventListener("keydown", event => {{
  const all = [...document.querySelectorAll("section")];
  const here = all.findIndex(one => one.getBoundingClientRect().bottom > innerHeight / 2);
  const by = {{ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1}}[event.key];
  if (event.key === "n") document.body.classList.toggle("with-notes");
  if (by) {{ event.preventDefault(); all[here + by]?.scrollIntoView(); }}
}});
</script></body></html>
"""


def slides(notebook: nbformat.NotebookNode) -> list[str]:
    """The slides of a lesson, as HTML, in their order."""
    found: list[tuple[str, str]] = []  # what is shown, and the notes
    heading, printed = "", False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            made = of_text(SOLUTIONS.sub("", cell.source), heading, printed)
            heading = next(reversed(HEADING.findall(cell.source)), heading)
        elif not HIDDEN.search(cell.source):
            made = of_code(cell, heading)
        else:
            continue
        printed = bool(cell.get("outputs"))
        for shown, notes, is_about_the_last in made:
            if found and (not shown or is_about_the_last):
                found[-1] = (found[-1][0] + shown, found[-1][1] + notes)
            else:
                found.append((shown, notes))
    return [f'{shown}<div class="notes">{notes}</div>' for shown, notes in found]


def of_text(source: str, heading: str, printed: bool) -> list[tuple[str, str, bool]]:
    """A slide for each heading: what is set off, else the first paragraph; what the reader is asked
    to do stands there whole. Text that goes on below a cell has the `heading` above it, or is a
    remark on what the cell `printed`, and belongs to its slide.
    """
    found = []
    for part in re.split(r"^(?=#)", source, flags=re.MULTILINE):
        blocks = [block for block in re.split(r"\n\s*\n", part) if block.strip()]
        kept = [block for block in blocks if SET_OFF.search(block)]
        remark = printed and not found and not part.startswith("#") and not kept
        if ASKS.match(part) or remark:
            kept = blocks
        elif part.startswith("#") and len(kept) == 1:
            kept = blocks[:2]
        elif kept and heading and not part.startswith(("#", SEES)):
            kept.insert(0, f"## {heading}")
        if len(blocks) > part.startswith("#"):  # else a title, which the output has too
            shown = as_html("\n\n".join(kept)) if kept else ""
            found.append((shown, as_html(part), remark or part.startswith(SEES)))
    return found


def of_code(cell: nbformat.NotebookNode, heading: str) -> list[tuple[str, str, bool]]:
    """What a cell printed and drew, with its code in the notes; where there is neither, its code
    below the text before it, if that is short and more than imports.
    """
    parts = []
    for output in cell.outputs:
        picture = output.get("data", {}).get("image/png")
        if picture:
            parts.append(f'<img alt="" src="data:image/png;base64,{picture.strip()}">')
        elif output.get("text"):
            parts.append(f"<pre>{html.escape(output.text)}</pre>")
    source = f"<pre>{html.escape(cell.source)}</pre>"
    if parts:
        return [(as_html(f"## {heading}") + "".join(parts), source, False)]
    told = heading and not cell.source.startswith(("import ", "from "))
    short = cell.source.count("\n") < LONGEST
    return [(source if told and short else "", source, True)]


def as_html(markdown: str) -> str:
    """Markdown with formulas -> HTML with MathML."""
    formulas: list[str] = []

    def kept(match: re.Match[str]) -> str:
        tex = LatexToMathML().convert_with_local_state(match[2], displaystyle=len(match[1]) == 2)
        formulas.append(tex)
        return f"FORMULA{len(formulas) - 1}X"

    text = ANCHOR.sub("", markdown2html(FORMULA.sub(kept, markdown)))
    return re.sub(r"FORMULA(\d+)X", lambda match: formulas[int(match[1])], text)


def page(notebook: nbformat.NotebookNode, title: str) -> str:
    body = "\n".join(f"<section>{slide}</section>" for slide in slides(notebook))
    return PAGE.format(title=html.escape(title), slides=body)


def main(folder: Path = OUT) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        title = re.search(r"^# (.+)", notebook.cells[0].source, re.MULTILINE)[1]
        (folder / f"{path.stem}.html").write_text(page(notebook, title), encoding="utf-8")
        links.append(
            f'<li><a href="{path.stem}.html">{path.stem[:2]} {html.escape(title)}</a></li>'
        )
    index = f"<section><h1>Slides</h1><ol start=0>{''.join(links)}</ol></section>"
    (folder / "index.html").write_text(PAGE.format(title="Slides", slides=index), encoding="utf-8")
    print(
        f"wrote {folder / 'index.html'}: arrow keys turn, n shows notes, printing gives a page a slide"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
