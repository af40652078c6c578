/* SPDX-License-Identifier: MIT */
#include "page.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Ink and paper by what the reader prefers; on paper black on white. Charts are scaled, never cut; wide tables scroll
 * by themselves. */
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<style>\n"
    ":root{color-scheme:light dark;--ink:#1c1c1e;--paper:#fdfdfc;--quiet:#5c5f66;--line:#d9dadd;--card:#fff;"
    "--good:#00704f;--bad:#b3400c;--series6:var(--ink)}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e7e7ea;--paper:#141518;--quiet:#a2a6ae;--line:#383b42;"
    "--card:#1b1d21;--good:#4fd0a5;--bad:#ff9d6b;--series0:#4aa8e8;--series1:#ff8a3d;--series2:#2fc79a;"
    "--series3:#e79bc3;--series4:#f0bb45;--series5:#8fd0f5;--series7:#c9a66b}}\n"
    "@media print{:root{color-scheme:light;--ink:#000;--paper:#fff;--quiet:#444;--line:#bbb;--card:#fff;--good:#00593f;"
    "--bad:#8f2f00;--series0:#0072b2;--series1:#d55e00;--series2:#009e73;--series3:#cc79a7;--series4:#e69f00;"
    "--series5:#56b4e9;--series7:#8a6d3b}figure,tr,.claim{break-inside:avoid}h2{break-after:avoid}"
    ".scroll{overflow:visible!important}table{font-size:9pt!important}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:76rem;padding:1.5rem 1rem 4rem;background:var(--paper);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;"
    "overflow-wrap:break-word}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.25rem;margin:2.5rem 0 .5rem;"
    "border-bottom:1px solid var(--line);padding-bottom:.25rem}p{max-width:44rem;margin:.5rem 0}\n"
    ".quiet,figcaption{color:var(--quiet);font-size:.9rem}\n"
    ".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:1rem;"
    "margin:1rem 0}\n"
    "figure{margin:0;padding:.5rem .75rem .75rem;border:1px solid "
    "var(--line);border-radius:6px;background:var(--card)}\n"
    "figure svg{display:block;width:100%;height:auto;color:var(--ink);font-family:inherit}\n"
    "svg path{fill:none;stroke-linejoin:round}svg .grid{stroke:var(--line);stroke-width:8}\n"
    ".scroll{overflow-x:auto;margin:1rem 0}\n"
    "table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}\n"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "th{font-weight:600}td{white-space:nowrap}td.wide{white-space:normal;min-width:12rem}"
    "td.code{white-space:normal;min-width:36rem}\n"
    "code{font:.85em ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}\n"
    ".good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}\n"
    "</style>\n";

bool page_open(study_page *page, study *s, const char *csv)
{
    *page = (study_page){.s = s, .csv = csv};
    page->out = open_memstream(&page->text, &page->size);
    if (!page->out) return study_fail(&s->error, "out of memory");
    if (csv && !study_make_folder(s, csv)) return false;
    fputs(head, page->out);
    return true;
}

bool page_close(study_page *page, const char *path)
{
    if (!page->out) return false;
    fputs("</body>\n</html>\n", page->out);
    bool ok = !ferror(page->out);
    ok = fclose(page->out) == 0 && ok;
    if (!ok) study_fail(&page->s->error, "out of memory");
    ok = ok && path && study_write(page->s, path, page->text, page->size);
    free(page->text);
    *page = (study_page){0};
    return ok;
}

/* ---- text ---- */

static void put(study_page *page, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': fputs("&amp;", page->out); break;
        case '<': fputs("&lt;", page->out); break;
        case '>': fputs("&gt;", page->out); break;
        case '"': fputs("&quot;", page->out); break;
        default: fputc(*text, page->out);
        }
    }
}

static void put_list(study_page *page, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0) {
        study_fail(&page->s->error, "out of memory");
        return;
    }
    put(page, text);
    free(text);
}

void page_text(study_page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put_list(page, format, arguments);
    va_end(arguments);
}

void page_element(study_page *page, const char *name, const char *format, ...)
{
    const char *blank = strchr(name, ' '); /* behind it are attributes */
    va_list arguments;
    va_start(arguments, format);
    fprintf(page->out, "<%s>", name);
    put_list(page, format, arguments);
    fprintf(page->out, "</%.*s>\n", (int)(blank ? blank - name : (ptrdiff_t)strlen(name)), name);
    va_end(arguments);
}

