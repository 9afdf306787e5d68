import mimetypes
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content.categories import category_of, extension_of, mime_of, tags_of
from common.content.media_types import MEDIA_TYPES, WELL_KNOWN_NAMES
from common.wire.files import CATEGORIES

# What the programs that this network also serves take for granted.
PROMISED = {
    "document": "txt doc docx pdf xls xlsx ppt pptx",
    "image": "jpg jpeg png gif bmp",
    "video": "mp4 avi mkv mov wmv",
    "audio": "mp3 wav flac aac ogg",
    "archive": "zip rar 7z tar gz",
}


@pytest.mark.parametrize(
    ("extension", "category"), [(ext, category) for category, listed in PROMISED.items() for ext in listed.split()]
)
def test_promised_extensions(extension: str, category: str) -> None:
    assert category_of(f"name.{extension}") == category
    assert category_of(f"NAME.{extension.upper()}") == category


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("novel.epub", "document"),
        ("sheet.ods", "document"),
        ("index.html", "document"),
        ("README.md", "document"),
        ("README", "document"),
        ("photo.heic", "image"),
        ("logo.svg", "image"),
        ("clip.webm", "video"),
        ("song.opus", "audio"),
        ("linux.tar.xz", "archive"),
        ("disc.iso", "archive"),
        ("app.whl", "archive"),
        ("main.rs", "code"),
        ("app.ts", "code"),
        ("data.json", "code"),
        ("Makefile", "code"),
        ("src/CMakeLists.txt", "code"),
        ("notes/.gitignore", "code"),
        ("go.mod", "code"),
        ("font.woff2", "other"),
        ("setup.exe", "other"),
        ("libz.so.1", "other"),
        ("a.tar/noextension", "other"),
        (".hidden", "other"),
        ("trailing.", "other"),
        ("", "other"),
    ],
)
def test_categories(name: str, category: str) -> None:
    assert category_of(name) == category


@pytest.mark.parametrize(
    ("mime", "category"),
    [
        ("image/x-unheard-of", "image"),
        ("VIDEO/MP4", "video"),
        ("audio/whatever", "audio"),
        ("text/unheard", "document"),
        ("text/x-python; charset=utf-8", "code"),
        ("application/zip", "archive"),
        ("application/octet-stream", "other"),
        ("image", "image"),
        ("/", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_a_media_type_decides_where_the_name_says_nothing(mime: str | None, category: str) -> None:
    assert category_of("blob", mime) == category
    assert category_of("blob.unheardof", mime) == category


def test_a_name_that_says_something_outweighs_the_media_type() -> None:
    assert category_of("clip.mp4", "image/png") == "video"
    assert category_of("setup.exe", "text/plain") == "other"


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.pdf", "application/pdf"),
        ("A.JPG", "image/jpeg"),
        ("a.tar.gz", "application/gzip"),
        ("a.svg", "image/svg+xml"),
        ("dir.pdf/Dockerfile", "text/x-dockerfile"),
        ("LICENSE", "text/plain"),
        ("a.unheardof", "application/octet-stream"),
        (".pdf", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_media_types(name: str, mime: str) -> None:
    assert mime_of(name) == mime


def test_the_system_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mimetypes.types_map, ".unheardof", "text/html")
    monkeypatch.setitem(mimetypes.types_map, ".pdf", "text/html")
    assert mime_of("a.unheardof") == "application/octet-stream"
    assert mime_of("a.pdf") == "application/pdf"


def test_the_table_is_unambiguous_and_complete() -> None:
    mimes = Counter(mime for kinds in MEDIA_TYPES.values() for mime in kinds)
    extensions = Counter(ext for kinds in MEDIA_TYPES.values() for listed in kinds.values() for ext in listed.split())
    names = Counter(name for listed in WELL_KNOWN_NAMES.values() for name in listed.split())
    assert [key for counter in (mimes, extensions, names) for key, times in counter.items() if times > 1] == []
    assert set(MEDIA_TYPES) == set(CATEGORIES)
    assert set(WELL_KNOWN_NAMES) <= set(mimes)
    assert all(key == key.lower() for counter in (mimes, extensions, names) for key in counter)


def test_media_types_fit_the_wire() -> None:
    assert all(len(mime) <= 127 and mime.count("/") == 1 for kinds in MEDIA_TYPES.values() for mime in kinds)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.TXT", "txt"),
        ("a.tar.gz", "gz"),
        ("dir.d/file", ""),
        (".profile", ""),
        ("..", ""),
        ("a.", ""),
        ("a", ""),
        ("", ""),
    ],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("my_song.mp3", ["music"]),
        ("MyMusicVideo.mp4", ["music", "video"]),
        ("IMAGE001.png", ["photo"]),
        ("holiday-photos-2024.zip", ["photo"]),
        ("movie.night.mkv", ["video"]),
        ("report.doc", ["document"]),
        ("API docs.html", ["document"]),
        ("TheHTMLDocument.html", ["document"]),
        ("music/track01.flac", []),
        ("musician.txt", []),
        ("docker.txt", []),
        ("me\u0301doc.txt", []),
        ("songbook.pdf", []),
        ("", []),
    ],
)
def test_tags_come_from_whole_words_of_the_name(name: str, tags: list[str]) -> None:
    assert tags_of(name) == tags


@given(st.text(st.characters(codec=None)), st.none() | st.text(max_size=40))
def test_any_name_has_a_category_a_media_type_and_tags(name: str, mime: str | None) -> None:
    assert category_of(name, mime) in CATEGORIES
    assert mime_of(name).isascii()
    assert len(tags_of(name)) == len(set(tags_of(name))) <= 4
