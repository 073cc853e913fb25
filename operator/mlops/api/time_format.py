"""How a timestamp is written: strptime's words, a small exact set of them."""

from __future__ import annotations

from typing import Annotated

from mlops.api.base import Rule, text

# Words of strptime, and %s and %Q for seconds and milliseconds since 1970 (a whole format of their own).
WORDS = "YymdbBaAjHIpMSfzsQ"
TimeFormat = Annotated[
    str,
    text(
        rf"^([^%\x00-\x1f\x7f]|%[{WORDS}%])+$",
        "a format has text and the words %Y %y %m %d %b %B %a %A %j %H %I %p %M %S %f %z %% , or is %s or %Q",
        64,
    ),
]
# Enough to know the day: a year with month and day, a year with the day of the year, or a count since 1970.
COMPLETE = Rule(
    "!has(self.formats) || self.formats.all(f, f in ['%s', '%Q'] || ((f.contains('%Y') || f.contains('%y')) &&"
    " (f.contains('%j') || (f.contains('%d') && (f.contains('%m') || f.contains('%b') || f.contains('%B'))))))",
    "each of formats needs a year (%Y or %y) with month (%m, %b or %B) and day (%d), or with the day of the year (%j); "
    "or it is %s or %Q alone",
    lambda self: all(map(is_complete, self.formats or ())),
)


def is_complete(form: str) -> bool:
    """Return whether a format names one day."""
    if form in ("%s", "%Q"):
        return True
    month = "%m" in form or "%b" in form or "%B" in form
    return ("%Y" in form or "%y" in form) and ("%j" in form or (month and "%d" in form))
