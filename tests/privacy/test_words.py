"""Why a picture was deleted, as a duty officer reads it in a chat group and on the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dispatcher.channels import words
from dispatcher.store.gone import Why, reason

WORDS = Path(words.__file__).parents[1] / "console" / "words.mjs"
AT = "2026-11-26T19:17:00.000Z"  # at night, when it is the next day in China
SAID = {
    Why.EXPIRED: ("无图片（保存期满，已删除，2026-11-27）", "证据图片保存期满，已删除（2026-11-27）"),
    Why.ERASED: ("无图片（已按要求清除，2026-11-27）", "证据图片已按要求清除（2026-11-27）"),
}


@pytest.mark.parametrize("why", Why)
def test_a_chat_group_reads_why(why: Why) -> None:
    assert words._evidence({"uri": None, "missing": reason(why, AT)}) == SAID[why][0]


@pytest.mark.parametrize("why", Why)
def test_the_page_says_why(why: Why) -> None:
    if shutil.which("node") is None:
        told = "NO NODE.JS, NOT TESTED: what the page says (apt-get install nodejs)"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    program = f"import('{WORDS.as_uri()}').then(m => console.log(m.missingReason({json.dumps(reason(why, AT))})))"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SAID[why][1]
