import math
import signal
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.answers import are_same, capped
from benchmarks.closed_loop import Point, saturation
from benchmarks.figures import Figure, quantiles_ms, ratio_of_medians, rounded
from benchmarks.home import CONFIG, ROOT
from benchmarks.machine import command_of
from benchmarks.markdown import Section, Table
from benchmarks.open_loop import OpenRun, content_length, poisson_schedule
from benchmarks.parts import PARTS
from benchmarks.processes import Usage, cpu_ms_per_request, label_of, replica_of
from benchmarks.profiling import RATE_HZ, profile_of
from benchmarks.seed_service.service import ranked
from benchmarks.services import LOADS, SERVICES, one_at_a_time
from benchmarks.stopping import BenchmarkFailed
from benchmarks.wrk import ClosedRun, parse
from serve_app.operations.yaml_file import load_yaml

LINE = (
    '{"duration_s":5.0,"n_answers":110,"p50_ms":1.5,"p95_ms":2.0,"p99_ms":3.0,"p999_ms":4.0,'
    '"n_failed":4,"n_refused":6,"n_degraded":2,"n_cached":1}'
)


def point(load, connections, n_answers):
    return Point(load, connections, ClosedRun(1.0, n_answers, 1, 1, 1, 1, 0, 0, 0, 0), {})


def test_a_figure_is_the_median_and_the_range():
    figure = Figure.of([3.0, 1.0, 20.0])

    assert (figure.median, figure.low, figure.high) == (3.0, 1.0, 20.0)
    assert str(figure) == "3.00 (1.00–20.0)"
    assert str(Figure.of([2.5])) == "2.50"


def test_a_figure_needs_a_value():
    with pytest.raises(ValueError, match="no values"):
        Figure.of([])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_numbers_are_rounded_to_three_significant_digits(value, text):
    assert rounded(value) == text


def test_ratios_are_of_medians_not_of_means():
    assert ratio_of_medians([10, 11, 1_000], [5, 5.5, 6]) == pytest.approx(2)
    with pytest.raises(ValueError, match="is 0"):
        ratio_of_medians([1], [0])


def test_quantiles_are_in_milliseconds_and_nan_without_durations():
    assert quantiles_ms([0.001, 0.002, 0.003])["p50"] == pytest.approx(2)
    assert all(map(math.isnan, quantiles_ms([]).values()))


def test_the_last_line_of_json_is_the_result_of_wrk():
    run = parse(f"Running 5s test\n  {{not ours\n{LINE}\n")

    assert run.n_degraded == 2
    assert run.throughput == pytest.approx(20), "neither failed nor refused answers count"


def test_wrk_without_a_result_fails():
    with pytest.raises(BenchmarkFailed, match="unable to connect"):
        parse("unable to connect to 127.0.0.1")


