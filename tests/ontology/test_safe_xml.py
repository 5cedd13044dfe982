"""Files that are not what they seem are refused before anything else reads them."""

from xml.parsers import expat

import pytest

from ontology.safe_xml import check_xml, other_syntax, read_tree

RDF = b'<?xml version="1.0"?>\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'


def test_a_sound_file_passes() -> None:
    check_xml(RDF)
    assert other_syntax(RDF) == ""


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        b"<!DOCTYPE x>",
    ],
)
def test_entities_are_refused(doctype: bytes) -> None:
    with pytest.raises(ValueError, match="without XML entities"):
        check_xml(b'<?xml version="1.0"?>' + doctype + b"<x/>")


@pytest.mark.parametrize("data", [b"", RDF[:-2], RDF + b"<more/>", b"\xff\xfe\0"])
def test_a_file_that_breaks_off_is_no_file(data: bytes) -> None:
    with pytest.raises(expat.ExpatError):
        check_xml(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<?xml version="1.0"?>\n<!-- by hand -->\n<Ontology xmlns="x">', "OWL/XML"),
        (b"@prefix : <urn:x> .", "Turtle"),
        (b"  Prefix(:=<urn:x>)", "functional"),
        (b"Prefix: : <urn:x>", "Manchester"),
    ],
)
def test_other_syntaxes_are_called_by_name(data: bytes, name: str) -> None:
    assert name in other_syntax(data) and "save as RDF/XML" in other_syntax(data)


def test_a_tree_has_names_lines_texts_and_attributes() -> None:
    data = b'<a:x xmlns:a="urn:ours" xmlns:b="urn:theirs">\n <a:y n="1"> t<b:z/>u </a:y></a:x>'
    root = read_tree(data, max_elements=3, max_depth=3, own=("urn:ours",))
    (inner,) = root.all("y")
    assert (root.name, inner.line, inner.text, inner.attributes) == ("x", 2, "tu", {"n": "1"})
    assert root.first("y", "{urn:theirs}z") is inner.children[0]
    assert root.first("y", "z") is None and root.first("z", "y") is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<x><y/><y/></x>", "line 1: more than 2 elements"),
        (b"<x>\n<y><z/></y></x>", "line 2: "),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "line 1: document type declarations"),
        (b"<x>&a;</x>", "line 1: not well-formed XML: undefined entity"),
        (b"", "not well-formed XML: no element found"),
        (b'<?xml version="1.0" encoding="klingon"?><x/>', "line 1: "),
    ],
)
def test_a_tree_is_bounded_and_has_no_entities(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_tree(data, max_elements=2, max_depth=2)
