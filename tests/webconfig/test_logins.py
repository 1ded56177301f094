"""Basic authentication: who gets in, what it costs, and what is remembered."""

import asyncio
import base64
import io
import os
import pty
import re
import subprocess
import sys
import threading

import bcrypt
import pytest
from pydantic import SecretStr

from exporter.webconfig import logins as basicauth
from exporter.webconfig.logins import Logins, TooManyLoginsError
from tests.support.commands import ENVIRONMENT, run
from tests.support.guarded import HASH, PASSWORD, USERS

HASHES = {"alice": SecretStr(HASH)}


def header(user, password):
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


GOOD = header("alice", PASSWORD)


def allowed(*authorizations, users=HASHES, logins=None):
    """Ask one after another."""

    async def ask():
        asked = logins or Logins()
        return [await asked.allow(users, authorization) for authorization in authorizations]

    return asyncio.run(ask())


@pytest.fixture
def hashed(monkeypatch):
    """Count the hashes that are computed: the pairs of password and hash."""
    calls = []
    real = bcrypt.checkpw

    def checkpw(password, known):
        calls.append((password, known))
        return real(password, known)

    monkeypatch.setattr(basicauth.bcrypt, "checkpw", checkpw)
    return calls


@pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC"])
def test_a_user_with_the_right_password_gets_in(scheme):
    assert allowed(GOOD.replace(b"Basic", scheme)) == [True]


@pytest.mark.parametrize(
    "authorization",
    [
        b"", b"Basic", b"Basic ", b"Basic !!!", b"Bearer x", b"Basic " + base64.b64encode(b"alice"),
        b"Basic " + base64.b64encode(b"\xff:x"), header("alice", ""), header("", ""), header("alice", PASSWORD + "x"),
        header("Alice", PASSWORD), header("alice", f"{PASSWORD}:"), GOOD + b" ", GOOD + b", Basic x",
    ],
)  # fmt: skip
def test_nobody_else_gets_in(authorization):
    assert allowed(authorization) == [False]


@pytest.mark.parametrize("variant", ["$2a$", "$2b$", "$2x$", "$2y$"])
def test_every_variant_of_bcrypt_that_other_tools_write_is_understood(variant):
    assert allowed(GOOD, users={"alice": SecretStr(HASH.replace("$2b$", variant))}) == [True]


def test_a_password_may_hold_colons_nuls_and_letters_of_any_script_and_counts_to_its_72nd_byte():
    for password in ("a:b", "a\x00b", "пароль", "x" * 72):
        users = {"alice": SecretStr(bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode())}
        assert allowed(header("alice", password), header("alice", password[:-1]), users=users) == [True, False]
    assert allowed(header("alice", "x" * 80), users=users) == [True]


def test_somebody_who_is_no_user_costs_a_hash_as_dear_as_the_dearest(hashed):
    users = {**HASHES, "bob": SecretStr(HASH.replace("$04$", "$05$"))}
    assert allowed(header("nobody", PASSWORD), users=users) == [False]
    ((_, dummy),) = hashed
    assert dummy.startswith(b"$2b$05$")


def test_a_result_is_remembered_good_or_bad(hashed):
    assert allowed(GOOD, GOOD, GOOD) == [True] * 3
    assert len(hashed) == 1
    assert allowed(*[header("alice", "x")] * 3, *[header("nobody", "x")] * 3) == [False] * 6
    assert len(hashed) == 3


def test_a_new_hash_for_a_user_forgets_the_old_result(hashed):
    logins = Logins()
    other = {"alice": SecretStr(bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode())}
    assert allowed(GOOD, logins=logins) == [True]
    assert allowed(GOOD, users=other, logins=logins) == [False]
    assert len(hashed) == 2


def test_what_is_remembered_is_bounded_and_guesses_push_out_no_user(hashed):
    logins = Logins()
    guesses = [header("alice", str(guess)) for guess in range(basicauth._REMEMBERED + 20)]
    assert allowed(GOOD, *guesses, logins=logins) == [True] + [False] * len(guesses)
    assert sum(map(len, logins._results.values())) == basicauth._REMEMBERED + 1
    before = len(hashed)
    assert allowed(GOOD, logins=logins) == [True]
    assert len(hashed) == before


def test_no_password_is_remembered():
    logins = Logins()
    allowed(GOOD, header("alice", "wrong"), logins=logins)
    remembered = repr([vars(logins), [dict(results) for results in logins._results.values()]])
    assert PASSWORD not in remembered
    assert "wrong" not in remembered


@pytest.fixture
def held(monkeypatch):
    """Let no hash end before the test says so; how many run at once is noted."""
    go, running, most = threading.Event(), [], []
    real = bcrypt.checkpw

    def checkpw(password, known):
        running.append(password)
        most.append(len(running))
        go.wait(20)
        running.pop()
        return real(password, known)

    monkeypatch.setattr(basicauth.bcrypt, "checkpw", checkpw)
    yield go, most
    go.set()


