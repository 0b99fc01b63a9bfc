"""What the pages name is there: commands, options, files, links, settings, messages."""

import re
from itertools import chain

import pytest

from tests.docs.commands import Shown, named, options, resolved, typed
from tests.docs.pages import PAGES, ROOT, first_cells, prose, section, spans
from tests.docs.said import GAP, messages, names, phrases
from worker.settings import VARIABLES

RUNBOOK = PAGES["docs/runbook.md"]
TYPED = sorted(set(chain.from_iterable(typed(*page) for page in PAGES.items())), key=str)
NAMED = sorted(set(chain.from_iterable(named(*page) for page in PAGES.items())), key=str)
# The worked example writes these, and `test_adding_a_job.py` runs them.
EXAMPLE = set(re.findall(r"^## .*: `(\S+)`$", PAGES["docs/adding-a-job.md"], re.MULTILINE))
ROOMS = "worker|jobs|policies|migrations|demo|tests|benchmarks|docs"
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@pytest.mark.parametrize("shown", TYPED, ids=str)
def test_a_command_in_a_block_can_be_typed_as_it_stands(shown: Shown) -> None:
    command, rest = resolved(shown.words)
    assert command.make_context(shown.words[0], list(rest)) is not None


@pytest.mark.parametrize("shown", NAMED, ids=str)
def test_a_command_in_running_text_and_its_options_exist(shown: Shown) -> None:
    if not shown.words or not shown.words[0].islower() or shown.words[0].startswith("-"):
        return  # `tend`, `tend --help` or `tend COMMAND --help`
    command, rest = resolved(shown.words)
    assert {word for word in rest if word.startswith("--")} <= options(command)


def test_the_pages_show_commands_to_check() -> None:
    shown = {one.words[0] for one in [*TYPED, *NAMED] if one.words}
    assert shown >= {"plan", "apply", "run", "undo", "resume", "cancel", "enable", "doctor"}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in LINK.findall(prose(PAGES[page])):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        found = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert found.exists(), link
        if anchor:
            assert anchor in _anchors(found.read_text()), link


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_folder_it_names_is_there(page: str) -> None:
    mentioned = set(re.findall(rf"(?<![\w/.-])(?:{ROOMS})/[\w/.-]*[\w/]", PAGES[page]))
    assert [path for path in mentioned - EXAMPLE if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_part_it_places_in_a_file_is_in_that_file(page: str) -> None:
    for listed, file in re.findall(r"((?:`\w+`, )*`\w+`) in `([\w/]+\.py)`", PAGES[page]):
        assert set(re.findall(r"\w+", listed)) <= names(ROOT / file), file


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_it_names_is_one(page: str) -> None:
    assert set(re.findall(r"\bTEND_[A-Z_]*[A-Z]\b", PAGES[page])) <= set(VARIABLES)


def test_the_guarantees_say_where_they_live_and_what_shows_them() -> None:
    table = section(PAGES["docs/architecture.md"], "Where each guarantee lives")
    rows = re.findall(r"^\| \w.*$", table, re.MULTILINE)[1:]
    assert len(rows) > 10
    for row in rows:
        assert re.search(r"` in `worker/[\w/]+\.py`.* \| `tests/[\w/]+\.py` \|$", row), row


def test_the_runbook_knows_everything_a_run_can_wait_for() -> None:
    answered = first_cells(section(RUNBOOK, "A run waits"))
    files = ("worker/waiting.py", "worker/brake.py", "worker/windows.py", "worker/stops.py")
    said = set(chain.from_iterable(map(phrases, files)))
    assert sorted(map(_plain, answered)) == sorted(map(_plain, said))


def _plain(phrase: str) -> str:
    return phrase.replace("`", "")


def test_the_runbook_quotes_only_what_tend_says() -> None:
    said = messages()
    quoted = [span for span in spans(RUNBOOK) if " " in span and "tend" not in span.split()]
    quoted = [span for span in quoted if not span.startswith(("--", "sqlite3"))]
    assert len(quoted) >= 8
    for quote in quoted:
        for part in filter(None, (part.strip() for part in quote.split(GAP))):
            assert any(part in text for text in said), quote
