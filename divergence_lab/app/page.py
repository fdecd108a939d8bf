# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The loss designer, a marimo app: `make app`. It only lays out what the files beside it compute.

What follows the sliders is redrawn at once; what takes seconds runs in threads that end when the
choice has changed. `head.html` is what the browser itself does: it dims answers to what is no
longer in the field, and keeps its history.
"""

import marimo

app = marimo.App(width="medium", app_title="Loss designer", html_head_file="head.html")


@app.cell
def _():
    from fractions import Fraction
    from html import escape
    from urllib.parse import urlencode

    import marimo as mo

    from divergence_lab.app import pictures, verdict_table
    from divergence_lab.app.choice import Choice, by_class, from_link, presets, to_link
    from divergence_lab.app.family import CURVATURES, TAILS, Member, family_name
    from divergence_lab.app.live import begin, explain, train
    from divergence_lab.report import drawing
    from divergence_lab.report.typeset import formula
    from divergence_lab.theory.expressions.syntax import ExpressionError

    return (
        CURVATURES,
        Choice,
        ExpressionError,
        Fraction,
        Member,
        TAILS,
        begin,
        by_class,
        drawing,
        escape,
        explain,
        family_name,
        formula,
        from_link,
        mo,
        pictures,
        presets,
        to_link,
        train,
        urlencode,
        verdict_table,
    )


@app.cell
def _(mo):
    mo.md(
        """
        # Loss designer

        A regression loss $g(x)$ on the residual $x = \\log(\\text{target}/\\text{model})$ of a GFlowNet minimises the divergence
        $D_f$ with $f''(t) = g''(\\log t)/t^2$. Shape a loss and see what it does.
        """
    )
    return


@app.cell
def _(Choice, ExpressionError, drawing, from_link, mo):
    try:
        _start, _problem = from_link(mo.query_params().to_dict()), None
    except ExpressionError as _reason:
        _start, _problem = (
            Choice(),
            f"The link could not be read, so the page is at its start: {_reason}",
        )
    started, restart = mo.state(_start, allow_self_loops=True)
    mo.Html(drawing.message(_problem)) if _problem else None
    return restart, started


@app.cell
def _(CURVATURES, Choice, TAILS, by_class, mo, presets, restart, started):
    def _slider(ends, step, value, label):
        low, high = map(float, ends)
        return mo.ui.slider(
            low, high, step, value=float(value), label=label, show_value=True, full_width=True
        )

    left = _slider(
        TAILS, 0.05, started().member.left, "left tail $a_-$ (zero-forcing at 0 and below)"
    )
    right = _slider(
        TAILS, 0.05, started().member.right, "right tail $a_+$ (zero-avoiding at 1 and above)"
    )
    curvature = _slider(CURVATURES, 0.05, started().member.curvature, "curvature $c = g''(0)$")
    typed = mo.ui.text(
        started().typed,
        placeholder="x**2/2 + exp(x) - x - 1",
        max_length=500,
        full_width=True,
        label="or type any loss in x, then press Enter (clear it to go back to the sliders)",
    )
    _named, _headed = presets(), by_class()

    def _start_from(name):
        if name:
            restart(Choice(_named[name].member, _named[name].typed, started().beside))

    preset = mo.ui.dropdown(
        _headed,
        label="start from (type to search: a name or a class)",
        searchable=True,
        allow_select_none=True,
        full_width=True,
        on_change=_start_from,
    )
    beside = mo.ui.dropdown(
        _headed,
        value=next((label for label, name in _headed.items() if name == started().beside), None),
        label="beside it, a second loss",
        searchable=True,
        allow_select_none=True,
        full_width=True,
    )
    mo.Html(f"""<div class="controls">{left}{right}{curvature}</div>
        <div class="field" style="margin-top:16px">{typed}{preset}{beside}</div>
        <p id="unread" style="margin-top:12px">Below stands the loss that was read last; Enter reads what is typed.</p>""")
    return beside, curvature, left, right, typed


@app.cell
def _(Choice, Fraction, Member, beside, curvature, left, right, typed):
    # 1/3 from a link stays 1/3: every step of a slider and every such fraction has a small
    # denominator
    _rates = [Fraction(slider.value).limit_denominator(1000) for slider in (left, right, curvature)]
    choice = Choice(Member(*_rates), typed.value.strip(), beside.value or "")
    return (choice,)


@app.cell
def _(
    ExpressionError,
    choice,
    drawing,
    escape,
    family_name,
    formula,
    mo,
    pictures,
    presets,
    verdict_table,
):
    def _shown(read):
        found = pictures.typed(choice.typed) if choice.typed else pictures.of_member(choice.member)
        name = choice.typed or family_name(choice.member) or "without a name in the catalogue"
        family = formula("g''(x) = c*exp(a*x)")
        rule = (
            (
                f"g(x) = <code>{escape(choice.typed)}</code>, as typed; the sliders wait "
                "until the field is cleared"
            )
            if choice.typed
            else f"{family}, where a is a₋ left of 0 and a₊ right of it: "
            f"<b>{escape(name)}</b>, {formula('g(x) = ' + choice.text)}"
        )
        other = presets()[choice.beside].text if choice.beside else None
        second = pictures.typed(other) if other else None
        three = "".join(
            f"<div>{picture}</div>" for picture in pictures.charts(found, second, choice.beside)
        )
        verdicts = (
            "" if choice.typed else verdict_table.table(verdict_table.of_member(choice.member))
        )
        return mo.Html(
            f'{read}<div id="pictures" class="answer"><p style="margin:0 0 '
            f'8px;min-height:3.4em;overflow-wrap:anywhere">{rule}</p>'
            f'<div style="display:grid;gap:8px;'
            f'grid-template-columns:repeat(auto-fit,minmax(280px,1fr))">{three}</div>'
            '<p style="margin:6px 0 12px">'
            f"{escape(pictures.caption(found, second, choice.beside))}</p>"
            f"{verdicts}</div>"
        )

    _read = f'<span data-read="{escape(choice.typed)}"></span>'
    readable = True
    try:
        _output = _shown(_read)
    except ExpressionError as _reason:
        readable = False
        _output = mo.Html(_read + drawing.message(str(_reason)))
    _output
    return (readable,)


@app.cell
def _(begin, choice, explain, mo, presets, readable):
    if readable:
        _other = presets()[choice.beside].text if choice.beside else ""
        begin(explain, choice.text, bool(choice.typed), choice.beside, _other)
    mo.Html(
        '<p id="derived" class="answer" style="opacity:0.6">Pending: the divergence, its '
        "proof and the source text follow "
        "when the sliders rest.</p>"
    ) if readable else None
    return


@app.cell
def _(mo):
    live = mo.ui.switch(True, label="train a small GFlowNet with this loss when the sliders rest")
    live
    return (live,)


@app.cell
def _(begin, choice, live, mo, readable, train):
    if readable and live.value:
        begin(train, choice.text)
    mo.Html(
        '<p id="training" class="answer" style="opacity:0.6">Pending: training begins '
        "when the sliders rest.</p>"
    ) if readable and live.value else None
    return


@app.cell
def _(choice, escape, mo, readable, to_link, urlencode):
    _query = escape(urlencode(to_link(choice)))
    mo.Html(
        '<p class="answer" style="overflow-wrap:anywhere">This page as a link, as in the '
        'address bar: <a id="link" '
        f'style="text-decoration:underline" href="?{_query}">?{_query}</a></p>'
    ) if readable else None
    return


if __name__ == "__main__":
    app.run()
