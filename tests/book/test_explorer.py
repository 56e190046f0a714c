"""The Explorer in a browser, from disk: what it retrieves, and whether everyone can use it."""

import contextlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from built_pages import PAGES, ROOT
from numpy.typing import NDArray
from safetensors.numpy import load_file

from cxr_mtl.retrieval.embeddings import embeddings_file

PAGE = PAGES / "book/11_explorer.html"

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason="no built page of the Explorer: `make book` builds it"
)

GO = "fragment => { location.hash = new URLSearchParams(fragment).toString(); }"
LISTEN = """() => {
    window.taken = false;
    addEventListener("hashchange", () => setTimeout(() => { taken = true; }), {once: true});
}"""


@contextlib.contextmanager
def another_view(page: Any) -> Iterator[None]:
    """What is done inside changes the view; afterwards the page has drawn it."""
    page.evaluate(LISTEN)
    yield
    page.wait_for_function("window.taken")


@pytest.fixture
def page(browser) -> Iterator[Any]:
    yield from opened(browser)


@pytest.fixture(scope="module")
def typing_page(browser) -> Iterator[Any]:
    """One page for all typed reports: its model loads once, in seconds."""
    for page in opened(browser):
        if page.get_attribute("#cxr-explorer", "data-runtime") != "present":
            pytest.skip("the book was built without onnxruntime-web: npm brings it")
        yield page


