"""JMeter result files, CSV and XML (jmeter.apache.org/usermanual/listeners.html).

Rule: rows of transaction controllers sum up other rows and are dropped; of XML only the top samples count. Fail mode: a
CSV without its header, a time that is no date, or a row without its numbers is EV_MALFORMED.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from pilotage.evidence.csv_rows import csv_rows, has_columns
from pilotage.evidence.json_values import number_in
from pilotage.evidence.load_samples import Samples, load_reading, totals_of
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, TextContent, Unreadable, XmlContent
from pilotage.evidence.xml_tree import local

_NO_HEADER = re.compile(r"\s*\d{10,13},\d+,")
_NEEDED = ("timestamp", "elapsed", "success")
_TRANSACTION = "number of samples in transaction"
_NOT_HTTP = "non http response"


def is_jmeter_csv(content: Content) -> bool:
    """Tell whether the text is JMeter's CSV, with its header or with rows that begin like one."""
    if not isinstance(content, TextContent):
        return False
    return has_columns(content, *_NEEDED) or bool(_NO_HEADER.match(content.value))


def is_jmeter_xml(content: Content) -> bool:
    """Tell whether the root is JMeter's `testResults`."""
    return isinstance(content, XmlContent) and local(content.root.tag) == "testResults"


def read_jmeter_csv(source: Source, context: ReadContext) -> Reading:
    """Read a JMeter CSV for any `load.*` kind."""
    if not has_columns(source.content, *_NEEDED):
        raise Unreadable("EV_MALFORMED", "The CSV has no header; set jmeter.save.saveservice.print_field_names=true.")
    samples = Samples()
    for row in csv_rows(source):
        if _is_transaction(row):
            continue
        samples.add(
            start_ms=_start(row["timestamp"]),
            elapsed_ms=_milliseconds(row["elapsed"]),
            is_ok=_is_ok(row["success"], row.get("responsecode", ""), row.get("responsemessage", "")),
            url=row.get("url", ""),
        )
    return load_reading(source, context, totals_of(samples), reader="jmeter-csv")


def read_jmeter_xml(source: Source, context: ReadContext) -> Reading:
    """Read a JMeter XML result file for any `load.*` kind."""
    samples = Samples()
    for sample in source.root:
        if not local(sample.tag).lower().endswith("sample"):
            continue
        url = next((child.text or "" for child in sample if local(child.tag) == "java.net.URL"), "")
        samples.add(
            start_ms=_milliseconds(sample.get("ts", "")),
            elapsed_ms=_milliseconds(sample.get("t", "")),
            is_ok=_is_ok(sample.get("s", ""), sample.get("rc", ""), sample.get("rm", "")),
            url=url,
        )
    return load_reading(source, context, totals_of(samples), reader="jmeter-xml")


def _is_transaction(row: Mapping[str, str]) -> bool:
    """Tell a transaction controller's row: no data type, and its message counts its samples."""
    return not row.get("datatype", "text").strip() and _TRANSACTION in row.get("responsemessage", "").lower()


def _is_ok(success: str, code: str, message: str) -> bool:
    is_http = _NOT_HTTP not in code.lower() and _NOT_HTTP not in message.lower()
    return success.strip().lower() == "true" and is_http


def _milliseconds(text: str) -> float:
    value = number_in(text)
    if value is None:
        raise Unreadable("EV_MALFORMED", f"{text[:80]!r} is no number of milliseconds.")
    return value


def _start(text: str) -> float:
    value = number_in(text)
    if value is not None:
        return value
    try:
        moment = datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        raise Unreadable("EV_MALFORMED", f"{text[:80]!r} is no date JMeter writes.") from None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp() * 1000
