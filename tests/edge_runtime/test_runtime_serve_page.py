"""The files of the server's page: whole, of this server alone, and such that its policy lets them work."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import edge_runtime
from edge_runtime.serving import app
from edge_runtime.web.assets import page_assets

PAGE = Path(edge_runtime.__file__).parent / "serving" / "page"
ASSETS = page_assets(PAGE)
SCRIPTS = sorted(name for name in ASSETS if name.endswith(".js"))


def body(name: str) -> str:
    return ASSETS[name].body.decode()


class Elements(HTMLParser):
    """All start tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(body("index.html"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str]:
        return [v for _, found in self.found if (v := found.get(attribute)) is not None]


ELEMENTS = Elements()


def test_ids_are_there_once() -> None:
    ids = ELEMENTS.values("id")
    assert len(ids) == len(set(ids))
    asked = {name for script in SCRIPTS for name in re.findall(r'byId\("([^"]+)"\)', body(script))}
    assert asked <= set(ids)


def test_everything_that_is_typed_or_chosen_has_a_label() -> None:
    labelled = set(ELEMENTS.values("for"))
    inputs = {
        found["id"] for tag, found in ELEMENTS.found if tag in ("input", "select", "textarea")
    }
    assert inputs == labelled
    named = {part for value in ELEMENTS.values("aria-labelledby") for part in value.split()}
    assert named <= set(ELEMENTS.values("id"))
    assert all("alt" in found for tag, found in ELEMENTS.found if tag == "img")


def test_what_is_referenced_is_there_and_relative() -> None:
    """Below a folder of a proxy an address with a slash in front would miss."""
    places = [v for v in ELEMENTS.values("href") + ELEMENTS.values("src") if not v.startswith("#")]
    assert places
    for place in places:
        assert place.removeprefix("assets/") in ASSETS, place
    for script in SCRIPTS:
        for place in re.findall(r'from "([^"]+)"', body(script)):
            assert place.startswith("./")
            assert place.removeprefix("./") in ASSETS
        for place in re.findall(r'(?:fetch|ask)\([`"]([^`"]*)', body(script)):
            assert not place.startswith("/")


@pytest.mark.parametrize("name", ["index.html", "page.css", *SCRIPTS])
def test_nothing_is_external(name: str) -> None:
    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", body(name).replace("www.w3.org", ""))
    assert "@import" not in body(name)
    assert "url(" not in body(name)


def test_the_policy_fits() -> None:
    policy = app._HEADERS["content-security-policy"]
    rules = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == ["'self'"]
    assert {"blob:", "data:"} <= set(rules["img-src"]), "a chosen photo, and the map's colours"
    assert "camera=(self)" in app._HEADERS["permissions-policy"]
    assert "style" not in {tag for tag, _ in ELEMENTS.found}
    for tag, found in ELEMENTS.found:
        assert not [name for name in found if name == "style" or name.startswith("on")], tag
        assert tag != "script" or found["src"]
    for script in SCRIPTS:
        assert not re.search(
            r"\beval\(|new Function|innerHTML|outerHTML|document\.write|setAttribute\(\"style",
            body(script),
        ), script


def test_the_style_holds_what_all_pages_share() -> None:
    style = body("page.css")
    assert "--page: #f6f7f9" in style
    assert "#scores .bar" in style
    assert style.index("#scores .bar") < style.index("#stage")
    assert "parts.css" not in ASSETS
