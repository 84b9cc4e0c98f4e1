"""Names and summaries of projects in the Scx log, with every character that is special in CSV.

Owners of projects and times of changes do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from scx_pipeline.samples.random_numbers import draw_integers

if TYPE_CHECKING:
    import numpy as np

    from scx_pipeline.samples.random_numbers import IntArray

PLACES = (
    *("서울 강남구", "부산 해운대구", "제주시", "대전 유성구", "강릉 경포", "Gunsan", "Daejeon"),
    *("Zürich", "São Paulo", "Besançon", "Malmö", "Kraków", "Ōsaka", "Hà Nội", "Oulu", "Tromsø"),
    *("Leeds", "Val d'Isère", "Austin, TX", "Portland, OR", "Cork", "Graz", "Łódź", "Reykjavík"),
)
SUBJECTS = (
    *("road survey", "forest inventory"),  # codespell:ignore
    *("powerline corridor", "river bed", "quarry volumes"),
    *("도로 측량", "산림 조사", "coastal erosion", "city model", "railway", "levée", "solar park"),
    *("철도 구간", "landslide"),
)
MARKS = (
    *("", "", "", "", "", "", "", "", "", ", phase 2", ' "pilot"', " 🌲", " (east)"),
    *(", lot 3, strip 7", "\nreflight", ' "A", "B"', " @north; --", " 🛰️ test"),
)
PURPOSES = (
    *("", "", "Terrain model for drainage planning", "Canopy height", "수치지형도 제작", "Sight lines"),
    *("Change detection, spring/autumn", "하천 단면 측량", 'Client asked for "ground only"'),
    *("Étude d'impact", "Line 1: 4 pts/m²\nLine 2: 12 pts/m²", "Vegetation near conductors"),
    *("=draft", "Überflug bei Hochwasser", "Volumes for invoicing", "Encroachment, 2nd half"),
    *("Track alignment", "수목 높이 측정", "Flood model", "Roof shapes", "As-built check"),
    *("Tendering, lots 1 to 4", "Control of contractor's data"),
)
FIRST_EDITS = ("; re-flown", ", delivered", "\n2nd delivery: breaklines added", "; 재측량 완료", ' ("final")')
LATER_EDITS = (" — archived", "; invoiced", "\nreopened 🔁", ", corrected by client")


def project_texts(rng: np.random.PCG64, ids: IntArray, days: IntArray, start: date) -> Any:
    """Return 'project_id,project_name,date,summary' of each project, in three versions with different summaries."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    size = len(ids)
    places, subjects = _pick(rng, PLACES, size), _pick(rng, SUBJECTS, size)
    lots = pa.array(draw_integers(rng, size, 900) + 100).cast(pa.string())
    names = pc.binary_join_element_wise(places, subjects, lots, " ")
    names = pc.binary_join_element_wise(names, _pick(rng, MARKS, size), "")
    first_day = (start - date(1970, 1, 1)) // timedelta(days=1)
    dates = pa.array((days + first_day).astype(np.int32)).cast(pa.date32()).cast(pa.string())
    heads = pc.binary_join_element_wise(pa.array(ids).cast(pa.string()), _csv_fields(names), dates, ",")
    first = _pick(rng, PURPOSES, size)
    second = pc.binary_join_element_wise(first, _pick(rng, FIRST_EDITS, size), "")
    third = pc.binary_join_element_wise(second, _pick(rng, LATER_EDITS, size), "")
    versions = [pc.binary_join_element_wise(heads, _csv_fields(each), ",") for each in (first, second, third)]
    order = (np.arange(size)[:, None] + np.arange(3) * size).ravel()
    return pa.concat_arrays(versions).take(pa.array(order))


def _pick(rng: np.random.PCG64, pool: Sequence[str], size: int) -> Any:
    """Return `size` texts of the pool, all equally likely, as Arrow strings."""
    import pyarrow as pa

    return pa.array(pool, pa.string()).take(pa.array(draw_integers(rng, size, len(pool))))


def _csv_fields(texts: Any) -> Any:
    """Return texts as CSV fields, quoted only where RFC 4180 requires it."""
    import pyarrow.compute as pc

    escaped = pc.replace_substring(texts, '"', '""')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    return pc.if_else(pc.match_substring_regex(texts, '[",\n\r]'), quoted, texts)
