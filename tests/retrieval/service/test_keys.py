"""API keys: made, listed, revoked; what is kept of them gives none away."""

from __future__ import annotations

import hmac
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finetag_model.errors import UsageError
from retrieval.service import keys as keys_module
from retrieval.service.callers import REMEMBERED_SECONDS, Callers, Shown
from retrieval.service.cli_keys import main
from retrieval.service.cli_options import state_folder
from retrieval.service.keys import EVERY, Keys
from retrieval.service.store import open_store

RunKeys = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def keys(state: Path) -> Keys:
    return Keys(open_store(state))


@pytest.fixture
def run(state: Path) -> RunKeys:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--state", str(state)])

    return run


def test_a_key_that_was_made_is_good(keys: Keys) -> None:
    text = keys.create("write", ["shoes", "bags", "shoes"], note="the shop")
    key = keys.shown(text)
    assert key is not None
    assert (key.role, key.catalogs, key.note) == ("write", ("shoes", "bags"), "the shop")
    assert text.startswith(f"ft_{key.id}_")
    assert keys.create("read") != keys.create("read")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.upper(),
        lambda text: text[:-4] + ("AAAA" if not text.endswith("AAAA") else "BBBB"),
        lambda text: text.replace("ft_", "sk_"),
        lambda text: "ft_" + "0" * 12 + text[15:],
        lambda text: text[:15],
        lambda _: "",
        lambda _: "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
        lambda _: "ft_é" + "é" * 60,
        lambda _: "ft_" + "A" * 1_000_000,
        lambda _: "ft_123456789012_' OR 1=1 --",
        lambda text: text.replace(text[3], "٣", 1),
    ],
)
def test_nothing_else_is(keys: Keys, change: Callable[[str], str]) -> None:
    text = keys.create("read")
    assert keys.shown(change(text)) is None


def test_an_unknown_id_is_compared_as_a_known_one_is(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    compare_digest = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return compare_digest(left, right)

    monkeypatch.setattr(keys_module.hmac, "compare_digest", compare)
    text = keys.create("read")
    assert keys.shown(text) is not None
    assert keys.shown("ft_" + "0" * 12 + text[15:]) is None
    assert compared == [(32, 32), (32, 32)]


def test_a_revoked_key_is_not_good(keys: Keys) -> None:
    text = keys.create("read")
    keys.revoke(text[3:15])
    assert keys.shown(text) is None
    assert not keys.all()[0].is_good
    for id_ in (text[3:15], "nobody", text):
        with pytest.raises(UsageError, match="there is no key"):
            keys.revoke(id_)


def test_an_expired_key_is_not_good(keys: Keys) -> None:
    assert keys.shown(keys.create("read", days=1)) is not None
    text = keys.create("read", days=-1e-3)
    assert keys.shown(text) is None
    assert keys.good(text[3:15]) is None


def test_the_day_of_use_is_noted_once(keys: Keys) -> None:
    text = keys.create("read")
    assert keys.all()[0].last_used is None
    keys.shown(text)
    used = keys.all()[0].last_used
    assert used is not None
    assert datetime.now(UTC).date() - used <= timedelta(days=1)


def test_a_revoked_key_is_forgotten_within_seconds(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("retrieval.service.callers.time.monotonic", lambda: now[0])
    callers = Callers(open_store(state))
    text = callers.keys.create("read")
    shown = Shown("key", text)
    assert callers.remembered(shown) is None
    assert callers.find(shown) == callers.remembered(shown)
    callers.keys.revoke(text[3:15])
    assert callers.remembered(shown) is not None
    now[0] += REMEMBERED_SECONDS
    assert callers.remembered(shown) is None
    assert callers.find(shown) is None
    assert REMEMBERED_SECONDS <= 5


def test_no_secret_is_kept_and_the_files_are_the_owners_alone(state: Path, keys: Keys) -> None:
    text = keys.create("write", note="shop")
    keys.shown(text)
    assert text not in repr(keys.all())
    files = [path for path in state.iterdir() if path.name.startswith("service.db")]
    assert files
    for path in files:
        assert text[16:].encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_create_prints_the_key_alone(run: RunKeys, keys: Keys) -> None:
    made = run("create", "--role", "write", "--catalog", "shoes", "--catalog", "bags")
    key = keys.shown(made.stdout.removesuffix("\n"))
    assert key is not None
    assert (key.role, key.catalogs) == ("write", ("shoes", "bags"))
    assert "keep it safe" in made.stderr


def test_list_tells_of_every_key_but_no_secret(run: RunKeys, keys: Keys) -> None:
    text = keys.create("read", note="[bold]\x1b[31mshop")
    keys.create("write", ["shoes"], days=-1)
    revoked = keys.create("read")
    assert run("revoke", revoked[3:15]).exit_code == 0
    as_table, as_json = run("list"), run("list", "--json")
    assert text[16:] not in as_table.stdout + as_json.stdout
    assert "\x1b" not in as_table.stdout
    assert "expired" in as_table.stdout
    told = json.loads(as_json.stdout)
    assert [each["good"] for each in told] == [True, False, False]
    assert [each["catalogs"] for each in told] == [[EVERY], ["shoes"], [EVERY]]
    assert told[0]["id"] == text[3:15]
    assert told[2]["revoked"] is not None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "--role", "read", "--catalog", "Shoes"], "'Shoes' is no name for a catalogue"),
        (["create", "--role", "read", "--catalog", "*"], "'*' is no name for a catalogue"),
        (["create", "--role", "admin"], "'admin'"),
        (["create", "--role", "read", "--expires-days", "0"], "--expires-days"),
        (["create"], "--role"),
        (["revoke", "123"], "there is no key '123' to revoke; 'finetag-keys list'"),
    ],
)
def test_what_is_wrong_is_told(run: RunKeys, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not result.stdout


def test_a_state_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["list", "--state", str(tmp_path / "file" / "state")])
    assert result.exit_code == 1
    assert "name another folder with --state" in result.stderr


def test_the_state_folder_is_named_or_the_environments_or_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINETAG_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder(None).name == "serve"
    assert "finetag" in str(state_folder(None))
    monkeypatch.setenv("FINETAG_STATE", str(tmp_path / "there"))
    assert state_folder(None) == tmp_path / "there"
    monkeypatch.chdir(tmp_path)
    assert state_folder(Path("here")) == tmp_path / "here"
