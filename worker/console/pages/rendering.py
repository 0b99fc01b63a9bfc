"""HTML out of templates: everything is escaped, times are UTC beside the viewer's own."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    pass_context,
)
from jinja2.runtime import Context
from markupsafe import Markup

from worker import families
from worker.times import length

_CONSOLE = Path(__file__).parents[1]
STATIC = _CONSOLE / "static"


def html(template: str, **context: Any) -> str:
    """The page, or with `name.html#block` a part of it that is swapped in by itself.

    A part knows only what is imported inside its block.
    """
    name, _, block = template.partition("#")
    found = _environment().get_template(name)
    if not block:
        return found.render(context)
    return "".join(found.blocks[block](found.new_context(context)))


def zone_of(name: str | None) -> ZoneInfo | None:
    """The viewer's time zone, as their browser calls it; None for UTC and for no zone."""
    try:
        found = ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):  # whatever a cookie holds
        return None
    return None if found.key in {"UTC", "Etc/UTC", "GMT"} else found


@cache
def _environment() -> Environment:
    made = Environment(
        loader=ChoiceLoader([FileSystemLoader(_CONSOLE / "templates"), _of_families()]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        moment=_moment,
        number=_number,
        figure=_figure,
        counts=_counts,
        percent=_percent,
        span=length,
        words=_words,
        age=_age,
        values=_values,
        outcome=_outcome,
        detail=_detail,
    )
    made.globals["asset"] = _asset
    return made


def _of_families() -> PrefixLoader:
    """The templates of a family, below its name."""
    found = ((families.family_in(module), folder) for module, folder in families.pages())
    return PrefixLoader({family: FileSystemLoader(folder) for family, folder in found})


@cache
def _asset(name: str) -> str:
    """The address of a file in `static`, which changes with what is in it."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


@pass_context
def _moment(context: Context, value: datetime | str | None) -> Markup:
    if value is None:
        return Markup("")
    when = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
    utc = Markup(
        '<time datetime="{}">{}<span class="clock"> {}</span> <abbr>UTC</abbr></time>'
    ).format(when.isoformat(), f"{when:%Y-%m-%d}", f"{when:%H:%M:%S}")
    zone = context.get("zone")
    if zone is None:
        return utc
    local = when.astimezone(zone)
    day = "" if local.date() == when.date() else f"{local:%b %d} "
    return utc + Markup(' <span class="local">{}</span>').format(
        f"{day}{local:%H:%M} {local.tzname()}"
    )


def _age(value: datetime | str | None, now: datetime) -> str:
    """How long ago, in its two largest units."""
    if value is None:
        return "never"
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{length(max(0.0, (now - when).total_seconds()))} ago"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _percent(value: float) -> str:
    return f"{value:.4g} %"


def _words(value: object) -> str:
    """A code as people read it: `awaiting_approval` is awaiting approval."""
    return str(value).replace("_", " ")


def _figure(value: float) -> str:
    return f"{value:,.10g}"


def _counts(counts: Mapping[str, int]) -> str | None:
    """`3 done, 1 pending`; None where there is nothing to count."""
    return ", ".join(f"{count:,} {_words(name)}" for name, count in counts.items()) or None


def _values(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in fields.items())


def _outcome(one: Mapping[str, Any]) -> str:
    """What becomes of a record of the sample."""
    before, after = one["before"], one["after"]
    if "left" in one:
        return f"left as it is: {one['left']}"
    if "quarantined" in one:
        return f"moved to the quarantine: {one['quarantined']}"
    if after is None:
        goes_too = _counts(one.get("cascade", {}))
        return f"deleted with {goes_too}" if goes_too else "deleted"
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return ", ".join([_values(changed), *(f"{name}: removed" for name in one["unset"])])


def _detail(detail: Mapping[str, Any]) -> str:
    """What an entry says, in a line; of what is nested in it, how much there is."""
    parts = (f"{_words(name)}: {_brief(value)}" for name, value in detail.items())
    return "; ".join(part for part in parts if not part.endswith(": "))


def _brief(value: object) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{_words(name)} {_brief(one)}" for name, one in value.items() if one)
        case list():
            return f"{len(value)}" if value else ""
        case str() if len(value) == 64 and value.isalnum():
            return f"{value[:12]}…"  # a digest, which the entry's own page has whole
        case None:
            return ""
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)
