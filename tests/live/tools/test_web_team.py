"""One team's web tools over real loopback HTTP, against the offline world as a website."""

import asyncio
import io
import zipfile
from dataclasses import replace

import pytest

from lts_jax.live.tools.converter import Converter
from lts_jax.live.tools.fetch import Fetched, FetchFailure, FetchSettings
from lts_jax.live.tools.kit import LiveTools, ToolSettings
from lts_jax.live.tools.page_text import PageText
from lts_jax.live.tools.pages import PageSettings, PageTools
from lts_jax.live.tools.sandbox_settings import UNSANDBOXED, SandboxSettings
from lts_jax.live.tools.search import SearchSettings
from lts_jax.records import ToolResult
from lts_jax.tasks.almanac import AlmanacTools, build_almanac
from lts_jax.tasks.almanac.website import WorldSite

REASON = "needs markitdown, of the extra `web`"
ALMANAC = build_almanac(0)
PAGE = next(page for page in ALMANAC.pages.values() if "See also" in page.text and not page.refusal)
LONG = next(page for page in ALMANAC.pages.values() if len(page.text) > 12_000 and not page.refusal)
TABLE = next(
    page for page in ALMANAC.pages.values() if "| " in page.text and "Next page" in page.text and not page.refusal
)


def packed(*names):
    """An archive of empty members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file.getvalue()


@pytest.fixture(scope="module")
def site():
    with WorldSite(ALMANAC) as running:
        yield running


def settings(**changed):
    local = FetchSettings(allowed_networks=("127.0.0.0/8",), ports=())
    return ToolSettings(**({"fetch": local} | changed))


def use(chosen, *calls, teams=1):
    """Make the calls (tool, arguments) in order, as one team; with more teams, each call is (team, tool, arguments)."""

    async def run():
        tools = LiveTools(chosen)
        opened = [tools.open() for _ in range(teams)]
        try:
            return [await opened[call[0] if teams > 1 else 0](*call[-2:]) for call in calls]
        finally:
            await tools.aclose()

    return asyncio.run(run())


def visit(url, **arguments):
    return "visit_url", {"url": url, **arguments}


def words(text):
    return set(text.replace("|", " ").split())


def test_a_page_is_what_the_offline_tool_shows(site):
    pytest.importorskip("markitdown", reason=REASON)
    address = site.url_of(TABLE.url)
    (seen,) = use(settings(), visit(address))
    assert (seen.failed, seen.tool, seen.source) == (False, "visit_url", address) and seen.seconds > 0
    assert seen.text.split("\n")[:2] == [TABLE.title, f"<{address}>"]
    offline = AlmanacTools(ALMANAC).visit_url(TABLE.url).text
    rows = [line for line in offline.split("\n") if line.startswith("| ")]
    assert len(rows) > 5 and all(row in seen.text for row in rows)


def test_windows_links_back_and_find(site):
    pytest.importorskip("markitdown", reason=REASON)
    wanted = PAGE.text[PAGE.text.index("See also: ") :].split("\n")[0].split(": ")[1].split(" <")[0]
    first, sent, back, found, other = use(
        settings(pages=PageSettings(window_characters=100_000)),
        visit(site.url_of(PAGE.url)),
        visit("L1"),
        visit("back"),
        ("find_on_page", {"text": "SEE ALSO"}),
        ("find_on_page", {"url": site.url_of(LONG.url), "text": LONG.text.split("\n")[3][:30]}),
    )
    assert f"{wanted} [L1]" in first.text and "\nL1 <http://127.0.0.1:" in first.text
    assert not sent.failed and sent.text.startswith(f"{wanted}\n<")
    assert back.text == first.text
    assert f"(viewport 1) See also: {wanted} [L1]" in found.text and found.source == site.url_of(PAGE.url)
    assert not other.failed and other.source == site.url_of(LONG.url)


def test_paging_reads_the_whole_page(site):
    pytest.importorskip("markitdown", reason=REASON)
    address = site.url_of(LONG.url)
    results = use(settings(), *(visit(address, page=number) for number in ("1", 2, 3, 4, 5, 6, 7, "x", 0, 99)))
    windows = [result for result in results if not result.failed]
    assert 4 <= len(windows) <= 7 and all(len(result.text) < 4_000 for result in windows)
    assert f"[viewport 2 of {len(windows)}]" in windows[1].text
    assert words(LONG.text.partition("\n\n")[2]) - words("".join(result.text for result in windows)) <= {"See", "also:"}
    assert "There is no viewport 99" in results[-1].text and results[-1].failed


def test_the_current_page_is_not_asked_for_again():
    pytest.importorskip("markitdown", reason=REASON)
    asked = []

    async def load(url, form):
        asked.append(url)
        return Fetched(url, "text/html", "", b"<p>one</p><p>two</p>", "", 0.0, (url,), "")

    async def run():
        converter = Converter()
        pages = PageTools(load, converter)
        for url in ("a.example/b", "https://a.example/b/", "https://a.example/b#c", "", None, "https://a.example/d"):
            await pages.visit_url(url)
        await pages.find_on_page("https://a.example/d", "one")
        await pages.find_on_page("", "one")
        await converter.aclose()

    asyncio.run(run())
    assert asked == ["https://a.example/b", "https://a.example/d"]


def test_forms(site):
    pytest.importorskip("markitdown", reason=REASON)
    home, looked, wrong, missing, searched, none = use(
        settings(),
        visit(site.base_url),
        visit(site.base_url, form=2, fields={"title": PAGE.title}),
        visit(site.base_url + "/", form=2, fields={"name": PAGE.title}),
        visit("", form=3),
        visit(site.base_url + "/", form="form 1", fields={"q": PAGE.title}),
        ("visit_url", {"url": site.base_url + "/", "form": 1, "fields": "q=1"}),
    )
    assert "[form 1: q (search)]" in home.text and "[form 2: title (text)]" in home.text
    assert looked.source == site.url_of(PAGE.url) and looked.text.startswith(PAGE.title)
    assert wrong.failed and "the form has no field 'name', only title" in wrong.text
    assert missing.failed and "form must be the number of a form" in missing.text
    assert not searched.failed and PAGE.title in searched.text and "/search?q=" in searched.source
    assert none.failed and "fields must be an object" in none.text


def test_files_are_read_from_the_web(site):
    name, text = next((name, text) for name, text in ALMANAC.files.items() if name.endswith(".csv"))
    (seen,) = use(settings(), visit(f"{site.base_url}/files/{name}"))
    assert not seen.failed and text.strip()[:2_000] in seen.text and "| text/csv" in seen.text


@pytest.mark.parametrize(
    ("url", "kind", "body", "suffix", "text"),
    [
        ("http://a.example/x", "application/pdf", b"%PDF", ".pdf", "read"),
        ("http://a.example/x.docx?y=1", "application/octet-stream", b"PK", ".docx", "read"),
        ("http://a.example/x.pdf", "", b"%PDF", ".pdf", "read"),
        (
            "http://a.example/x",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            b"PK",
            ".xlsx",
            "read",
        ),
        ("http://a.example/x", "image/png", b"\x89PNG", ".png", "read"),
        ("http://a.example/x.json", "application/json", b"[1]", None, "[1]"),
        ("http://a.example/x", "application/ld+json", b"[2]", None, "[2]"),
        ("http://a.example/x.py", "text/x-python", b"caf\xe9", None, "caf\u00e9"),
        ("http://a.example/x", "text/plain", b"<p>as it stands</p>", None, "<p>as it stands</p>"),
    ],
)
def test_each_kind_of_content_goes_to_its_reader(url, kind, body, suffix, text):
    names = []

    async def load(url, form):
        return Fetched(url, kind, "", body, "", 0.0, (url,), "")

    async def read_file(content, name):
        names.append(name)
        return "read"

    result = asyncio.run(PageTools(load, Converter(), read_file=read_file).visit_url(url))
    assert not result.failed and result.text.endswith(f"\n\n{text}")
    assert names == ([] if suffix is None else [f"document{suffix}"])


@pytest.mark.parametrize(
    ("kind", "body", "file_name", "wanted"),
    [
        ("text/html", b"%PDF-1.4\n", "", "document.pdf"),
        ("text/plain", b"%PDF-1.4\n", "x.txt", "document.pdf"),
        ("application/x-pdf", b"%PDF-1.4\n", "", "document.pdf"),
        ("", b"\x89PNG\r\n\x1a\n", "", "document.png"),
        ("application/vnd.ms-excel", packed("[Content_Types].xml", "xl/workbook.xml"), "", "document.xlsx"),
        ("application/octet-stream", b"\x00\x01", "table.parquet", "document.parquet"),
        ("text/plain", b"\x00\x01", "", "document"),
        ("application/force-download", b"<b>no</b> page", "notes.md", "document.md"),
        ("application/octet-stream", b"<!-- saved --><html><p>x</p></html>", "", "a page"),
        ("", b"<body><p>x</p></body>", "", "a page"),
        ("application/x-unknown", b"<p>x</p>", "", "a page"),
        ("application/octet-stream", b"x", "x.HTML", "a page"),
        ("text/plain", b"<!doctype html><p>x</p>", "", "a page"),
        ("application/xml", b"<?xml version='1.0'?><html xmlns='x'></html>", "", "a page"),
        ("application/xml", b"<?xml version='1.0'?><rss></rss>", "", "a text"),
        ("text/plain", b"<p>as it stands</p>", "", "a text"),
        ("text/css", b"<!doctype html>", "", "a text"),
        ("text/html", b"town,pools\nUlm,7\n", "", "a text"),
        ("text/html", b"", "", "a text"),
        ("application/pdf", b"<html><body>Sign in</body></html>", "", "a page"),
        ("application/pdf", b"<p>x</p>", "", "document.pdf"),
    ],
)
def test_what_arrives_is_what_its_first_bytes_say(kind, body, file_name, wanted):
    read = []

    class Pages:
        async def convert(self, body, *, url, charset=""):
            read.append("a page")
            return PageText(url, "", "text")

    async def load(url, form):
        return Fetched(url, kind, "", body, "", 0.0, (url,), "", 200, file_name)

    async def read_file(content, name):
        read.append(name)
        return "text"

    result = asyncio.run(PageTools(load, Pages(), read_file=read_file).visit_url("http://a.example/x"))
    assert not result.failed and (read or ["a text"]) == [wanted]


def test_a_browser_is_tried_where_a_plain_client_is_kept_out():
    pytest.importorskip("markitdown", reason=REASON)
    failures = {
        "kept": FetchFailure("403 Forbidden", "status", "", 0.0, 403),
        "circle": FetchFailure("round in a circle", "redirect", "", 0.0),
        "gone": FetchFailure("404 Not Found", "status", "", 0.0, 404),
        "private": FetchFailure("not public", "refused", "", 0.0),
    }
    rendered = []

    async def load(url, form):
        return failures[url.rpartition("/")[2]]

    async def render(url, form):
        rendered.append(url.rpartition("/")[2])
        if rendered[-1] == "circle":
            return FetchFailure("the browser cannot run", "refused", url, 0.0)
        return Fetched(url, "text/html", "", b"<p>let in</p>", "", 0.0, (url,), "")

    async def run():
        converter = Converter()
        pages = PageTools(load, converter, render=render)
        results = [await pages.visit_url(f"http://x.example/{name}") for name in failures]
        await converter.aclose()
        return results

    kept, circle, gone, private = asyncio.run(run())
    assert rendered == ["kept", "circle"] and "let in" in kept.text
    assert circle.text.startswith("round in a circle") and gone.failed and private.failed


def test_a_file_that_cannot_be_read_is_a_failed_result(site):
    async def load(url, form):
        return Fetched(url, "application/pdf", "", b"nonsense", "", 0.0, (url,), "")

    result = asyncio.run(PageTools(load, Converter()).visit_url("http://a.example/x"))
    assert result.failed and result.text.startswith("the file cannot be read: ")


def test_what_goes_wrong_is_a_failed_result_of_one_or_two_lines(site):
    refusing = next(page for page in ALMANAC.pages.values() if page.refusal.startswith("403"))
    calls = [
        visit(site.url_of(refusing.url)),
        visit(site.base_url + "/nowhere.example/"),
        visit("L7"),
        visit("back"),
        visit(""),
        visit("file:///etc/passwd"),
        visit("http://10.0.0.1/"),
        visit("http://169.254.169.254/latest/meta-data"),
        visit(None),
        visit({"a": 1}),
        visit([]),
        ("find_on_page", {}),
        ("web_search", {}),
        ("open_door", {}),
    ]
    results = use(settings(search=SearchSettings(endpoint=f"{site.base_url}/search")), *calls)
    for result in results:
        assert isinstance(result, ToolResult) and result.failed and result.text.count("\n") <= 1, result
    shown = [result.text.split("\n")[0] for result in results]
    assert shown[:2] == ["403 Forbidden", "404 Not Found"] and results[0].source == site.url_of(refusing.url)
    assert shown[3:5] == ["there is no page to go back to", "url is missing, and no page was visited yet"]
    assert "expected an http or https URL" in shown[5] and "(private)" in shown[6] and "(link-local)" in shown[7]


def test_teams_have_pages_of_their_own(site):
    pytest.importorskip("markitdown", reason=REASON)
    first, second, third = use(
        settings(),
        (0, *visit(site.url_of(PAGE.url))),
        (1, "find_on_page", {"text": "the"}),
        (0, "find_on_page", {"text": "the"}),
        teams=2,
    )
    assert not first.failed and second.failed and "no page was visited yet" in second.text and not third.failed


def test_files_and_programs_are_among_the_tools(tmp_path):
    (tmp_path / "a.csv").write_text("town,price\nBrintmere,12\n")

    async def run():
        tools = LiveTools(ToolSettings(sandbox=SandboxSettings(run_unsandboxed=UNSANDBOXED)))
        team, without = tools.open(tmp_path), tools.open()
        calls = [("list_files", {}), ("open_file", {"name": "a.csv"}), ("run_python", {"code": "print(6 * 7)"})]
        results = [await team(*call) for call in calls]
        return [*results, await without("open_file", {"name": "a.csv"}), await without("list_files", {})]

    listed, opened, ran, *none = asyncio.run(run())
    assert "a.csv" in listed.text and "Brintmere" in opened.text and opened.source == "a.csv"
    assert (ran.text.strip(), ran.failed, ran.tool) == ("42", False, "run_python")
    assert all(result.failed for result in none)


def test_many_teams_at_once_each_see_their_own_page(site):
    pytest.importorskip("markitdown", reason=REASON)
    pages = [page for page in ALMANAC.pages.values() if not page.refusal][:24]

    async def run():
        tools = LiveTools(settings())
        teams = [tools.open() for _ in pages]
        try:
            await asyncio.gather(
                *(team(*visit(site.url_of(page.url))) for team, page in zip(teams, pages, strict=True))
            )
            return await asyncio.gather(*(team("visit_url", {"page": 1}) for team in teams))
        finally:
            await tools.aclose()

    results = asyncio.run(run())
    assert [result.text.split("\n")[0] for result in results] == [page.title for page in pages]


def test_web_calls_of_a_team_are_counted(site):
    chosen = settings(max_web_calls=2)
    results = use(chosen, *[(team, *visit("back")) for team in (0, 0, 0, 1)], teams=2)
    assert ["has made its 2 web calls" in result.text for result in results] == [False, False, True, False]


def test_search_over_http_finds_what_the_offline_search_finds(site):
    local = SearchSettings(endpoint=f"{site.base_url}/search")
    (found,) = use(settings(search=local), ("web_search", {"query": PAGE.title}))
    (offline,) = use(settings(), ("web_search", {"query": PAGE.title}))
    assert not found.failed and found.text == offline.text.replace("<https://", f"<{site.base_url}/")
    few = replace(local, num_results=2, snippet_characters=20)
    (short,) = use(settings(search=few), ("web_search", {"query": PAGE.title}))
    assert len(short.text.split("\n")) == 7 and short.text.endswith("...")


def test_without_an_endpoint_the_offline_world_answers_for_its_own_hosts():
    offline = AlmanacTools(ALMANAC)
    seen, found, none = use(
        settings(),
        visit(PAGE.url, page="1"),
        ("find_on_page", {"url": PAGE.url, "text": "See"}),
        visit("https://a.example"),
    )
    assert (seen.text, seen.source) == (offline.visit_url(PAGE.url).text, PAGE.url)
    assert found.text == offline.find_on_page(PAGE.url, "See").text and none.failed


def test_scripts_are_run_only_where_a_page_says_little_without_them():
    pytest.importorskip("markitdown", reason=REASON)
    bodies = {
        "a": b"<p>hi</p><script>x</script>",
        "b": b"<p>" + b"word " * 50 + b"</p><SCRIPT>x</SCRIPT>",
        "c": b"<p>hi</p>",
    }
    rendered = []

    async def load(url, form):
        return Fetched(url, "text/html", "", bodies[url[-1]], "", 0.0, (url,), "")

    async def render(url, form):
        rendered.append(url)
        return Fetched(url, "text/html", "", b"<p>after scripts</p>", "", 0.0, (url,), "")

    async def run():
        converter = Converter()
        pages = PageTools(load, converter, render=render)
        results = [await pages.visit_url(f"http://x.example/{name}") for name in bodies]
        await converter.aclose()
        return results

    scripted, wordy, plain = asyncio.run(run())
    assert rendered == ["http://x.example/a"] and "after scripts" in scripted.text
    assert "word word" in wordy.text and plain.text.endswith("hi")