def test_arrivals_are_poisson():
    due = poisson_schedule(200.0, 100.0, np.random.default_rng(0))
    gaps = np.diff(due)

    assert (gaps >= 0).all()
    assert due[0] >= 0
    assert due[-1] <= 100
    assert len(due) == pytest.approx(20_000, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


def test_the_same_seed_gives_the_same_schedule():
    first, second = (poisson_schedule(5.0, 2.0, np.random.default_rng(3)) for _ in range(2))

    assert np.array_equal(first, second)


def test_refused_requests_are_neither_good_nor_failed():
    run = OpenRun(50.0, 2.0, {200: 80, 429: 15, 500: 3, 0: 2}, 0, True, [0.1], [0.0])

    assert run.goodput == 40
    assert run.n_failed == 3, "lost ones are counted apart"


def test_reads_the_length_of_an_answer_from_its_head():
    assert content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n") == 42
    assert content_length(b"HTTP/1.1 204 No Content\r\n\r\n") == 0


@pytest.mark.parametrize(
    ("command", "label"),
    [
        (["ray::ServeReplica:recserve:Scorer-main"], "Scorer-main"),
        (["ray::ServeReplica:recserve:Ingress.handle_request"], "Ingress"),
        (["ray::ServeController.run"], "ServeController"),
        (["/x/haproxy", "-f", "haproxy.cfg"], "HAProxy"),
        (["postgres: checkpointer"], "PostgreSQL"),
        (["/x/valkey-server unixsocket:/x/redis.sock"], "Redis"),
        (["python", "-P", "-m", "serve_app.embedded.keeper", "/x"], "the stores' keeper"),
        (["python", "-c", "from multiprocessing.spawn import spawn_main"], "uvicorn"),
    ],
)
def test_processes_are_labelled_by_their_command_lines(command, label):
    assert label_of(command, "uvicorn") == label


def test_only_replicas_belong_to_a_deployment():
    assert replica_of(["ray::ServeReplica:recserve:Ranker"]) == "Ranker"
    assert replica_of(["ray::ServeController"]) is None


def test_cpu_time_is_the_increase_per_request():
    before = {"a": Usage(1, 1.0, 0), "idle": Usage(1, 5.0, 0)}
    after = {"a": Usage(1, 1.5, 0), "idle": Usage(1, 5.0, 0), "new": Usage(1, 2.0, 0)}

    spent = cpu_ms_per_request(before, after, 100)

    assert spent == pytest.approx({"new": 20.0, "a": 5.0})
    assert list(spent) == ["new", "a"]


def test_saturation_is_where_the_median_throughput_is_highest():
    points = [point("ours", 1, 5), point("ours", 16, 90), point("ours", 16, 10)]

    assert saturation([*points, point("ours", 64, 60), point("seed", 128, 900)], "ours") == 64


def test_a_profile_counts_running_functions_and_leaves_out_waiting_ones():
    stacks = [
        "run (a.py:1);work (b.py:2) 30",
        "run (a.py:1) 10",
        "run (a.py:1);Condition.wait (threading.py:3) 500",
    ]

    profile = profile_of(stacks, duration_s=1.0)

    assert profile.busy == pytest.approx(40 / RATE_HZ)
    assert profile.own == pytest.approx({"work (b.py:2)": 0.75, "run (a.py:1)": 0.25})
    assert profile.total["run (a.py:1)"] == pytest.approx(1.0)


def test_a_process_that_only_waits_has_an_empty_profile():
    assert profile_of(["run (a.py:1);Condition.wait (threading.py:3) 9"], 1.0).total == {}


def test_a_table_is_markdown():
    section = Section("Title", ["Text.", Table(["what", "ms"], [["ours", "2"]])])

    assert str(section) == "## Title\n\nText.\n\n| what | ms |\n| --- | ---: |\n| ours | 2 |"


def test_the_seed_service_lists_three_items_per_category_while_others_are_left():
    item = {"avg_rating": None, "popularity": 0.9}
    items = [{**item, "category": category} for category in "aaaabb"]
    scores = np.array([6, 5, 4, 3, 2, 1], np.float32)

    assert [each["item_id"] for each in ranked("uvwxyz", scores, items, 4)] == ["u", "v", "w", "y"]
    everything = ranked("uvwxyz", scores, items, 6)
    assert [each["item_id"] for each in everything] == ["u", "v", "w", "y", "z", "x"]


def test_the_cap_over_a_pool_gives_the_list_of_the_seed_service():
    pool = [
        {"item_id": name, "score": score, "metadata": {"category": category}}
        for name, score, category in zip("uvwxyz", range(6), "bbaaaa", strict=True)
    ]

    assert [each["item_id"] for each in capped(pool, 4)] == ["z", "y", "x", "v"]


def test_answers_are_equal_up_to_ties():
    def answer(*pairs):
        return [{"item_id": name, "score": score} for name, score in pairs]

    some = answer(("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.1))

    assert are_same(some, answer(("a", 0.9), ("c", 0.5), ("b", 0.5), ("d", 0.1)))
    assert not are_same(some, answer(("x", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.1)))
    assert not are_same(some, answer(("a", 0.8), ("b", 0.5), ("c", 0.5), ("d", 0.1)))
    assert not are_same(some, some[:3])


def test_the_naive_graph_sends_each_request_alone_and_without_tuned_options():
    config = load_yaml(CONFIG)

    one_at_a_time(config)

    [application] = config["applications"]
    assert application["args"]["coalescing"]["max_batch"] == 1
    for deployment in application["deployments"]:
        assert deployment.keys() <= {"name", "user_config", "ray_actor_options", "num_replicas"}


def test_every_load_names_an_existing_service():
    assert {load.service for load in LOADS.values()} == set(SERVICES)
    assert len(set(PARTS)) == len(PARTS)


def test_the_command_in_a_report_names_no_folder_of_this_machine():
    arguments = ["--retail", "/data/shop/retail.parquet", "--out=/a/RESULTS.md", "benchmarks/B.md"]

    command = command_of("benchmarks.quality", arguments)

    assert command == (
        "python -m benchmarks.quality --retail retail.parquet --out=RESULTS.md benchmarks/B.md"
    )


def test_sigterm_stops_the_processes_that_a_benchmark_started():
    code = (
        "from benchmarks.stopping import exit_on_sigterm\n"
        "import signal\n"
        "exit_on_sigterm()\n"
        "try:\n"
        "    print('started', flush=True)\n"
        "    signal.pause()\n"
        "finally:\n"
        "    print('stopped', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT
    ) as benchmark:
        assert benchmark.stdout.readline() == b"started\n"
        benchmark.terminate()
        assert benchmark.stdout.read() == b"stopped\n"
    assert benchmark.returncode == 128 + signal.SIGTERM
