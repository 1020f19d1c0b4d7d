"""`rediss://`: a broker that speaks TLS, and one that has somebody else's certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.queue.embedded_broker import EmbeddedBroker, socket_path
from scheduler.settings import Settings
from tests.chaos.proxy import Proxy
from vaeval_core.errors import ServiceUnreachable

CERTIFICATE = Path(__file__).with_name("localhost.pem")

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    home = tmp_path_factory.mktemp("home")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    with EmbeddedBroker(home):
        proxy = Proxy(socket_path(home / "broker"), tls)
        yield proxy.port
        proxy.close()


def queue(url: str) -> CeleryWorkQueue:
    """As a command makes it."""
    resolved = Settings.from_environment({"VAEVAL_BROKER_URL": url}).broker_url
    assert resolved is not None
    return CeleryWorkQueue(resolved)


def test_a_bell_rings_over_tls(port: int) -> None:
    bell = queue(f"rediss://localhost:{port}/0?ssl_ca_certs={CERTIFICATE}")
    before = bell.waiting()
    bell.ring(3)
    assert bell.waiting() == before + 3


def test_a_certificate_that_nobody_vouches_for_is_refused(port: int) -> None:
    with pytest.raises(ServiceUnreachable, match="certificate verify failed"):
        queue(f"rediss://:S3CRET@localhost:{port}/0").ping()


def test_a_certificate_of_another_host_is_refused(port: int) -> None:
    with pytest.raises(ServiceUnreachable, match="certificate verify failed") as caught:
        queue(f"rediss://:S3CRET@127.0.0.1:{port}/0?ssl_ca_certs={CERTIFICATE}").ping()
    assert "S3CRET" not in str(caught.value)
