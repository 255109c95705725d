"""The filters of templates about reviewing."""

from __future__ import annotations

from reviews.templatetags.reviewing import with_code


def test_code_in_descriptions_is_set_as_code_and_everything_is_escaped():
    assert with_code("`a` & <b>, `c`") == "<code>a</code> &amp; &lt;b&gt;, <code>c</code>"
    assert with_code("no code, `one` and an open `end") == (
        "no code, <code>one</code> and an open <code>end</code>"
    )
    assert with_code("") == ""
