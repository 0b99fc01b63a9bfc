"""`tend lockout replay`: what a policy would have done on the site's own history."""

from datetime import UTC, datetime
from typing import Any

from jobs.host import Desk, Host
from jobs.login_lockout import tailing
from jobs.login_lockout.events import Event
from jobs.login_lockout.following import sources_of
from jobs.login_lockout.lines import parser
from jobs.login_lockout.looking import break_glass_of, look, objections, rules_of, window_of
from jobs.login_lockout.options import FileSource, LockoutOptions
from jobs.login_lockout.records import stamp
from jobs.login_lockout.tailing import Position
from jobs.login_lockout.windows import Decision, Evaluator, Facts

Document = dict[str, Any]


def replay(host: Host, desk: Desk, policy: str, period: tuple[str, str], *, as_json: bool) -> None:
    """Print the decisions of a period; nothing that was decided or pardoned since bears on them."""
    wanted = desk.policy(policy)
    if not isinstance(wanted.options, LockoutOptions):
        raise host.refuse(f"{wanted.name} is no policy of the job login_lockout.")
    begin, end = (moment_of(host, text) for text in period)
    if begin >= end:
        raise host.refuse("--from must be before --to.")
    decisions, events = _replayed(desk, wanted.options, begin, end)
    document: Document = {
        "policy": wanted.name,
        "policy_version": wanted.version,
        "from": stamp(begin),
        "to": stamp(end),
        "events": events,
        "decisions": [_as_json(each) for each in decisions],
    }
    if as_json:
        host.print_json(document)
        return
    found = document["decisions"]
    host.heading(desk.environment, f"{len(found)} decisions on {events:,} events")
    names = ("kind", "user", "address", "at", "until", "attempts", "why")
    if found:
        host.table(names, [[_text(each[name]) for name in names] for each in found])


def _replayed(
    desk: Desk, options: LockoutOptions, begin: datetime, end: datetime
) -> tuple[list[Decision], int]:
    documents = desk.context.documents
    since = begin - window_of(options)
    logged = [_logged(source, since, end) for source in sources_of(options)]
    looked = look(documents, options, since, end, logged)
    may_block = objections(documents, options, (), lambda _address, _at: 0)
    evaluator = Evaluator(rules_of(options, may_block, break_glass_of(documents, options)), Facts())
    decided = [each for event in looked.events for each in evaluator.add(event)]
    return (
        [each for each in decided if each.at >= begin],
        sum(1 for event in looked.events if event.at >= begin),
    )


def _logged(source: FileSource, begin: datetime, end: datetime) -> list[Event]:
    """What the log files that are still there tell of the time."""
    parse = parser(source, datetime.now(UTC))
    events = []
    for path in tailing.named(source.files):
        for _, lines in tailing.whole_lines(path, Position(0, 0, "", 0, path.name)):
            for line in lines:
                event = parse(line.text)
                if isinstance(event, Event) and begin <= event.at <= end:
                    events.append(event._replace(source=source.files, place=line.place))
    return events


def _as_json(decision: Decision) -> Document:
    return {
        "kind": decision.kind,
        "why": decision.why,
        "user": decision.events[-1].name if decision.user is not None else None,
        "address": decision.address,
        "at": stamp(decision.at),
        "until": stamp(decision.until),
        "attempts": decision.attempts,
    }


def _text(value: object) -> str:
    return "" if value is None else str(value)


def moment_of(host: Host, text: str) -> datetime:
    """The moment as a person typed it; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise host.refuse(f"'{text}' is no time such as 2026-11-22 or 2026-11-22T08:00Z.") from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
