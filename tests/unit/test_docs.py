"""The documentation names everything there is, and nothing that there is not."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from docs.settings_page import settings_page
from serve_app import errors
from serve_app.cli.main import verbs
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.filters.parsing import parse_filter
from serve_app.domain.posts import EventPost
from serve_app.evaluation.evaluator import EvaluationConfig
from serve_app.fitting.fit_config import FitConfig
from serve_app.http.bodies import (
    Recommendation,
    Recommendations,
    RecommendationsRequest,
)
from serve_app.http.entry_lists import read_entries
from serve_app.http.event_bodies import EVENTS, cells_of
from serve_app.http.item_bodies import ITEMS, PATCHES
from serve_app.loading.events import EventRules, check_posts
from serve_app.loading.load import LoadConfig
from serve_app.next_items.next_evaluator import NextConfig
from serve_app.running.environment import parse_env_file
from serve_app.serving.answering import BUNDLE, METADATA
from serve_app.serving.config import AppConfig, IngressConfig, Placement, deployment_names
from serve_app.serving.pipeline import CANDIDATES, FEATURES, HISTORY, RANKER, scorer_of
from serve_app.telemetry.counting import METRICS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
PAGES += sorted(ROOT.glob("benchmarks/**/*.md"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and default, as they are written, of every setting below a model."""
    for name, field in model.model_fields.items():
        below, named = _model_in(field.annotation)
        path = f"{prefix}{name}"
        if below is not None:
            yield from settings_of(below, f"{path}.<name>." if named else f"{path}.")
        else:
            yield path, "required" if field.is_required() else written(field.default)


def _model_in(annotation: Any, *, named: bool = False) -> tuple[type[BaseModel] | None, bool]:
    """The model that an annotation holds, and whether it holds several by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, named
    found = (_model_in(each, named=True) for each in get_args(annotation))
    return next((each for each in found if each[0] is not None), (None, False))


def written(default: Any) -> str:
    """A default as the page shows it: whole numbers have no point."""
    whole = isinstance(default, float) and default.is_integer()
    return f"`{json.dumps(int(default) if whole else default)}`"


def section_of(title: str) -> str:
    return SETTINGS.split(f"\n## {title}\n")[1].split("\n## ")[0]


# The fit takes candidates and ranking from the application. The evaluation reads files as a load
# does, and fits as a fit does.
DOCUMENTED = {
    "The application": [*settings_of(AppConfig)],
    "The experiment": [*settings_of(IngressConfig)],
    "The fit": [
        each
        for each in settings_of(FitConfig)
        if not each[0].startswith(("candidates.", "ranking."))
    ],
    "The load": [*settings_of(LoadConfig)],
    "The evaluation": [
        each
        for each in settings_of(EvaluationConfig)
        if not each[0].startswith(("protocol.label.", "reading.", "ours."))
    ],
    "The evaluation of next items": [
        each
        for each in settings_of(NextConfig)
        if not each[0].startswith(("protocol.label.", "reading.", "ours."))
    ],
}
DOCUMENTED_ROWS = [(title, *row) for title, rows in DOCUMENTED.items() for row in rows]


@pytest.mark.parametrize(("title", "path", "default"), DOCUMENTED_ROWS)
def test_every_setting_is_documented_with_its_default_and_its_meaning(title, path, default):
    assert re.search(
        rf"^\| `{re.escape(path)}` \| {re.escape(default)} \| [^|]+ \| \S.*\. \|$",
        section_of(title),
        re.M,
    )


@pytest.mark.parametrize("title", DOCUMENTED)
def test_no_setting_is_documented_that_there_is_not(title):
    shown = re.findall(r"^\| `([^`]+)`", section_of(title), re.M)

    assert shown == [path for path, _ in DOCUMENTED[title]]


def test_the_settings_page_is_up_to_date():
    assert settings_page() == SETTINGS, "the settings changed: run `make docs`"


def variables() -> set[str]:
    """Names that the package or a profile knows."""
    names = {name for path in ROOT.glob("configs/*.env") for name in parse_env_file(path)}
    for path in ROOT.glob("serve_app/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(re.findall(r"^(?:(?:RAY|RECSERVE)_[A-Z_]+|[A-Z]+_URL)$", node.value))
    return names


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_environment_variable_is_documented(name):
    assert f"\n| `{name}` |" in SETTINGS


@pytest.mark.parametrize(("column", "profile"), [(2, "fast"), (3, "safe")])
def test_the_profiles_are_documented_with_their_values(column, profile):
    values = parse_env_file(ROOT / f"configs/{profile}.env")
    rows = [line.split("|") for line in SETTINGS.split("## Profiles")[1].splitlines()]
    shown = {row[1].strip(" `"): row[column].strip(" `") for row in rows if row[1:]}

    # A list of buckets is too long for a cell.
    for name, value in values.items():
        assert shown[name] == ("sub-ms" if "," in value else value)


def errors_below(error: type[Exception]) -> Iterator[str]:
    yield error.__name__
    for below in error.__subclasses__():
        yield from errors_below(below)


@pytest.mark.parametrize("name", list(errors_below(errors.RecserveError)))
def test_every_error_has_a_line_in_the_runbook(name):
    assert f"\n| `{name}` |" in RUNBOOK


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_documented_with_its_labels(name):
    [line] = [line for line in RUNBOOK.splitlines() if line.startswith(f"| `{name}` |")]

    assert re.findall(r"`(\w+)`", line.split("|")[2]) == list(METRICS[name].tags)


@pytest.mark.parametrize(
    "stage", [FEATURES, HISTORY, CANDIDATES, scorer_of("<variant>"), RANKER, METADATA, BUNDLE]
)
def test_every_name_of_what_is_degraded_is_documented(stage):
    assert re.search(rf"^\| [^|]*`{stage}`", RUNBOOK, re.M)
    assert f"`{stage}`" in OPERATING


def make_targets() -> list[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [targets] = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    return targets.split()


@pytest.mark.parametrize("target", make_targets())
def test_every_target_of_make_is_documented(target):
    assert f"\n| `make {target}` | " in CONTRIBUTING


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, of a group or of none, and the words after it."""
    command: click.Command = verbs
    while isinstance(command, click.Group) and words:
        below = command.get_command(click.Context(command), words[0])
        assert below is not None, f"no verb {words[0]!r}"
        command, words = below, words[1:]
    return command, words


