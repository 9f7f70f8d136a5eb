"""The exact pass over the bytes: one token at a time, with the path and the byte of the first fault.

Slow beside `contracts.scan` (about a microsecond a token) and reached only when that one does not know.
Grammar: RFC 8259, narrowed by I-JSON (RFC 7493): no duplicate keys, no lone surrogates.
"""

import re
from math import isinf
from typing import Final, NoReturn

import msgspec

from contracts.caps import Caps
from contracts.errors import ContractError, cut, pointer

_TOKEN: Final = re.compile(
    rb'[ \t\n\r]*+(?:(?P<punctuation>[{}\[\]:,])|(?P<string>"(?:[^"\\]++|\\.)*+"?)'
    rb"|(?P<number>[-+.0-9][-+.0-9eE]*+)|(?P<word>[A-Za-z]++))",
    re.DOTALL,
)
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?")
_ESCAPES: Final = re.compile(rb'(?:[^\\]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_RAW_CONTROL: Final = re.compile(rb"[\x00-\x1f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_EDGE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_FORBIDDEN_KEYS: Final = ("", "__proto__")


class _Level:
    """One open object or array: the keys seen, and the key or index that we stand at."""

    __slots__ = ("is_object", "keys", "step")

    def __init__(self, is_object: bool) -> None:
        self.is_object = is_object
        self.keys: set[str] = set()
        self.step: str | int = 0


class _Walk:
    """The state between two tokens. `expect` is one of: value, first, key, colon, next, end."""

    def __init__(self, body: bytes, caps: Caps) -> None:
        self.body = body
        self.caps = caps
        self.levels: list[_Level] = []
        self.expect = "value"
        self.values = 0

    def run(self) -> None:
        at = 0
        while token := _TOKEN.match(self.body, at):
            start, at = token.span(token.lastgroup or 0)
            text = self.body[start:at]
            match token.lastgroup:
                case "punctuation":
                    self.punctuation(text, start)
                case "string":
                    self.string(text, start)
                case _ if self.expect not in ("value", "first") or self.at_first_key():
                    self.syntax(start)
                case "number":
                    self.number(text, start)
                    self.value(start)
                case _:
                    self.word(text, start)
                    self.value(start)
        space = _SPACE.match(self.body, at)
        end = space.end() if space else at
        if end < len(self.body) or self.expect != "end":
            self.syntax(end)

    def at_first_key(self) -> bool:
        return self.expect == "first" and self.levels[-1].is_object

    def path(self, *more: str | int) -> str:
        return pointer(*(level.step for level in self.levels), *more)

    def punctuation(self, text: bytes, start: int) -> None:
        if text in b"{[":
            if self.expect not in ("value", "first") or self.at_first_key():
                self.syntax(start)
            self.open(text == b"{", start)
        elif text in b"}]":
            if self.expect not in ("next", "first") or not self.closes(text):
                self.syntax(start)
            self.levels.pop()
            self.expect = "next" if self.levels else "end"
        elif text == b":" and self.expect == "colon":
            self.expect = "value"
        elif text == b"," and self.expect == "next":
            self.comma()
        else:
            self.syntax(start)

    def closes(self, text: bytes) -> bool:
        return self.levels[-1].is_object == (text == b"}")

    def comma(self) -> None:
        level = self.levels[-1]
        if level.is_object:
            self.expect = "key"
        else:
            level.step = int(level.step) + 1
            self.expect = "value"

    def open(self, is_object: bool, start: int) -> None:
        if len(self.levels) >= self.caps.depth_max:
            limit = self.caps.depth_max
            self.fail(
                "json.too_deep",
                f"More than {limit} levels of nesting. Flatten the document.",
                start,
                limit=limit,
            )
        self.value(start)
        self.levels.append(_Level(is_object))
        self.expect = "first"

    def value(self, start: int) -> None:
        self.values += 1
        if self.values > self.caps.values_max:
            limit = self.caps.values_max
            self.fail("json.too_many_values", f"More than {limit} values. Send less at a time.", start, limit=limit)
        self.expect = "next" if self.levels else "end"

    def string(self, raw: bytes, start: int) -> None:
        if self.expect == "key" or self.at_first_key():
            self.key(self.text(raw, start, self.path_of_parent()), start)
        elif self.expect in ("value", "first"):
            self.text(raw, start, self.path())
            self.value(start)
        else:
            self.syntax(start)

    def path_of_parent(self) -> str:
        return pointer(*(level.step for level in self.levels[:-1]))

    def text(self, raw: bytes, start: int, path: str) -> str:
        if len(raw) < 2 or not raw.endswith(b'"') or _ESCAPES.fullmatch(raw, 1, len(raw) - 1) is None:
            self.bad_string(raw, start)
        if control := _RAW_CONTROL.search(raw):
            self.raw_control(raw[control.start()], start + control.start(), path)
        text = _unescape(raw)
        if found := _CONTROL.search(text):
            self.control(ord(found.group()), start, path)
        if _SURROGATE.search(text):
            self.fail("json.surrogate", "Half of a surrogate pair. Write both halves.", start, path)
        return text

    def bad_string(self, raw: bytes, start: int) -> NoReturn:
        legal = _ESCAPES.match(raw, 1)
        end = legal.end() if legal else 1
        if end >= len(raw) - 1:
            self.fail("json.syntax", "A string is not closed.", len(self.body))
        self.fail("json.syntax", "A string holds an escape that JSON does not know.", start + end)

    def raw_control(self, code: int, position: int, path: str) -> NoReturn:
        if code in b"\n\t":
            self.fail("json.syntax", "A line break or tab in a string must be written as \\n or \\t.", position)
        self.control(code, position, path)

    def control(self, code: int, position: int, path: str) -> NoReturn:
        detail = f"The text holds U+{code:04X}. Only line feed and tab are allowed; remove the others."
        self.fail("text.control_character", detail, position, path, character=f"U+{code:04X}")

    def key(self, key: str, start: int) -> None:
        level = self.levels[-1]
        if key in _FORBIDDEN_KEYS or len(key) > self.caps.key_characters_max:
            limit = self.caps.key_characters_max
            detail = f'A key is 1 to {limit} characters and not "__proto__"; got {len(key)}. Rename it.'
            path = self.path_of_parent() + "/" + cut(key)
            self.fail("field.unknown", detail, start, path, limit=limit, actual=len(key))
        level.step = key
        if key in level.keys:
            self.fail(
                "json.duplicate_key",
                f'"{cut(key)}" stands twice in one object. Keep one.',
                start,
                self.path(),
            )
        level.keys.add(key)
        self.expect = "colon"

    def number(self, text: bytes, start: int) -> None:
        digits = len(text) - sum(map(text.count, (b"-", b"+", b".", b"e", b"E")))
        limit = self.caps.digits_max
        if digits > limit:
            detail = f"A number has {digits} digits; at most {limit} are taken. Send it as text."
            self.fail("json.number_too_long", detail, start, self.path(), limit=limit, actual=digits)
        if text == b"-" and self.body.startswith(b"Infinity", start + 1):
            self.not_finite(start)
        if _NUMBER.fullmatch(text) is None:
            self.fail("json.syntax", "This is not a number as JSON writes it.", start, self.path())
        if isinf(float(text)):
            self.not_finite(start)

    def word(self, text: bytes, start: int) -> None:
        if text in (b"NaN", b"Infinity", b"nan", b"inf"):
            self.not_finite(start)
        if text not in (b"true", b"false", b"null"):
            self.syntax(start)

    def not_finite(self, start: int) -> NoReturn:
        detail = "Not a finite number, or too large for one. Send a number that JSON can write, or text."
        self.fail("json.number", detail, start, self.path())

    def syntax(self, position: int) -> NoReturn:
        wanted = {
            "value": "a value", "first": "a key or }" if self.at_first_key() else "a value or ]",
            "key": "a key in double quotes", "colon": "a colon", "next": "a comma or the closing bracket",
            "end": "nothing more after the document",
        }[self.expect]  # fmt: skip
        found = "the end" if position >= len(self.body) else f"byte 0x{self.body[position]:02X}"
        self.fail("json.syntax", f"At byte {position}: expected {wanted}, found {found}.", position)

    def fail(self, code: str, detail: str, position: int, path: str = "", **extra: object) -> NoReturn:
        raise ContractError(code, detail, path, position=position, **extra)


def check(body: bytes, caps: Caps) -> None:
    """Raise ContractError for the first fault in `body`; return if it is one plain JSON document."""
    check_encoding(body)
    if not body.strip(b" \t\r\n"):
        raise ContractError("body.empty", "The body is only white space. Send one JSON document.")
    try:
        _Walk(body, caps).run()
    except ContractError as error:
        if error.code == "json.syntax" and body.count(b"[") + body.count(b"{") > caps.values_max:
            limit = caps.values_max
            raise ContractError("json.too_many_values", f"More than {limit} values.", limit=limit) from None
        raise


def check_encoding(body: bytes) -> None:
    """Raise json.encoding unless `body` is UTF-8 without BOM. UTF-16 and UTF-32 show as early NULs."""
    position = 0
    if not body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) and b"\x00" not in body[:4]:
        try:
            str(body, "utf-8")
            return
        except UnicodeDecodeError as error:
            position = error.start
    raise ContractError(
        "json.encoding",
        f"Byte {position} is not UTF-8, or a BOM or another encoding. Send UTF-8 without BOM.",
        position=position,
    )


