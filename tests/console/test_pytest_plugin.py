"""The plugin in the small projects of users: its fixture is there, does what the marker says, and costs no start-up."""

import subprocess
import sys
from typing import Final

import pytest

from headrace.jobs.errors import JobsError
from headrace.jobs.testing import marked_tester

WORKERS: Final = """
    from headrace.jobs import worker

    SENT = []

    @worker(queue="mail")
    async def send(to: str) -> str:
        SENT.append(to)
        return f"sent to {to}"

    @worker
    def fail(why: str) -> None:
        raise LookupError(why)
"""

SETTINGS: Final = """
    [pytest]
    filterwarnings =
        error
        ignore:.*_editable_impl_headrace:pytest.PytestAssertRewriteWarning
    asyncio_default_fixture_loop_scope = function
    addopts = --strict-markers --strict-config -p no:cacheprovider
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with workers in `shop.py`, which its tests are told of."""
    pytester.makepyfile(shop=WORKERS)
    pytester.makefile(".ini", pytest=f"{SETTINGS}    headrace_jobs_modules = shop\n")
    return pytester


def passed(project: pytest.Pytester, count: int, *options: str, **tests: str) -> None:
    """Run the tests of files, and have so many pass and none fail."""
    project.makepyfile(**tests)
    project.runpytest_subprocess(*options).assert_outcomes(passed=count)


def test_tests_that_are_no_coroutines_look_and_run(project: pytest.Pytester) -> None:
    passed(
        project,
        4,
        test_shop="""
            import pytest
            import shop

            def test_kept(headrace_jobs):
                shop.send.enqueue_sync("ann")
                job = headrace_jobs.assert_enqueued(shop.send, args={"to": "ann"}, queue="mail")
                assert job.state == "available"
                assert headrace_jobs.drain_queue_sync("mail").completed == 1
                headrace_jobs.refute_enqueued(shop.send)
                assert shop.SENT == ["ann"]

            def test_each_test_begins_with_no_jobs(headrace_jobs):
                assert headrace_jobs.all_enqueued() == []

            def test_performed(headrace_jobs):
                assert headrace_jobs.perform_job_sync(shop.send, "bob") == "sent to bob"

            @pytest.mark.headrace_jobs(mode="inline")
            def test_inline(headrace_jobs):
                with pytest.raises(LookupError, match="no luck"):
                    shop.fail.enqueue_sync("no luck")
        """,
    )


@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_coroutines_look_and_run_under_either_plugin(project: pytest.Pytester, mark: str) -> None:
    passed(
        project,
        3,
        test_shop=f"""
            import asyncio
            import pytest
            import shop

            pytestmark = pytest.mark.{mark}

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            async def test_scheduled(headrace_jobs, headrace_jobs_clock):
                await shop.send.schedule_in(60, "ann")
                headrace_jobs.assert_enqueued(shop.send, scheduled_in_seconds=60)
                assert (await headrace_jobs.drain_queue("mail")).total == 0
                headrace_jobs_clock.move(60)
                assert (await headrace_jobs.drain_queue("mail")).completed == 1

            async def test_performed(headrace_jobs):
                assert await headrace_jobs.perform_job(shop.send, to="bob") == "sent to bob"

            @pytest.mark.headrace_jobs(mode="inline")
            async def test_inline(headrace_jobs):
                loop = asyncio.get_running_loop()
                handle = await shop.send.enqueue("cid")
                assert (await handle.job()).state == "completed"
                assert shop.SENT[-1] == "cid"
                with pytest.raises(LookupError):
                    await shop.fail.enqueue("x")
        """,
    )