def every_verb() -> list[str]:
    found = verbs.list_commands(click.Context(verbs))
    for verb in list(found):
        command, _ = command_of([verb])
        if isinstance(command, click.Group):
            found += [f"{verb} {below}" for below in command.commands]
    return found


@pytest.mark.parametrize("verb", every_verb())
def test_every_verb_is_documented(verb):
    assert f"\n| `recserve {verb}` | " in OPERATING


def test_every_deployment_is_in_the_picture():
    picture = README.split("```")[1]

    names = deployment_names(("<variant>",), Placement())
    assert [name for name in names if name not in picture] == []


def commands_on(text: str) -> list[str]:
    """Calls of ``recserve`` in blocks of code and in backquotes; prose may begin with its name."""
    blocks = "\n".join(re.findall(r"```.*?```", text, re.S))
    lines = re.findall(r"^(recserve [a-z][^`\n|;]*)", blocks, re.M)
    return lines + re.findall(r"`(recserve [a-z][^`\n|;]*)`", text)


@each_page
def test_names_no_command_that_there_is_not(page):
    text = page.read_text(encoding="utf-8")

    for line in commands_on(text):
        _, *words = shlex.split(line.rstrip("\\ "), comments=True)
        _check_options(*command_of(words), line)
    for target in re.findall(r"`make ([a-z]+)`", text):
        assert target in make_targets()


def _check_options(command: click.Command, words: list[str], line: str) -> None:
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, line


def bodies(page: str) -> list[dict[str, Any]]:
    """The JSON objects that a page shows, those of ``curl`` included."""
    sent = [body for path, body in sent_bodies(page) if path == "/recommendations"]
    shown = re.findall(r"```json\n(.*?)```", page, re.S)
    return [*sent, *map(json.loads, shown)]


def sent_bodies(page: str) -> list[tuple[str, Any]]:
    """Path and body of every ``curl`` command of a page that sends one."""
    commands = re.findall(
        r"curl [^\n]*?http://[^/\s]+(/[^\s']*)[^']*'[^']*'\s*\\?\s*-d '([^']*)'", page
    )
    return [(path, json.loads(body)) for path, body in commands]