def test_one_hash_is_computed_at_a_time_and_once_for_all_who_wait_for_it(held):
    go, most = held

    async def ask():
        logins = Logins()
        waiting = [asyncio.ensure_future(logins.allow(HASHES, GOOD)) for _ in range(50)]
        waiting += [asyncio.ensure_future(logins.allow(HASHES, header("alice", "x"))) for _ in range(50)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*waiting[1:])

    assert asyncio.run(ask()) == [True] * 49 + [False] * 50
    assert most == [1, 1]


def test_a_hash_that_fails_is_told_to_all_who_wait_and_remembered_as_nothing(monkeypatch):
    def checkpw(_password, _known):
        raise MemoryError

    async def ask():
        logins = Logins()
        with monkeypatch.context() as patch:
            patch.setattr(basicauth.bcrypt, "checkpw", checkpw)
            waiting = asyncio.gather(*[logins.allow(HASHES, GOOD) for _ in range(3)], return_exceptions=True)
            results = await asyncio.wait_for(waiting, 10)
        assert [*map(type, results)] == [MemoryError] * 3
        assert await logins.allow(HASHES, GOOD)

    asyncio.run(ask())


def test_a_hash_that_outlives_its_event_loop_is_no_fault(held, caplog):
    go, most = held

    async def leave():
        logins = Logins()
        waiting = asyncio.ensure_future(logins.allow(HASHES, GOOD))
        await asyncio.sleep(0)
        waiting.cancel()
        return logins

    logins = asyncio.run(leave())
    go.set()
    # The thread takes calls in turn: after this one the first is over.
    assert logins._workers.submit(len, "x").result(10) == 1
    assert caplog.records == []
    assert len(most) <= 1


def test_beyond_32_that_wait_others_are_sent_away(held):
    go, _ = held

    async def ask():
        logins = Logins()
        waiting = [asyncio.ensure_future(logins.allow(HASHES, header("alice", str(guess)))) for guess in range(32)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyLoginsError):
            await logins.allow(HASHES, header("alice", "one more"))
        go.set()
        assert await asyncio.gather(*waiting) == [False] * 32
        assert await logins.allow(HASHES, GOOD)

    asyncio.run(ask())


def test_scrapes_go_on_while_a_hash_is_computed(guarded, held):
    go, _ = held
    go.set()
    with guarded.serving(USERS):
        assert guarded.status(auth=("alice", PASSWORD)) == 200
        go.clear()
        answers = []
        guess = threading.Thread(target=lambda: answers.append(guarded.status(auth=("alice", "guess"))))
        guess.start()
        assert [guarded.status(auth=("alice", PASSWORD)) for _ in range(5)] == [200] * 5
        assert answers == []
        go.set()
        guess.join(10)
        assert answers == [401]


def test_more_logins_than_may_wait_get_503(guarded, monkeypatch):
    monkeypatch.setattr(basicauth, "_WAITING", 0)
    with guarded.serving(USERS):
        assert guarded.status(auth=("alice", PASSWORD)) == 503


def test_401_says_how_to_authenticate(guarded):
    with guarded.serving(USERS):
        assert guarded.get().headers["WWW-Authenticate"] == "Basic"


def test_web_config_hash_prints_the_hash_of_a_line_and_nothing_else(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{PASSWORD}\n".encode())))
    done = run("web-config", "hash")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\$2b\$12\$[./A-Za-z0-9]{53}\n", done.stdout)
    assert bcrypt.checkpw(PASSWORD.encode(), done.stdout.strip().encode())


@pytest.mark.parametrize("text", ["", "\n", "x" * 73])
def test_web_config_hash_refuses_what_bcrypt_does_not_read(text, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    done = run("web-config", "hash")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "har-exporter: password: accepted are 1 to 72 bytes, the limit of bcrypt\n"


@pytest.mark.parametrize(("second", "code"), [(PASSWORD, 0), ("other", 2)])
def test_web_config_hash_asks_a_terminal_twice(second, code):
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "web-config", "hash"],
        stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True,
        start_new_session=True,
    )  # fmt: skip
    with os.fdopen(main, "r+b", buffering=0) as keyboard, process, os.fdopen(terminal):
        for prompt, text in (("Password: ", PASSWORD), ("Repeat password: ", second)):
            assert process.stderr.read(len(prompt)) == prompt
            keyboard.write(f"{text}\n".encode())
            assert process.stderr.read(1) == "\n"
        out, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert PASSWORD not in out + errors
    assert out.startswith("$2b$") == (code == 0)
