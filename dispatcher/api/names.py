"""Names: what codes are called, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import ArrayLike

from dispatcher.access.principal import Role
from dispatcher.area import Area, Layer
from dispatcher.case import STATE_ZH
from dispatcher.holding import Ints
from models.taxonomy import Taxonomy

EVENT_ZH = {
    "suspected": "发现疑似",
    "reported": "市民反映",
    "opened": "立案",
    "confirmed": "再次确认",
    "moved": "位置修正",
    "acknowledged": "已签收",
    "dispatched": "已派遣",
    "handed-back": "已退回",
    "handled": "已处置",
    "verified": "已核查",
    "closed": "核查结案",
    "rebounded": "反弹",
    "merged": "并案",
    "split": "拆分",
    "judged": "重新评估",
    "dismissed": "不予立案",
    "called": "已吹哨",
    "answered": "已报到",
    "paused": "已挂起",
    "resumed": "已恢复",
    "escalated": "逾时升级",
    "evaluated": "已评价",
}
STATES = {str(state): word for state, word in STATE_ZH.items()}
ROLE_ZH = {Role.VIEWER: "查看员", Role.OFFICER: "处置员", Role.DISPATCHER: "派遣员", Role.ADMIN: "管理员"}


class AreaNames(Protocol):
    """What the page needs of the areas; `dispatcher.area.Areas` is the real one."""

    def features(self) -> dict[str, Any]: ...
    def path(self, code: str) -> str: ...
    def name(self, code: str) -> str: ...
    def parents(self) -> Mapping[str, str]: ...
    def covering(self, lat: float, lon: float) -> Sequence[Area]: ...
    def of_layer(self, layer: Layer) -> Sequence[Area]: ...
    def holding(self, layer: Layer, lat: ArrayLike, lon: ArrayLike) -> Ints: ...

    def __hash__(self) -> int: ...

    @property
    def routing_layer(self) -> Layer | None: ...


@dataclass(frozen=True, slots=True)
class Names:
    """Areas and matters by name. A code that nobody named stands for itself."""

    areas: AreaNames
    taxonomy: Taxonomy

    def matter(self, code: str) -> tuple[str, str]:
        """Chinese and English name."""
        matter = self.taxonomy.by_code.get(code)
        return (code, code) if matter is None else (matter.name, matter.name_en)


def state_zh(state: str) -> str:
    """The Chinese word of a state; of one that a later version wrote, the state itself."""
    return STATES.get(state, state)