REQUESTS = [body for body in [*bodies(README), *bodies(API)] if "recommendations" not in body]


@pytest.mark.parametrize("page", [README, API], ids=["README", "API"])
def test_pages_show_requests_with_and_without_filters(page):
    requests = [body for body in bodies(page) if "recommendations" not in body]

    assert {bool(body.get("filters")) for body in requests} == {True, False}


@pytest.mark.parametrize("body", REQUESTS, ids=str)
def test_requests_on_pages_are_valid(body):
    request = RecommendationsRequest.model_validate(body)

    assert bool(parse_filter(request.filters or {}, STANDARD_COLUMNS)) == bool(request.filters)


@pytest.mark.parametrize(
    ("path", "body"),
    [sent for page in (README, API) for sent in sent_bodies(page) if sent[0] != "/recommendations"],
)
def test_posts_on_pages_are_valid(path, body):
    kind = {"/events": EVENTS, "/items": ITEMS}.get(path, PATCHES)
    entries = read_entries(json.dumps(body).encode(), kind)

    assert not entries.faults
    if kind is EVENTS:
        events = [cells_of(event) for event in entries.good.values()]
        [checked] = check_posts([EventPost(events, 1.7e9)], EventRules(), 1.7e9)
        assert len(checked) == len(events)


def test_the_answer_on_the_readme_has_every_field():
    [answer] = [body for body in bodies(README) if "recommendations" in body]

    assert answer.keys() == Recommendations.model_fields.keys()
    Recommendations.model_validate(answer)


@pytest.mark.parametrize("model", [RecommendationsRequest, Recommendations, Recommendation])
def test_the_api_page_explains_every_field(model):
    for name in model.model_fields:
        assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", API, re.M), name


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@each_page
def test_links_that_look_like_paths_lead_to_the_file_that_they_name(page):
    links = re.findall(r"\[([^\]\s]+)\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    paths = [link for link in links if "/" in link[0] or re.search(r"\.[a-z]+$", link[0])]

    assert [(text, target) for text, target in paths if not _ends_with(target, text)] == []


def _ends_with(target: str, name: str) -> bool:
    """Compare the last parts of the target's path with the name."""
    parts, last = Path(target.partition("#")[0]).parts, Path(name.strip("`")).parts
    return parts[-len(last) :] == last


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_names_only_modules_that_there_are(page):
    layers = {path.stem for path in (ROOT / "serve_app").iterdir()}
    names = re.findall(r"`((?:\w+\.)+\w+)`", page.read_text(encoding="utf-8"))
    modules = [name for name in names if name.split(".")[0] in layers and name not in SETTINGS]

    assert [name for name in modules if not _is_defined(name)] == []


def _is_defined(name: str) -> bool:
    """Whether it is a module of the package, or something at the top level of one."""
    folder, rest = ROOT / "serve_app", name.split(".")
    while rest and (folder / rest[0]).is_dir():
        folder, rest = folder / rest[0], rest[1:]
    if not rest:
        return True
    module = folder / f"{rest[0]}.py"
    if not module.is_file():
        # `errors` gives what its modules define.
        return f'    "{rest[0]}",\n' in (folder / "__init__.py").read_text(encoding="utf-8")
    if not rest[1:]:
        return True
    top_level = rf"^(?:class |(?:async )?def )?{rest[1]}\b"
    return bool(re.search(top_level, module.read_text(encoding="utf-8"), re.M))


NOT_THERE = {"serve_app/a/b.py", "tests/unit/a/test_b.py", "benchmarks/QUALITY.json"}
"""Files that pages invent to explain something, or that a command writes."""


@each_page
def test_names_only_files_that_there_are(page):
    text = page.read_text(encoding="utf-8")
    folders = "serve_app|tests|configs|docs|benchmarks|requirements"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", text)) - NOT_THERE
    created = set(re.findall(r"\*\*Write the \w+\*\* in `([^`]+)`", text))

    assert {name for name in named - created if not (ROOT / name).exists()} == set()


@each_page
def test_a_page_keeps_to_itself(page):
    text = page.read_text(encoding="utf-8")

    assert not re.search(r"/(?:work|tmp|home|root)/(?!ray\b)\w", text), "a local folder"
