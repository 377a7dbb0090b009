"""Why a Kafka client cannot connect: the clearest word of its log."""

from __future__ import annotations

import logging

import pytest

from ingest.heard import Heard

LOGIN = "[Error 58] SaslAuthenticationFailedError: Authentication failed due to invalid credentials"
TLS = "KafkaConnectionError: Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
GONE = "KafkaConnectionError: socket disconnected"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], ""),
        ([GONE], GONE),
        ([LOGIN, GONE, GONE], LOGIN),
        ([GONE, TLS], TLS),
        ([LOGIN, TLS], TLS),
    ],
)
def test_the_clearest_word_of_late_is_kept(words: list[str], why: str) -> None:
    heard = Heard()
    log = logging.Logger("kafka.net.manager")
    log.addHandler(heard)
    for n, word in enumerate(words):
        log.warning("Bootstrap bootstrap-0 not ready; waiting 0.0%d secs", n)
        log.warning("Bootstrap connection to %s failed: %s (backoff 0.0%d secs)", "bootstrap-0", word, n)
    assert heard.lately() == why
