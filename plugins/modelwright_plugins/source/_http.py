"""From the bytes of an HTTP response, as a crawler stored them, to its text."""

from __future__ import annotations

import codecs
import re
import zlib
from dataclasses import dataclass
from email.message import Message

from modelwright_plugins.source._warc import BLANK, fields

# what labels mean on the web (WHATWG Encoding Standard, section 4.2), where Python takes them at their word
WEB = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949"}
WEB |= {"iso8859-9": "cp1254", "big5": "big5hkscs", "tis-620": "cp874"}
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
META = re.compile(rb"<meta[^>]+?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.I)
LOOKED_AT = 1 << 13  # bytes in which a page's <meta> is looked for; the standard has 1,024, and pages don't keep to it
LOST = 1e-3  # share of characters that may be lost where no charset is right


@dataclass(frozen=True)
class Response:
    """A response as it came: not unpacked, not decoded."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


def response(block: bytes) -> Response:
    """ValueError: it is no HTTP response."""
    end = BLANK.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    first = head.partition(b"\n")[0].split(None, 2)
    if len(first) < 2 or not first[0].upper().startswith(b"HTTP") or not first[1].isdigit():
        raise ValueError("no HTTP response in the record")
    return Response(int(first[1]), fields(head), body)


def media_type(header: str) -> tuple[str, str | None]:
    """The type in lower case, and the charset that is named with it."""
    message = Message()
    message["content-type"] = header
    charset = message.get_param("charset")
    return header.partition(";")[0].strip().lower(), charset.strip("'\" ") if isinstance(charset, str) else None


def unpacked(headers: dict[str, str], body: bytes, limit: int) -> bytes | None:
    """Without transfer and content encodings; None: longer than `limit`. ValueError: it can't be unpacked.

    A body that isn't what its header says is taken as it is: crawlers unpack bodies, and store the headers that came with them.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = dechunked(body)
    for name in reversed(headers.get("content-encoding", "").lower().replace(" ", "").split(",")):
        found = _unpack(name.removeprefix("x-"), body, limit)
        if found is None:
            return None
        body = found
    return body if len(body) <= limit else None


def dechunked(body: bytes) -> bytes:
    """Chunks joined (RFC 9112, section 7.1); from where they are no chunks, the rest as it is."""
    found: list[bytes] = []
    at = 0
    while (line := body.find(b"\n", at, at + 64)) >= 0:
        try:
            size = int(body[at:line].partition(b";")[0], 16)
        except ValueError:
            break
        if size == 0:
            return b"".join(found)
        end = line + 1 + size
        if end < len(body) and body[end : end + 2] != b"\r\n":
            break
        found.append(body[line + 1 : end])
        at = end + 2
    return b"".join([*found, body[at:]])


def _unpack(name: str, body: bytes, limit: int) -> bytes | None:
    try:
        if name == "gzip" and body[:2] == b"\x1f\x8b":
            return _inflate(31, body, limit)
        if name == "deflate":
            zlib_header = body[:1] == b"\x78" and int.from_bytes(body[:2], "big") % 31 == 0  # RFC 1950; some servers leave it out
            return _inflate(15 if zlib_header else -15, body, limit)
        if name == "br":
            return _brotli(body, limit)
        if name == "zstd" and body[:4] == b"\x28\xb5\x2f\xfd":
            return _zstandard(body, limit)
    except (zlib.error, EOFError) as error:
        raise ValueError(f"a damaged body in {name}: {str(error).rpartition(': ')[2]}") from error
    except Exception as error:  # brotli's and zstandard's own
        raise ValueError(f"a damaged body in {name}") from error
    return body


def _inflate(bits: int, body: bytes, limit: int) -> bytes | None:
    stream = zlib.decompressobj(bits)
    found = stream.decompress(body, limit + 1)
    if len(found) > limit:
        return None
    if not stream.eof:
        raise EOFError("it is cut short")
    return found


def _zstandard(body: bytes, limit: int) -> bytes | None:
    import zstandard

    found, stream = b"", zstandard.ZstdDecompressor().decompressobj()
    for at in range(0, len(body), 1024):  # a block of 4 bytes may unpack to 128 KiB
        found += stream.decompress(body[at : at + 1024])
        if stream.eof or len(found) > limit:
            break
    if not stream.eof and len(found) <= limit:
        raise EOFError("it is cut short")
    return found if len(found) <= limit else None


def _brotli(body: bytes, limit: int) -> bytes | None:
    try:
        import brotli
    except ImportError:
        return body  # it is no text then, and told so
    found, stream = b"", brotli.Decompressor()
    found = stream.process(body, output_buffer_limit=limit + 1)
    while not stream.is_finished() and len(found) <= limit:
        more = stream.process(b"", output_buffer_limit=limit + 1)
        if not more:
            raise EOFError("it is cut short")
        found += more
    return found if len(found) <= limit else None


def decoded(body: bytes, charset: str | None) -> tuple[str, str]:
    """The text and the charset that it was in. `charset` is what the header says. ValueError: it is no text.

    What is whole UTF-8 is UTF-8, whatever it says: other text with letters beyond ASCII is almost never that by accident. Else the first
    that fits of: header, <meta>, what the bytes look like. The last character may be cut off, as crawlers cut long pages."""
    for bom, name in BOMS.items():
        if body.startswith(bom):
            charset = name
            body = body[len(bom) :]
            break
    said = META.search(body, 0, LOOKED_AT)
    header, meta = _known(charset), _known(said[1].decode("ascii") if said else None)
    narrow = [name for name in (header, meta) if name and name.startswith(("iso2022", "utf-16", "utf-32", "hz", "utf-7"))]
    if b"\0" in body and not any(name.startswith("utf-") for name in narrow):
        raise ValueError("no text: it has zero bytes")
    told = [name for name in (header, meta) if name]
    for name in [*narrow, "utf-8", *told]:
        if (text := _strictly(body, name)) is not None:
            return text, name
    import cchardet

    found = _known(cchardet.detect(body)["encoding"])
    if found and (text := _strictly(body, found)) is not None:
        return text, found
    for name in [*told, "utf-8"]:
        if (text := body.decode(name, "replace")).count("\ufffd") <= LOST * len(text):
            return text, name
    raise ValueError("no charset fits its bytes")


def _known(charset: str | None) -> str | None:
    try:
        name = codecs.lookup((charset or "").strip()).name
    except (LookupError, ValueError):
        return None
    return WEB.get(name, name) if name not in ("unicode-escape", "raw-unicode-escape", "idna", "punycode") else None


def _strictly(body: bytes, charset: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(charset)("strict").decode(body)
    except (UnicodeError, LookupError, TypeError, ValueError):
        return None
