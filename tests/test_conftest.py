"""What tests may rely on when something is missing, or when a page complains."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
CONFTEST = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")


@pytest.fixture
def elsewhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a project with our conftest and without the data folder."""
    monkeypatch.setenv("COMASK_SHARED", str(pytester.path / "nowhere"))
    pytester.makeconftest(CONFTEST)
    return pytester


def test_without_the_data_a_test_skips_and_says_where_it_looked(
    elsewhere: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    elsewhere.makepyfile("def test_it(shared_data): pass")
    done = elsewhere.runpytest("-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*nowhere (COMASK_SHARED names another)*"])


def test_without_the_data_ci_fails(
    elsewhere: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    elsewhere.makepyfile("def test_it(shared_data): pass")
    elsewhere.runpytest().assert_outcomes(errors=1)


@pytest.mark.browser
@pytest.mark.parametrize(
    "script", ["console.error('no')", "throw new Error('no')", "fetch('http://192.0.2.1/')"]
)
def test_a_page_that_complains_or_asks_another_machine_fails(
    elsewhere: pytest.Pytester, script: str
) -> None:
    elsewhere.makepyfile(
        f'''
        def test_it(page):
            page.set_content("""<p>ready</p><script>{script}</script>""")
            page.wait_for_timeout(200)
        '''
    )
    elsewhere.runpytest_subprocess().assert_outcomes(passed=1, errors=1)


@pytest.mark.browser
def test_a_quiet_page_passes(elsewhere: pytest.Pytester) -> None:
    elsewhere.makepyfile('def test_it(page): page.set_content("<p>ready</p>")')
    elsewhere.runpytest_subprocess().assert_outcomes(passed=1)
