"""Links of the Markdown files lead somewhere: to a file of the repository, and to a heading that is there."""
import os
import re

from tap import Tap, expect, read, repository_files

LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s*(\S+)", re.M)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.M | re.S)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n|\n)+")
# A page that prose or a code span names by its path, as `docs/definition.md` in a sentence.
NAMED = re.compile(r"(?<![\w/.-])docs/[\w-]+\.md\b")


def prose(text):
    """Without blocks and spans of code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", INDENTED.sub("\n", FENCE.sub("", text)))


def anchors(text):
    """Of the headings, as GitHub makes them: lower case, punctuation gone, spaces to hyphens, -1, -2 … for repeated ones."""
    seen, made = {}, set()
    for title in re.findall(r"^#{1,6} +(.+?)[ #]*$", FENCE.sub("", text), re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return made


def broken(name, text, files, folders, texts):
    """What is wrong with the links of the file `name`."""
    wrong = []
    for link in (a or b for a, b in LINK.findall(prose(text))):
        if ELSEWHERE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if target not in files and target not in folders:
            wrong.append(f"{name}: {link}: there is no {target}")
        elif anchor and anchor not in anchors(texts.get(target, "")):
            wrong.append(f"{name}: {link}: {target} has no such heading")
    return wrong + [f"{name}: names {page}, which is not there" for page in NAMED.findall(text) if page not in files]


def main():
    tap = Tap()
    texts = {"a.md": "# One `x`: two\n## One\n## One\n```\n# no\n[no](no.md)\n```\n", "d/b.md": "# B\n"}
    found = lambda name, text: len(broken(name, text, set(texts), {"d"}, texts))
    tap.case("a broken link is found, a good one is not", expect("anchors", anchors(texts["a.md"]), {"one-x-two", "one", "one-1"})
             + [w for name, text, count in (
                 ("a.md", "[b](d/b.md#b) [d](d) [d](d/) [here](#one-1) [web](https://a.b/c) `[no](no)`", 0),
                 ("d/b.md", "[a](../a.md#one-x-two)\n\n    m[0](x)\n", 0), ("a.md", "[c](c.md)", 1), ("a.md", "[c](d/b.md#no)", 1),
                 ("a.md", "![picture](page.png)", 1), ("a.md", "[a]: no.md", 1), ("d/b.md", "see docs/gone.md", 1))
                for w in expect(text, found(name, text), count)])
    files = set(repository_files())
    folders = {name[:i] for name in files for i, c in enumerate(name) if c == "/"}
    texts = {name: read(name) for name in files if name.endswith(".md")}
    tap.case("links of the Markdown files lead somewhere",
             [w for name in sorted(texts) for w in broken(name, texts[name], files, folders, texts)])
    tap.finish()


main()