def split(body: bytes, caps: Caps) -> list[bytes]:
    """The raw elements of an array, each still to be scanned. Stops at the first element too many.

    Raises ContractError: json.*, field.type, batch.count.
    """
    check_encoding(body)
    text = body.strip(b" \t\r\n")
    if not text.startswith(b"["):
        raise ContractError("field.type", "Expected an array of events. Wrap the events in [ ].", expected="array")
    parts: list[bytes] = []
    depth, start = 0, 1
    for edge in _EDGE.finditer(text):
        mark = edge.group()
        if mark in b"[{":
            depth += 1
            if depth > caps.depth_max + 1:
                limit = caps.depth_max
                raise ContractError("json.too_deep", f"More than {limit} levels.", pointer(len(parts)), limit=limit)
        elif mark in b"]}":
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            parts.append(text[start : edge.start()].strip(b" \t\r\n"))
            start = edge.end()
        if depth == 0 or len(parts) > caps.batch_events_max:
            break
    return _whole(parts, closed=depth == 0 and text[start - 1 :] == b"]", caps=caps)


def _whole(parts: list[bytes], *, closed: bool, caps: Caps) -> list[bytes]:
    limit = caps.batch_events_max
    if (parts in ([], [b""]) and closed) or len(parts) > limit:
        detail = f"A batch holds 1 to {limit} events. Split it or send at least one."
        raise ContractError("batch.count", detail, limit=limit, minimum=1)
    if not closed or b"" in parts:
        where = pointer(parts.index(b"")) if b"" in parts else ""
        raise ContractError("json.syntax", "The batch is not one JSON array of events.", where)
    return parts


def _unescape(raw: bytes) -> str:
    """The text of a string token that is known to be well formed; lone surrogates stay visible."""
    if b"\\" not in raw:
        return str(raw[1:-1], "utf-8")
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return "\ud800"