def test_the_nearest_marker_says_whose_jobs_there_are_and_what_is_done_with_them(project: pytest.Pytester) -> None:
    passed(
        project,
        2,
        "-o",
        "headrace_jobs_mode=inline",
        test_own="""
            import pytest
            from headrace.jobs import worker

            @worker
            async def own() -> None: ...

            pytestmark = pytest.mark.headrace_jobs(workers=[own])

            def test_of_the_module(headrace_jobs):
                assert headrace_jobs.mode == "inline"
                own.enqueue_sync()
                headrace_jobs.refute_enqueued(own)

            @pytest.mark.headrace_jobs(mode="manual")
            def test_of_the_function(headrace_jobs):
                own.enqueue_sync()
                headrace_jobs.assert_enqueued(own)
                assert list(headrace_jobs.jobs.catalogue) == [own]
        """,
    )


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        ("mod='inline'", "the marker headrace_jobs has the unknown keyword mod=: did you mean mode=?"),
        ("'inline'", "the marker headrace_jobs has the argument 'inline' without a keyword"),
        (
            "mode='fake', modules=['tests.fakes.shop_workers']",
            "the mode of the jobs of a test is 'fake': use inline or manual",
        ),
        ("modules='shop'", "the marker headrace_jobs has the modules 'shop': hand in a list"),
        ("workers=['shop.send']", "the marker headrace_jobs has 'shop.send' among its workers"),
        ("modules=['shpo']", "the module 'shpo' of workers cannot be found"),
        ("settings={}", "the marker headrace_jobs has the settings {}: hand in a JobsSettings"),
        ("modules=[]", "no worker is listed whose jobs the test could have: set headrace_jobs_modules"),
    ],
)
def test_a_marker_that_says_what_it_must_not_is_refused(marker: str, sentence: str) -> None:
    mark = eval(f"pytest.mark.headrace_jobs({marker})", {"pytest": pytest})  # noqa: S307 - a few words of our own
    with pytest.raises(JobsError) as refused:
        marked_tester([(mark.mark.args, mark.mark.kwargs)])
    assert str(refused.value).startswith(sentence)


def test_a_failure_shows_the_nearest_jobs_and_not_our_own_code(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_shop="""
            import shop

            def test_fails(headrace_jobs):
                shop.send.enqueue_sync("ann")
                headrace_jobs.assert_enqueued(shop.send, args={"to": "bob"})
        """
    )
    shown = project.runpytest_subprocess()
    shown.assert_outcomes(failed=1)
    shown.stdout.fnmatch_lines(
        [
            ">       headrace_jobs.assert_enqueued(*",
            "E       AssertionError: no job is enqueued that fits: worker shop.send, args {'to': 'bob'}",
            "E       1 is enqueued, nearest first:",
            "E           job 1 shop.send in queue mail, available, args {'to': 'ann'}: args.to is 'ann'",
            "test_shop.py:5: AssertionError",
        ]
    )
    assert "__tracebackhide__" not in shown.stdout.str()


def test_a_project_without_jobs_loads_none_of_us(pytester: pytest.Pytester) -> None:
    pytester.makefile(".ini", pytest=SETTINGS)
    passed(
        pytester,
        1,
        test_nothing="""
            import sys

            def test_nothing():
                ours = [name for name in sys.modules if name.startswith("headrace.")]
                assert ours == ["headrace.lazy", "headrace.console", "headrace.console.pytest_plugin"]
        """,
    )


def test_the_plugin_imports_nothing_but_pytest() -> None:
    code = """if True:
        import sys, pytest
        before = set(sys.modules)
        import headrace.console.pytest_plugin
        print(sorted(set(sys.modules) - before))
    """
    shown = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "['headrace', 'headrace.console', 'headrace.console.pytest_plugin', 'headrace.lazy']"


def test_the_words_of_the_plugin_are_explained(project: pytest.Pytester) -> None:
    project.makepyfile(test_none="")
    assert "headrace_jobs_modules (args):" in project.runpytest_subprocess("--help").stdout.str()
    assert (
        "headrace_jobs(mode=, modules=, workers=, settings=)" in project.runpytest_subprocess("--markers").stdout.str()
    )
    assert "headrace_jobs_clock" in project.runpytest_subprocess("--fixtures").stdout.str()
