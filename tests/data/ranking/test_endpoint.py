"""The HTTP judge against a real server process: answers, faults, and the key."""

import email.utils
import time
from email.message import Message

import pytest

from gradlab.data.ranking import Backoff, EndpointJudge, Question, UnansweredError
from gradlab.data.ranking.endpoint import _retry_after, read_key, verdict
from gradlab.errors import JudgeError
from tests.data.ranking.items import item
from tests.data.ranking.serving import serving

QUESTION = Question(item(1, [3, 8]), 0, 1)
KEY = "sk-test-51c6a9e2f4"


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def judge(server, kind, **settings):
    return EndpointJudge(server.url(kind), "some-model", **settings)


def test_it_answers_and_tells_what_it_read(server):
    answer = judge(server, "good").ask(QUESTION)
    assert answer.preference == 0.0
    assert (answer.prompt_tokens, answer.completion_tokens) == (100, 3)
    assert answer.reply == "I compared. [[B]]"
    assert judge(server, "good").ask(Question(item(1, [3, 8]), 1, 0)).preference == 1.0


def test_a_trailing_slash_is_no_matter(server):
    slashed = EndpointJudge(server.url("good") + "/", "some-model")
    assert slashed.ask(QUESTION).preference == 0.0


def test_braces_in_a_text_stay_what_they_are(server):
    texts = Question(item(1, [3, 8]), 0, 1)
    body = judge(server, "good", template="{first} {x} {second} {prompt}")._body(texts)
    assert b"answer 3 {x} answer 8 prompt 1" in body
    odd = item(1, [3, 8])
    odd = type(odd)(1, "{first} {second}", odd.completions)
    body = judge(server, "good")._body(Question(odd, 0, 1))
    assert b"{first} {second}" in body


def test_faults_that_pass_are_asked_again(server):
    slept = []
    trial = Backoff(sleep=slept.append).ask(judge(server, "flaky"), QUESTION)
    assert trial.answer is not None
    assert trial.answer.preference == 0.0
    assert trial.unanswered == ("HTTP 429", "HTTP 503", "no verdict")
    assert len(slept) == 3
    assert server.seen("flaky") == 4
    assert (trial.prompt_tokens, trial.completion_tokens) == (200, 5)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("slow", "timeout"),
        ("trickling", "timeout"),
        ("broken", "no connection|not JSON"),
        ("silent", "no connection"),
        ("prose", "not JSON"),
        ("huge", "not JSON"),
        ("empty", "no verdict"),
        ("junk", "no verdict"),
        ("limited", "HTTP 429"),
    ],
)
def test_faults_have_a_reason(server, kind, reason):
    timeout = 0.3 if reason == "timeout" else 30
    with pytest.raises(UnansweredError) as raised:
        judge(server, kind, timeout=timeout).ask(QUESTION)
    assert raised.value.reason in reason.split("|")


def test_nobody_there():
    with pytest.raises(UnansweredError, match="no connection: ConnectionRefusedError"):
        EndpointJudge("http://127.0.0.1:9/v1", "m").ask(QUESTION)


def test_a_long_wait_asked_for_is_no_answer(server):
    trial = Backoff(sleep=pytest.fail).ask(judge(server, "limited"), QUESTION)
    assert trial.answer is None
    assert trial.unanswered == ("HTTP 429",)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("denied", "refuses with HTTP 401"),
        ("keyed", r"refuses with HTTP 403.*\(--judge-key-env\)"),
        ("redirect", "refuses with HTTP 302: a redirect"),
    ],
)
def test_refusals_are_not_repeated_and_keep_the_key(server, kind, message):
    before = server.seen(kind)
    with pytest.raises(JudgeError, match=message) as raised:
        Backoff(sleep=pytest.fail).ask(judge(server, kind, key=KEY), QUESTION)
    assert server.seen(kind) == before + 1
    assert server.seen("leak") == 0
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_right_key_opens(server):
    keyed = judge(server, "keyed", key="right-key")
    assert keyed.ask(QUESTION).preference == 0.0


def test_the_key_is_blotted_out_of_what_the_server_says(server):
    answer = judge(server, "echo", key=KEY).ask(QUESTION)
    assert answer.reply == "You sent Bearer [key]. [[B]]"
    with pytest.raises(UnansweredError) as raised:
        judge(server, "junk", key=KEY).ask(QUESTION)
    assert str(raised.value) == "no verdict: You sent Bearer [key]."
    secretive = judge(server, "good", key=KEY)
    assert KEY not in repr(secretive) + str(secretive.identity)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "http://",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host/v1#secret",
        "https://host:secret/v1",
        "https://[secret/v1",
        "https://host/secret path",
        "https://hôst/secret",
    ],
)
def test_a_url_is_a_place_and_nothing_more(url):
    with pytest.raises(JudgeError, match="expected http") as raised:
        EndpointJudge(url, "m")
    assert "secret" not in str(raised.value)


def test_other_settings_that_mean_nothing():
    with pytest.raises(JudgeError, match=r"template lacks \{second\}"):
        EndpointJudge("http://host", "m", template="{first}")
    with pytest.raises(JudgeError, match="timeout: found 0"):
        EndpointJudge("http://host", "m", timeout=0)


def test_keys_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", f" {KEY}\n")
    assert read_key("JUDGE_KEY") == KEY
    with pytest.raises(JudgeError, match="no environment variable") as raised:
        read_key(KEY)  # the key in place of the name
    assert KEY not in str(raised.value)
    for value in ("", "two words", "line\nbreak", "schlüssel"):
        monkeypatch.setenv("JUDGE_KEY", value)
        with pytest.raises(JudgeError, match="empty or holds more") as raised:
            read_key("JUDGE_KEY")
        assert not value or value not in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "preference"),
    [
        ("[[A]]", 1.0),
        ("First [[A]]? No: [[B]]", 0.0),
        ("Neither. [[TIE]]", 0.5),
        ("B", 0.0),
        (" **A**.\n", 1.0),
        ("tie", None),
        ("A good answer.", None),
        ("[[C]]", None),
        ("", None),
    ],
)
def test_verdicts(reply, preference):
    assert verdict(reply) == preference


def test_retry_after_gives_seconds_or_a_date():
    def after(text):
        headers = Message()
        headers["Retry-After"] = text
        return _retry_after(headers)

    assert after("7") == 7.0
    assert _retry_after(Message()) is None
    assert after("soon") is None
    assert after("-3") is None
    wait = after(email.utils.formatdate(time.time() + 60, usegmt=True))
    assert wait == pytest.approx(60, abs=2)
    assert after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