def opened(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(PAGE.as_uri())
    page.wait_for_selector("#cxr-explorer[data-ready]")
    yield page
    page.close()
    assert complaints == []


def bundle(page: Any) -> dict[str, Any]:
    """What the page knows, without the vectors."""
    return page.evaluate(
        """(({studies, models, run, textTower, examples}) => ({
            studies, run, examples,
            context: textTower?.context,
            models: models.map(({key, name}) => ({key, name})),
        }))(CXR_EXPLORER)"""
    )


def vectors(run: str, model: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Image and report embeddings of the run's test studies, [n, d], L2-normalised."""
    stored = load_file(embeddings_file(ROOT / "runs" / run / "embeddings", model))
    image, text = (stored[kind].astype(np.float64) for kind in ("image", "text"))
    return unit(image), unit(text)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def shown(page: Any) -> list[str]:
    """The numbers of the retrieved studies, best first."""
    return page.locator(".cxr-result").evaluate_all("items => items.map(i => i.dataset.study)")


def go(page: Any, **state: object) -> None:
    with another_view(page):
        page.evaluate(GO, {name: str(value) for name, value in state.items()})


def type_report(page: Any, text: str) -> None:
    page.get_by_role("radio", name="a report you type").check()
    page.get_by_label("Your report").fill(text)
    page.evaluate("document.querySelector('.cxr-summary').replaceChildren()")
    page.get_by_role("button", name="Retrieve").click()
    page.wait_for_selector(".cxr-summary:has-text('for your report')", timeout=60_000)


def scores(run: str, model: str, query: str, protocol: str, row: int) -> NDArray[np.float64]:
    image, text = vectors(run, model)
    asked, other = (image, text) if query == "image" else (text, image)
    return (unit(image + text) if protocol == "fused" else other) @ asked[row]


@pytest.mark.parametrize("protocol", ["cross_modal", "fused"])
def test_order_rank_and_precision_are_those_of_brute_force(page, protocol):
    data = bundle(page)
    labels = np.array([study["label"] for study in data["studies"]])
    numbers = [study["study"] for study in data["studies"]]
    models = [data["models"][i]["key"] for i in (0, -1)]
    for query, key, row in product(("image", "report"), models, (0, 7, len(numbers) - 1)):
        go(page, study=numbers[row], query=query, model=key, protocol=protocol, k=20)
        expected = scores(data["run"], key, query, protocol, row)
        found = [numbers.index(number) for number in shown(page)]
        assert len(set(found)) == 20
        # Compared by score: float32 may swap studies that are level.
        np.testing.assert_allclose(expected[found], np.sort(expected)[::-1][:20], atol=1e-6)
        text = page.locator(".cxr-summary").inner_text()
        rank = int(text.split("Own study: rank ")[1].split()[0])
        assert (expected > expected[row] + 1e-6).sum() < rank
        assert rank <= (expected > expected[row] - 1e-6).sum()
        precision = np.mean(labels[found] == labels[row])
        assert f"Precision among the 20: {precision:.3f}" in text
        all_scores = [scores(data["run"], key, query, protocol, i) for i in range(len(numbers))]
        ranks = [(row > row[i] + 1e-6).sum() + 1 for i, row in enumerate(all_scores)]
        assert f"Median over all queries: {np.median(ranks):g}." in text


def test_an_image_finds_reports_each_marked_as_own_study_or_by_its_label(page):
    data = bundle(page)
    key = data["models"][0]["key"]
    labels = {study["study"]: study["label"] for study in data["studies"]}
    found_itself = (
        row
        for row in range(24)
        if row in np.argsort(scores(data["run"], key, "image", "cross_modal", row))[-20:]
    )
    own = data["studies"][next(found_itself)]["study"]
    with another_view(page):
        page.get_by_role("button", name=f"Study {own},").click()
    with another_view(page):
        page.locator("select[name=k]").select_option("20")
    for item in page.locator(".cxr-result").all():
        study = item.get_attribute("data-study")
        by_label = "○ same label" if labels[study] == labels[own] else "✗ other label"
        expected = "✓ own study" if study == own else by_label
        assert item.locator(".cxr-verdict").inner_text() == expected
    assert page.locator(".cxr-verdict.cxr-own").count() == 1


def test_reports_stand_in_the_results_word_for_word(page):
    reports = {study["study"]: study["report"] for study in bundle(page)["studies"]}
    items = page.locator(".cxr-result")
    assert items.locator(".cxr-report").all_text_contents() == [reports[s] for s in shown(page)]


@pytest.mark.parametrize("query", ["image", "report"])
def test_within_one_modality_the_query_itself_is_left_out(page, query):
    data = bundle(page)
    number = data["studies"][3]["study"]
    go(page, study=number, query=query, protocol="within", k=20)
    assert number not in shown(page)
    summary = page.locator(".cxr-summary").inner_text()
    assert f"among {len(data['studies']) - 1} {query}s" in summary
    assert "Own study: left out" in summary


def test_another_model_gives_other_results(page):
    before = shown(page)
    name = bundle(page)["models"][-1]["name"]
    with another_view(page):
        page.get_by_label("Model").select_option(name)
    assert shown(page) != before


def test_typed_reports_get_the_ids_and_embeddings_of_the_python_model(typing_page):
    examples = bundle(typing_page)["examples"]
    assert len(examples) == 50
    found = typing_page.evaluate(
        """async () => {
            const {textTower, examples} = CXR_EXPLORER;
            const encode = CxrExplorer.tokenizer(textTower);
            const folder = document.getElementById("cxr-explorer").dataset.root;
            const embed = await CxrExplorer.openTower(folder, textTower, () => {});
            const rows = [];
            for (const {text} of examples) {
                const {ids} = encode(text);
                rows.push({ids, embedding: Array.from(await embed(ids))});
            }
            return rows;
        }"""
    )
    for ours, example in zip(found, examples, strict=True):
        assert ours["ids"] == example["ids"]
        np.testing.assert_allclose(ours["embedding"], example["embedding"], atol=1e-3)


def test_typed_reports_find_the_images_that_the_python_model_finds(typing_page):
    data = bundle(typing_page)
    images, _ = vectors(data["run"], "fine_tuned")
    place = {entry["study"]: row for row, entry in enumerate(data["studies"])}
    for example in data["examples"]:
        type_report(typing_page, example["text"])
        found = shown(typing_page)[:5]
        scores = images @ np.array(example["embedding"])
        ours, python = ([scores[place[s]] for s in top] for top in (found, example["top"]))
        # Two studies may change places where rounding alone parts their scores.
        np.testing.assert_allclose(ours, python, atol=5e-4, err_msg=example["text"])
    # A typed report has no label to compare with.
    assert typing_page.locator(".cxr-verdict").count() == 0


def test_only_the_fine_tuned_model_reads_typed_reports_and_the_page_says_so(typing_page):
    names = [model["name"] for model in bundle(typing_page)["models"]]
    type_report(typing_page, "right pleural effusion")
    with another_view(typing_page):
        typing_page.get_by_label("Model").select_option(names[-1])
    told = typing_page.locator(".cxr-message:not(:empty)").inner_text()
    assert f"Only the model {names[0]} reads typed reports" in told
    assert shown(typing_page) == []
    typing_page.get_by_label("Model").select_option(names[0])
    typing_page.wait_for_selector(".cxr-result")


def test_words_the_model_does_not_know_and_texts_that_are_cut_are_told(typing_page):
    type_report(typing_page, "effusion ☃Ж")
    told = typing_page.locator(".cxr-message:not(:empty)").inner_text()
    assert "nothing of it was read: ☃Ж." in told
    context = bundle(typing_page)["context"]
    type_report(typing_page, "lungs " * context)
    told = typing_page.locator(".cxr-message:not(:empty)").inner_text()
    assert f"Read {context} of {context + 2} tokens" in told


def test_markup_in_a_report_or_in_typed_text_stays_text(browser):
    markup = "<img src=x onerror='window.ran = 1'></script><script>window.ran = 1</script>"
    page = browser.new_page()
    page.add_init_script(
        """(markup => Object.defineProperty(window, "CXR_EXPLORER", {
            configurable: true,
            set(data) {
                for (const study of data.studies) study.report = markup;
                Object.defineProperty(window, "CXR_EXPLORER", {value: data});
            },
        }))"""
        + f'("{markup}")'.replace("</", "<\\/")
    )
    page.goto(PAGE.as_uri())
    page.wait_for_selector(".cxr-result")
    assert page.locator(".cxr-result .cxr-report").first.text_content() == markup
    if page.get_attribute("#cxr-explorer", "data-runtime") == "present":
        type_report(page, markup)
        assert page.get_by_label("Your report").input_value() == markup
    assert page.locator("#cxr-explorer img, #cxr-explorer script").count() == 0
    assert page.evaluate("window.ran") is None
    page.close()


def test_a_view_can_be_linked_and_the_back_button_leads_to_the_one_before(page):
    number = bundle(page)["studies"][5]["study"]
    before = shown(page)
    go(page, study=number, query="report", protocol="fused", k=3)
    view = (page.locator(".cxr-card h3").inner_text(), shown(page))
    assert len(view[1]) == 3
    page.reload()
    page.wait_for_selector("#cxr-explorer[data-ready]")
    assert (page.locator(".cxr-card h3").inner_text(), shown(page)) == view
    page.go_back()
    page.wait_for_function("document.querySelectorAll('.cxr-result').length != 3")
    assert shown(page) == before


def test_a_link_to_what_this_edition_lacks_is_told(page):
    go(page, study="no such study", k=99)
    told = "The link asks for study no such study, k 99: not in this edition."
    assert page.get_by_text(told).is_visible()


def test_studies_are_found_by_number_and_by_words(page):
    studies = bundle(page)["studies"]
    search = page.get_by_label("Find a study")
    search.fill(studies[-1]["study"])
    assert page.locator(".cxr-tile").first.is_visible()
    words = studies[-1]["report"].lower().split()[:3]
    search.fill(" ".join(words))
    matching = [s for s in studies if all(word in s["report"].lower() for word in words)]
    assert f"of {len(matching)}" in page.locator(".cxr-place").inner_text()
    search.fill("zzzz")
    assert page.locator(".cxr-tile").count() == 0
    assert "No study has these words" in page.locator(".cxr-place").inner_text()


def test_a_point_of_the_map_names_its_study_and_a_click_makes_it_the_query(page):
    canvas = page.locator("#cxr-explorer canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    tip = page.locator(".cxr-tip")
    query = bundle(page)["studies"][0]["study"]
    grid = [(x, y) for y in range(60, int(box["height"]), 12) for x in range(12, 300, 12)]
    for x, y in grid:
        page.mouse.move(box["x"] + x, box["y"] + y)
        if tip.is_visible() and f"study {query}," not in tip.inner_text():
            break
    number = tip.inner_text().removeprefix("study ").split(",")[0]
    with another_view(page):
        page.mouse.down()
        page.mouse.up()
    assert f"Study {number} " in page.locator(".cxr-card h3").inner_text()


def test_the_map_zooms_by_wheel_and_keys_and_goes_back(page):
    canvas = page.locator("#cxr-explorer canvas")
    picture = "canvas => canvas.toDataURL()"
    canvas.focus()
    whole = canvas.evaluate(picture)
    canvas.press("+")
    enlarged = canvas.evaluate(picture)
    canvas.press("ArrowLeft")
    assert len({whole, enlarged, canvas.evaluate(picture)}) == 3
    canvas.press("0")
    assert canvas.evaluate(picture) == whole
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Reset the map").click()
    canvas.focus()
    canvas.hover(position={"x": 5, "y": 5})
    page.mouse.wheel(0, -100)
    page.wait_for_function(f"({picture})(document.querySelector('canvas')) != '{whole}'")


def test_everything_can_be_done_by_keyboard_and_the_focus_gets_out_again(page):
    page.locator("select[name=model]").focus()
    visited = []
    for _ in range(80):
        page.keyboard.press("Tab")
        place = page.evaluate(
            "(({tagName, id, name, className}) => [document.activeElement.closest('#cxr-explorer')"
            " !== null, name || id || className || tagName])(document.activeElement)"
        )
        if not place[0]:
            break
        visited.append(place[1])
        if place[1] == "cxr-search":
            page.keyboard.type("effusion")
        elif place[1] == "cxr-tile" and visited.count("cxr-tile") == 2:
            page.keyboard.press("Enter")
    assert not place[0]
    assert {"protocol", "k", "query", "cxr-search", "cxr-tile", "CANVAS"} <= set(visited)
    assert page.locator(".cxr-tile").nth(1).get_attribute("aria-pressed") == "true"
    page.locator(".cxr-result a").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('.cxr-card h3')")


def test_results_are_announced(page):
    announced = page.locator(".cxr-summary[role=status]").inner_text()
    number = bundle(page)["studies"][0]["study"]
    assert announced.startswith(f"10 results for the image of study {number} among")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("query", ["image", "typed"])
def test_axe_finds_no_barrier(browser, scheme, query):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{PAGE.as_uri()}#query={query}&protocol=fused")
    page.wait_for_selector("#cxr-explorer[data-ready]")
    assert page.get_attribute("html", "data-theme") == scheme
    found = axe.Axe().run(page, context="#cxr-explorer")
    page.close()
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [390, 1000, 1400])
def test_nothing_is_wider_than_the_window(browser, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    for query in ("image", "typed"):
        page.goto(f"{PAGE.as_uri()}?{query}#query={query}&text={'effusion' * 60}&k=20")
        page.wait_for_selector("#cxr-explorer[data-ready]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_nothing_is_asked_of_another_server(browser):
    page = browser.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on(
        "console",
        lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None,
    )
    page.goto(PAGE.as_uri())
    page.wait_for_selector(".cxr-result")
    page.get_by_role("button", name="Random study").click()
    if page.get_attribute("#cxr-explorer", "data-runtime") == "present":
        type_report(page, "right pleural effusion")
    page.close()
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []
