"""Small files of each format, made by other libraries, and the parameters of the sources that read them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

PAGE = "<html><head><meta charset='utf-8'><title>{0}</title></head><body><nav>Home</nav><article>{1}</article></body></html>"
SENTENCES = "The mill number {0} turns by the river all day, and the miller counts the sacks of flour. Who comes late gets none."


def page(number: int) -> str:
    return PAGE.format(f"Mill {number}", "".join(f"<p>{SENTENCES.format(f'{number}.{line}')}</p>" for line in range(5)))


def warc(answers: list[tuple[str, str, str, bytes]], *, packed: bool = True) -> bytes:
    """A WARC file as warcio writes it: after a warcinfo, a request and a response for each (url, status, content type, body)."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    out = io.BytesIO()
    writer = WARCWriter(out, gzip=packed)
    writer.write_record(writer.create_warcinfo_record("small.warc", {"software": "warcio"}))
    for url, status, content_type, body in answers:
        asked = StatusAndHeaders("GET / HTTP/1.1", [("Host", "mill.example")], is_http_request=True)
        writer.write_record(writer.create_warc_record(url, "request", http_headers=asked))
        said = StatusAndHeaders(status, [("Content-Type", content_type)] if content_type else [], protocol="HTTP/1.1")
        writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=said))
    return out.getvalue()


def pages(count: int) -> list[tuple[str, str, str, bytes]]:
    return [(f"http://mill{i % 3}.example/{i}", "200 OK", "text/html; charset=utf-8", page(i).encode()) for i in range(count)]


def schema_guided(number: int) -> dict[str, Any]:
    """A dialogue in the form of Schema-Guided Dialogue."""
    date, city = {"act": "REQUEST", "slot": "date", "values": []}, {"act": "CONFIRM", "slot": "city", "values": [f"Mill {number}"]}
    state = {"active_intent": "FindBus", "requested_slots": [], "slot_values": {"city": [f"Mill {number}"]}}
    turns = [
        ("USER", f"A bus to Mill {number}, please.", [{"act": "INFORM", "slot": "city", "values": [f"Mill {number}"]}], {"state": state}),
        ("SYSTEM", "On which day?", [date], {}),
        ("USER", "Tomorrow.", [{"act": "INFORM", "slot": "date", "values": ["Tomorrow"]}], {"state": state}),
        ("SYSTEM", f"To Mill {number} then, is that right?", [city], {}),
    ]
    frames = [{"frames": [{"actions": acts, "service": "Buses_1", "slots": [], **more}]} for _, _, acts, more in turns]
    told = [{"speaker": who, "utterance": said, **frame} for (who, said, _, _), frame in zip(turns, frames, strict=True)]
    return {"dialogue_id": f"1_{number:05}", "services": ["Buses_1"], "turns": told}


def small_sources(folder: Path) -> dict[str, dict[str, Any]]:
    """The parameters of each source, and in `folder` the files that they name."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "small.warc.gz").write_bytes(warc(pages(4)))
    rows = [{"text": SENTENCES.format(i), "id": f"row{i}", "n": i} for i in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "small.parquet", row_group_size=8)
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows).save_to_disk(str(folder / "dataset"), num_shards=2)
    comments = [{"id": f"c{i}", "parent_id": f"c{i // 2}" if i else None, "author": f"a{i % 5}", "body": f"Say {i}."} for i in range(20)]
    (folder / "comments.jsonl").write_text("".join(json.dumps(comment) + "\n" for comment in comments))
    for name in ("one/main.py", "one/src/mill.c", "two/index.js"):
        (folder / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "code" / name).write_text(f"# {name}\nx = 1\n")
    pairs = [{"prompt": f"How does mill {i} turn?", "chosen": SENTENCES.format(i), "rejected": "No." if i % 7 else ""} for i in range(20)]
    (folder / "pairs.json").write_text(json.dumps(pairs, indent=1))
    (folder / "sgd").mkdir()
    (folder / "sgd" / "dialogues_001.json").write_text(json.dumps([schema_guided(i) for i in range(12)] + [{"dialogue_id": "x"}], indent=1))
    found: dict[str, dict[str, Any]] = {
        "source/sgd_dialogues": {"path": str(folder / "sgd")},
        "evaluator/sgd_dialogues": {"path": str(folder / "sgd")},
        "source/warc": {"paths": [str(folder / "small.warc.gz")], "extractor": "resiliparse"},
        "source/parquet": {"paths": [str(folder / "small.parquet")]},
        "source/hugging_face": {"paths": [str(folder / "dataset")]},
        "source/conversations": {"paths": [str(folder / "comments.jsonl")]},
        "source/code": {"paths": [str(folder / "code")]},
        "source/examples": {"paths": [str(folder / "pairs.json")]},
    }
    rows_and_code = {"rows": {"name": "parquet", **found["source/parquet"]}, "code": found["source/code"]}
    return found | {"source/mixture": {"parts": rows_and_code}}
