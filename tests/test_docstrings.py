"""Every public name says what it is, and shows it: one example that runs."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import divergence_lab


def rooms(package):
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.ispkg:
            yield importlib.import_module(found.name)


def public() -> dict[str, object]:
    """where it is defined -> the function or class, for the package and the faces of its rooms."""
    theory = importlib.import_module("divergence_lab.theory")
    found = {}
    for face in (divergence_lab, *rooms(divergence_lab), *rooms(theory)):
        for name in getattr(face, "__all__", ()):
            entry = getattr(face, name)
            if inspect.isfunction(entry) or inspect.isclass(entry):
                found[f"{entry.__module__}.{entry.__qualname__}"] = entry
    return found


PUBLIC = public()


def examples(name):
    found = PUBLIC[name]
    tests = doctest.DocTestFinder(recurse=False).find(found, name)
    return [test for test in tests if test.examples]


def test_every_public_name_has_an_example():
    """Errors aside: what raises them shows them."""
    missing = {
        name.removeprefix("divergence_lab.")
        for name, entry in PUBLIC.items()
        if not examples(name) and not (inspect.isclass(entry) and issubclass(entry, Exception))
    }
    assert not missing, sorted(missing)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_documented_and_its_example_prints_what_it_says(name):
    assert inspect.getdoc(PUBLIC[name])
    for test in examples(name):
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test)
        assert not runner.failures
