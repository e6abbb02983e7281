#!/usr/bin/env python3
"""Writes page.html as a C file and a header: page_embed.py page.html page_html.c page_html.h

The hashes of the one <script> and the one <style> go along for the Content-Security-Policy.
"""
import base64
import hashlib
import re
import sys

source, c_file, h_file = sys.argv[1:]
text = open(source, encoding="utf-8").read()


def csp_hash(tag):
    bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
    if len(bodies) != 1:
        sys.exit(f"{source}: one <{tag}> without attributes is expected, not {len(bodies)}")
    return "sha256-" + base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()


if text.count("<!--twins-->") != 1:
    sys.exit(f"{source}: the mark <!--twins--> must be there once")
data = text.encode()
lines = [",".join(map(str, data[i : i + 24])) for i in range(0, len(data), 24)]
array = ",\n".join(lines)
with open(h_file, "w") as out:
    out.write(
        "#ifndef DAEMON_PAGE_HTML_H\n#define DAEMON_PAGE_HTML_H\n#include <stddef.h>\n"
        "extern const unsigned char page_html[];\nextern const size_t page_html_size;\n"
        "extern const char page_html_script_hash[], page_html_style_hash[];\n#endif\n"
    )
with open(c_file, "w") as out:
    out.write(
        '#include "daemon/page_html.h"\n'
        f"const unsigned char page_html[] = {{\n{array}\n}};\n"
        "const size_t page_html_size = sizeof page_html;\n"
        f'const char page_html_script_hash[] = "{csp_hash("script")}";\n'
        f'const char page_html_style_hash[] = "{csp_hash("style")}";\n'
    )
