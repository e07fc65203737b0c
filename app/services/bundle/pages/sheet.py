"""One page whole: its head, its style, and the line that says which case and which moment it is of."""

from typing import Final

from app.services.bundle.pages.markup import Child, Html, tag, together

_STYLE: Final = """
@page { size: A4; margin: 18mm 16mm 20mm; }
* { box-sizing: border-box; }
html { background: #eceef1; }
body { max-width: 210mm; min-height: 297mm; margin: 8mm auto; padding: 18mm 16mm; background: #fff; color: #1a1d21;
  font: 10.5pt/1.65 "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
  sans-serif; box-shadow: 0 1px 6px rgba(0, 0, 0, .15); overflow-wrap: anywhere; }
header { border-bottom: 2px solid #1f3a5f; padding-bottom: 3mm; margin-bottom: 6mm; }
header p { margin: 1mm 0 0; color: #5a636e; font-size: 9pt; }
h1 { margin: 0; font-size: 19pt; line-height: 1.35; color: #1f3a5f; letter-spacing: .02em; }
h2 { margin: 7mm 0 2.5mm; font-size: 12.5pt; color: #1f3a5f; border-left: 3px solid #1f3a5f; padding-left: 2.5mm;
  line-height: 1.3; break-after: avoid; }
h3 { margin: 4mm 0 1.5mm; font-size: 10.5pt; break-after: avoid; }
p { margin: 1.5mm 0; }
ul { margin: 1.5mm 0; padding-left: 6mm; }
a { color: #1f4f8f; }
code { font-family: Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; font-size: 8.5pt; }
table { width: 100%; border-collapse: collapse; margin: 1.5mm 0; font-size: 9.5pt; line-height: 1.5; }
th, td { border: 1px solid #cdd3da; padding: 1.4mm 2.2mm; text-align: left; vertical-align: top; }
thead th { background: #eef2f7; font-weight: 600; white-space: nowrap; }
thead { display: table-header-group; }
tr, .box { break-inside: avoid; }
.pairs th { width: 33mm; background: #f6f8fa; font-weight: 600; }
.said { white-space: pre-wrap; unicode-bidi: isolate; }
.box { border: 1px solid #cdd3da; border-left-width: 4px; padding: 2mm 3.5mm; margin: 2mm 0; background: #fafbfc; }
.box p:first-child { margin-top: 0; } .box p:last-child { margin-bottom: 0; }
.result { border-left-color: #1f3a5f; } .result strong { font-size: 13pt; }
.approve { border-left-color: #1c7c4a; background: #f2faf5; } .approve strong { color: #1c7c4a; }
.reject { border-left-color: #b3372f; background: #fdf4f3; } .reject strong { color: #b3372f; }
.warn { border-left-color: #b7791f; background: #fdf8ec; }
.box h3:first-child { margin-top: 0; }
.quiet { color: #6b7480; } .small { font-size: 8.5pt; }
.when td:first-child { white-space: nowrap; width: 38mm; }
@media print { html { background: none; }
  body { margin: 0; padding: 0; max-width: none; min-height: 0; box-shadow: none; } a { color: inherit; } }
"""
# Nothing is loaded and nothing runs, even if what somebody wrote were to become markup after all.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, under: str, *content: Child) -> bytes:
    """A page as it is kept. `under` is the line below the title."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        Html(f"<style>{_STYLE}</style>"),
    )
    body = tag("body", tag("header", tag("h1", title), tag("p", under)), tag("main", *content))
    return f"<!DOCTYPE html>\n{together([tag('html', head, body, lang='zh-CN')])}\n".encode()