/* ---- sections ---- */

void page_section(study_page *page, const char *title) { page->section = title; }

static void begin_section(study_page *page)
{
    if (page->section) page_element(page, "h2", "%s", page->section);
    page->section = NULL;
}

/* ---- tables ---- */

void page_table_begin(study_page *page, const char *caption, const char *const *heads, size_t count)
{
    page->caption = caption;
    page->heads = heads;
    page->head_count = count;
    page->rows = false;
}

void page_row_begin(study_page *page)
{
    if (!page->rows) {
        begin_section(page);
        page_element(page, "p class=\"quiet\"", "%s", page->caption);
        fputs("<div class=\"scroll\"><table>\n<thead><tr>", page->out);
        for (size_t i = 0; i < page->head_count; i++) page_element(page, "th scope=\"col\"", "%s", page->heads[i]);
        fputs("</tr></thead>\n<tbody>\n", page->out);
    }
    page->rows = true;
    fputs("<tr>", page->out);
}

void page_row_end(study_page *page) { fputs("</tr>\n", page->out); }

void page_table_end(study_page *page)
{
    if (page->rows) fputs("</tbody></table></div>\n", page->out);
}

void page_cell(study_page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("<td>", page->out);
    put_list(page, format, arguments);
    fputs("</td>", page->out);
    va_end(arguments);
}

void page_cell_wide(study_page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("<td class=\"wide\">", page->out);
    put_list(page, format, arguments);
    fputs("</td>", page->out);
    va_end(arguments);
}

void page_cell_code(study_page *page, const char *text)
{
    fputs("<td class=\"code\"><code>", page->out);
    put(page, text);
    fputs("</code></td>", page->out);
}

/* ---- figures ---- */

void page_figures_begin(study_page *page) { page->figures = false; }

void page_figures_end(study_page *page)
{
    if (page->figures) fputs("</div>\n", page->out);
}

void page_figure(study_page *page, const ttt_plot *plot, const char *shows, const char *cannot)
{
    char *svg;
    ttt_plot own = *plot;
    own.width = 460; /* so that its letters can be read on a telephone */
    own.height = 350;
    if (ttt_plot_print(&own, &svg) != TTT_OK) {
        study_fail(&page->s->error, "out of memory");
        return;
    }
    begin_section(page);
    if (!page->figures) fputs("<div class=\"figures\">\n", page->out);
    page->figures = true;
    fprintf(page->out, "<figure>\n%s", svg);
    ttt_string_free(svg);
    page_element(page, "figcaption", "Figure %d. %s %s", ++page->figure, shows, cannot);
    fputs("</figure>\n", page->out);
}

/* ---- numbers ---- */

const char *page_number(char text[PAGE_NUMBER], double value, double error)
{
    if (!isfinite(value))
        snprintf(text, PAGE_NUMBER, "-");
    else if (!isfinite(error) || !(error > 0))
        snprintf(text, PAGE_NUMBER, "%.4g", value);
    else {
        const int digits = (int)fmin(6, fmax(0, 1 - floor(log10(error)))); /* two of the error's */
        snprintf(text, PAGE_NUMBER, "%.*f ± %.*f", digits, value, digits, error);
    }
    return text;
}

const char *page_count(char text[PAGE_NUMBER], double value)
{
    static const char units[] = " kMGTPE";
    int i = 0;
    for (; value >= 999.5 && units[i + 1]; i++) value /= 1000;
    if (i == 0)
        snprintf(text, PAGE_NUMBER, "%.4g", value);
    else
        snprintf(text, PAGE_NUMBER, "%.3g %c", value, units[i]);
    return text;
}

/* ---- CSV ---- */

FILE *csv_open(study_page *page, const char *name, const char *heads)
{
    if (!page->csv) return NULL;
    const char *path = study_print(page->s, "%s/%s.csv", page->csv, name);
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        study_fail(&page->s->error, "cannot write %s: %s", path ? path : name, strerror(errno));
    else
        fprintf(file, "%s\n", heads);
    return file;
}

void csv_text(FILE *file, const char *text)
{
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted) fputc('"', file);
    for (; *text; text++) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    fputs(quoted ? "\"," : ",", file);
}

bool csv_close(study_page *page, FILE *file)
{
    const bool failed = file && ferror(file);
    if (file && (fclose(file) != 0 || failed)) return study_fail(&page->s->error, "cannot write a table of CSV");
    return true;
}
