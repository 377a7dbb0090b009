"""Services: the matters of the taxonomy as Open311 lists them, and what may be said beside the standard's fields."""

from __future__ import annotations

from typing import Any

from dispatcher.open311.report import ACCURACY_M, LEAST_ACCURACY_M, MOST_ACCURACY_M
from models.taxonomy import Matter, Taxonomy

DATUMS = {"WGS84": "WGS-84 / CGCS2000", "GCJ02": "GCJ-02（高德、腾讯等网络地图）"}
ATTRIBUTES: list[dict[str, Any]] = [
    {
        "variable": True,
        "code": "accuracy_m",
        "datatype": "number",
        "required": False,
        "datatype_description": (
            f"metres, 1 sigma, from {LEAST_ACCURACY_M:g} to {MOST_ACCURACY_M:g}; {ACCURACY_M:g} unless said"
        ),
        "order": 1,
        "description": "位置精度（米）",
        "values": [],
    },
    {
        "variable": True,
        "code": "seen_at",
        "datatype": "datetime",
        "required": False,
        "datatype_description": "when it was seen, with its offset from UTC; now unless said",
        "order": 2,
        "description": "发现时间",
        "values": [],
    },
    {
        "variable": True,
        "code": "datum",
        "datatype": "singlevaluelist",
        "required": False,
        "datatype_description": "of lat and long; WGS84 unless said",
        "order": 3,
        "description": "坐标系",
        "values": [{"key": key, "name": name} for key, name in DATUMS.items()],
    },
]


def services(taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Every matter, by code."""
    return [_service(matter) for _, matter in sorted(taxonomy.by_code.items())]


def definition(code: str) -> dict[str, Any]:
    """What may be said of a matter: the same of each."""
    return {"service_code": code, "attributes": ATTRIBUTES}


def _service(matter: Matter) -> dict[str, Any]:
    return {
        "service_code": matter.code,
        "service_name": matter.name,
        "description": f"{matter.major_name}：{matter.name}（GB/T 47678.5-2026，{matter.code}）",
        "metadata": True,
        "type": "realtime",
        "keywords": matter.name_en,
        "group": matter.major_name,
    }
