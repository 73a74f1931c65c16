"""An outage tells how long there has been no connection, and the newest reason."""

from gateway.client.session.outage import Outage


def test_it_tells_its_length_and_the_last_error() -> None:
    now_s = [100.0]
    outage = Outage(lambda: now_s[0])
    outage.begin("the gateway was stopped")
    now_s[0] += 1.26
    assert str(outage) == "there has been no connection for 1.3 s: the gateway was stopped"
    outage.attempt_failed(OSError(111, "refused"))
    assert str(outage) == "there has been no connection for 1.3 s: [Errno 111] refused"
    outage.attempt_failed(ValueError())
    assert str(outage) == "there has been no connection for 1.3 s: ValueError()"
    outage.begin("lost again")
    assert str(outage) == "there has been no connection for 0.0 s: lost again"
