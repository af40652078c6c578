/* SPDX-License-Identifier: MIT
 * The sections that are tables: claims, models, what freezing costs, rates, runs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define HEADS(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* The cells of a group that are compared with others: not those of a sweep. */
static bool is_shown(const study_report *r, const study_cell *cell, int group)
{
    const study_question q = report_headline(r, cell);
    return cell->group == group && cell->usual && q.evaluation >= 0 && isfinite(report_loss(r, cell, &q).mean);
}

static bool any_shown(const study_report *r, int group)
{
    for (size_t i = 0; i < r->cells->count; i++)
        if (is_shown(r, &r->cells->items[i], group)) return true;
    return false;
}

static void csv_mean(FILE *file, study_mean m)
{
    if (isfinite(m.mean)) fprintf(file, "%.9g", m.mean);
    fputc(',', file);
    if (isfinite(m.error)) fprintf(file, "%.9g", m.error);
    fprintf(file, ",%zu,%zu", m.documents, m.seeds);
}

/* ---- claims ---- */

static const char *verdict(study_mean m, bool or_equal, const char **class)
{
    *class = "td";
    if (!isfinite(m.mean)) return "no results yet";
    if (!isfinite(m.error)) return "undecided: one document has no error";
    if (m.mean > 2 * m.error) {
        *class = "td class=\"bad\"";
        return "contradicted";
    }
    if (or_equal ? m.mean > 0 : m.mean >= -2 * m.error)
        return or_equal ? "not contradicted" : "undecided: within two standard errors";
    *class = "td class=\"good\"";
    return "holds";
}

static study_question question_of(const study_report *r, const study_claim *c, const study_cell *cell, bool worse)
{
    study_question q = {.evaluation = worse ? c->worse_evaluation : c->evaluation, .first = c->first, .last = c->last};
    q.context = worse ? c->worse_context : c->context;
    q.frozen = worse && c->worse_frozen;
    if (q.context < 0) q.context = study_context_of(r->s, cell, q.evaluation, 0);
    return q;
}

/* "test, in windows of 512" */
static void say_where(const study_report *r, const study_question *q, char *text, size_t size)
{
    const study_evaluation *e = &r->s->evaluations[q->evaluation];
    if (e->context_count < 2 && !(e->context_count == 1 && q->context == 0))
        snprintf(text, size, "%s", e->name);
    else if (q->context == 0)
        snprintf(text, size, "%s, whole documents", e->name);
    else
        snprintf(text, size, "%s, windows of %" PRId64, e->name, q->context);
}

static void claim_row(study_report *r, const study_claim *c, const study_cell *cell, FILE *csv)
{
    const study_cell *worse = report_beside(r, cell, c->worse);
    const study_question q = question_of(r, c, cell, false), than = question_of(r, c, cell, true);
    const bool elsewhere = q.evaluation != than.evaluation || q.context != than.context;
    const study_mean m = worse ? report_paired(r, cell, &q, worse, &than)
                               : (study_mean){(double)NAN, (double)NAN, 0, 0};
    const char *class, *word = verdict(m, c->or_equal, &class);
    char name[96], number[PAGE_NUMBER], sample[PAGE_NUMBER], which[80] = "all positions", where[160], other[160];
    if (c->first && c->last == INT32_MAX)
        snprintf(which, sizeof which, "positions from %" PRId64, c->first);
    else if (c->first)
        snprintf(which, sizeof which, "positions %" PRId64 " to %" PRId64, c->first, c->last);
    say_where(r, &q, where, sizeof where);
    say_where(r, &than, other, sizeof other);
    report_cell_name(r, cell, name, sizeof name);
    page_row_begin(r->page);
    page_cell_wide(r->page, "%s", c->text);
    page_element(r->page, class, "%s", word);
    page_cell(r->page, "%s", page_number(number, m.mean, m.error));
    page_cell_wide(r->page, "%s %s %s%s", name, c->or_equal ? "not more than" : "less than",
                   r->s->models[c->worse].name, c->worse_frozen ? ", frozen" : "");
    page_cell_wide(r->page, "%s: %s%s%s, %s", r->s->groups[c->group].name, where, elsewhere ? "; less " : "",
                   elsewhere ? other : "", which);
    page_cell(r->page, "%s", report_sample(sample, m));
    page_row_end(r->page);
    if (!csv) return;
    csv_text(csv, c->text);
    csv_text(csv, r->s->groups[c->group].name);
    csv_text(csv, name);
    csv_text(csv, r->s->models[c->worse].name);
    csv_text(csv, word);
    csv_mean(csv, m);
    fputc('\n', csv);
}

void report_claims(study_report *r)
{
    const study *s = r->s;
    if (s->claim_count == 0) return;
    FILE *csv = csv_open(r->page, "claims", "claim,runs,better,worse,verdict,difference,error,documents,seeds");
    page_section(r->page, "What was claimed");
    page_table_begin(r->page,
                     "Each claim says that one model has less loss than another. The difference is paired; a claim "
                     "holds, or is contradicted, where it is more than two standard errors from 0. A claim of not more "
                     "holds below 0, and above is not contradicted within two standard errors.",
                     HEADS("claim", "here", "difference of losses", "that is", "runs and text", "over"));
    for (size_t i = 0; i < s->claim_count; i++) {
        const study_claim *c = &s->claims[i];
        for (size_t k = 0; k < r->cells->count; k++) {
            const study_cell *cell = &r->cells->items[k];
            if (cell->group == c->group && cell->model == c->better && cell->usual) claim_row(r, c, cell, csv);
        }
    }
    page_table_end(r->page);
    csv_close(r->page, csv);
}

/* ---- models ---- */

/* Bits per byte of the documents of an evaluation, by their tokens and bytes. */
static double tokens_per_byte(const study_report *r, int evaluation)
{
    const json_t *list = json_object_get(json_object_get(r->plan->data, "documents"),
                                         r->s->evaluations[evaluation].documents);
    double tokens = 0, bytes = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        tokens += json_number_value(json_object_get(json_array_get(list, i), "tokens"));
        bytes += json_number_value(json_object_get(json_array_get(list, i), "bytes"));
    }
    return tokens / bytes;
}

static void model_row(study_report *r, const study_cell *cell, bool paper, FILE *csv)
{
    const study *s = r->s;
    const study_question q = report_headline(r, cell);
    const study_mean loss = report_loss(r, cell, &q);
    const study_cell *reference = report_beside(r, cell, s->reference);
    const double published = s->models[cell->model].paper;
    char name[96], a[PAGE_NUMBER], b[PAGE_NUMBER];
    study_mean m = {(double)NAN, (double)NAN, 0, 0};
    if (reference && reference != cell) m = report_difference(r, cell, reference, &q);
    report_cell_name(r, cell, name, sizeof name);
    page_row_begin(r->page);
    page_cell(r->page, "%s", name);
    page_cell(r->page, "%s", page_count(a, (double)cell->run->parameters));
    page_cell(r->page, "%s", page_count(a, cell->tokens));
    page_cell(r->page, "%sFLOP", page_count(a, cell->flops));
    page_cell(r->page, "%g", cell->rate);
    page_cell(r->page, "%s", page_number(a, loss.mean, loss.error));
    const double perplexity = exp(loss.mean);
    page_cell(r->page, "%s", page_number(a, perplexity, perplexity * loss.error));
    page_cell(r->page, "%.4f", loss.mean / 0.69314718055994530942 * tokens_per_byte(r, q.evaluation));
    page_cell(r->page, "%s", reference == cell ? "the reference" : page_number(b, m.mean, m.error));
    if (paper) page_cell(r->page, "%s", page_number(a, published, 0));
    page_cell(r->page, "%s", report_sample(a, loss));
    page_row_end(r->page);
    if (!csv) return;
    csv_text(csv, s->groups[cell->group].name);
    csv_text(csv, name);
    fprintf(csv, "%" PRId64 ",%.0f,%.6g,%g,", cell->run->parameters, cell->tokens, cell->flops, cell->rate);
    csv_mean(csv, loss);
    fprintf(csv, ",%.9g,", perplexity);
    csv_mean(csv, m);
    fputc(',', csv);
    if (isfinite(published)) fprintf(csv, "%g", published);
    fputc('\n', csv);
}

static void model_table(study_report *r, int group, FILE *csv)
{
    const study *s = r->s;
    const study_group *g = &s->groups[group];
    bool paper = false;
    char caption[512];
    for (size_t i = 0; i < g->models.count; i++) paper = paper || isfinite(s->models[g->models.items[i]].paper);
    snprintf(caption, sizeof caption, "%s%s%s. Differences are to %s, paired: less than 0 is better.%s", g->name,
             *g->about ? ": " : "", g->about, s->models[s->reference].name,
             paper ? " The paper's perplexities are of larger models and another text: their order is what can agree."
                   : "");
    static const char *const heads[] = {"model",       "parameters",    "tokens",
                                        "training",    "rate",          "loss",
                                        "perplexity",  "bits per byte", "loss less reference's",
                                        "the paper's", "over"};
    const char *own[11];
    size_t count = 0;
    for (size_t i = 0; i < 11; i++)
        if (i != 9 || paper) own[count++] = heads[i];
    page_table_begin(r->page, caption, own, count);
    for (size_t i = 0; i < r->cells->count; i++)
        if (is_shown(r, &r->cells->items[i], group)) model_row(r, &r->cells->items[i], paper, csv);
    page_table_end(r->page);
}

void report_models(study_report *r)
{
    FILE *csv = csv_open(r->page, "models",
                         "runs,model,parameters,tokens,flops,rate,loss,error,documents,seeds,perplexity,difference,"
                         "difference_error,difference_documents,difference_seeds,paper");
    page_section(r->page, "The models");
    for (size_t g = 0; g < r->s->group_count; g++)
        if (any_shown(r, (int)g)) model_table(r, (int)g, csv);
    csv_close(r->page, csv);
}

/* ---- frozen ---- */

static void frozen_row(study_report *r, const study_cell *cell, study_question q, FILE *csv)
{
    study_table *adapting = malloc(sizeof *adapting), *frozen = malloc(sizeof *frozen);
    study_mean m = {(double)NAN, (double)NAN, 0, 0};
    bool there = adapting && frozen && study_cell_ask(r->cells, cell, &q, adapting);
    q.frozen = true;
    there = there && study_cell_ask(r->cells, cell, &q, frozen);
    if (there) m = study_table_difference(frozen, adapting);
    free(adapting);
    free(frozen);
    if (!there || (m.mean == 0 && !(m.error > 0))) return; /* nothing in it learns */
    char name[96], number[PAGE_NUMBER], sample[PAGE_NUMBER];
    report_cell_name(r, cell, name, sizeof name);
    page_row_begin(r->page);
    page_cell(r->page, "%s", r->s->groups[cell->group].name);
    page_cell(r->page, "%s", name);
    page_cell(r->page, "%s", r->s->evaluations[q.evaluation].name);
    page_cell(r->page, "%s", page_number(number, m.mean, m.error));
    page_cell(r->page, "%s", report_sample(sample, m));
    page_row_end(r->page);
    if (!csv) return;
    csv_text(csv, r->s->groups[cell->group].name);
    csv_text(csv, name);
    csv_text(csv, r->s->evaluations[q.evaluation].name);
    csv_mean(csv, m);
    fputc('\n', csv);
}

void report_frozen(study_report *r)
{
    const study *s = r->s;
    bool any = false;
    for (size_t i = 0; i < s->evaluation_count; i++) any = any || s->evaluations[i].frozen;
    if (!any) return;
    FILE *csv = csv_open(r->page, "frozen", "runs,model,evaluation,difference,error,documents,seeds");
    page_section(r->page, "Learning at test time");
    page_table_begin(r->page,
                     "What the loss is more when the learner is frozen: more than 0 is what learning while reading is "
                     "worth to these weights. They were trained to learn; weights trained without would be others. "
                     "Models in which nothing learns are left out.",
                     HEADS("runs", "model", "evaluation", "frozen less adapting", "over"));
    for (size_t i = 0; i < r->cells->count; i++) {
        const study_cell *cell = &r->cells->items[i];
        for (size_t e = 0; e < s->evaluation_count && cell->usual; e++) {
            if (!s->evaluations[e].frozen || !study_group_has(s, cell->group, (int)e)) continue;
            frozen_row(r, cell, (study_question){.evaluation = (int)e, .context = study_context_of(s, cell, (int)e, 0)},
                       csv);
        }
    }
    page_table_end(r->page);
    csv_close(r->page, csv);
}

/* ---- rates ---- */

static void rate_chart(study_report *r, int group, FILE *csv)
{
    const study_group *g = &r->s->groups[group];
    report_chart *chart = calloc(1, sizeof *chart);
    for (size_t m = 0; m < g->models.count && chart; m++) {
        report_line(chart, g->models.items[m], "%s", r->s->models[g->models.items[m]].name);
        for (size_t i = 0; i < r->cells->count; i++) {
            const study_cell *cell = &r->cells->items[i];
            if (cell->group != group || cell->model != g->models.items[m]) continue;
            const study_question q = report_headline(r, cell);
            const study_mean loss = report_loss(r, cell, &q);
            if (m < REPORT_LINES) report_point(chart, cell->rate, loss.mean, loss.error);
            if (!csv) continue;
            csv_text(csv, g->name);
            csv_text(csv, r->s->models[cell->model].name);
            fprintf(csv, "%g,", cell->rate);
            csv_mean(csv, loss);
            fputc('\n', csv);
        }
    }
    const ttt_plot plot = {.title = "Loss by peak learning rate",
                           .x_label = "peak learning rate",
                           .y_label = "loss, nats per token",
                           .log_x = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    page_figures_begin(r->page);
    page_figure(r->page, &plot,
                "The loss of each model after the sweep's runs, by the peak of the learning rate; the "
                "least one is kept for the runs after it.",
                "It cannot show that the same rate is best for larger sizes or longer runs.");
    page_figures_end(r->page);
    free(chart);
}

void report_rates(study_report *r)
{
    const study *s = r->s;
    bool any = false;
    for (size_t g = 0; g < s->group_count; g++) any = any || s->groups[g].rate_count > 1;
    if (!any) return;
    FILE *csv = csv_open(r->page, "rates", "runs,model,rate,loss,error,documents,seeds");
    page_section(r->page, "Learning rates");
    for (size_t g = 0; g < s->group_count; g++)
        if (s->groups[g].rate_count > 1) rate_chart(r, (int)g, csv);
    csv_close(r->page, csv);
}

/* ---- runs ---- */

static void print_command(const study_report *r, int run, FILE *out)
{
    ttt_train_run_options o;
    const study_plan *plan = r->plan;
    const study_run *run_of = &plan->runs[run];
    if (!study_run_options(plan, run, &o)) return;
    fputs("ttt train DATA", out);
    if (run_of->init >= 0) {
        fprintf(out, " --init-from runs/%s", plan->runs[run_of->init].id);
    } else {
        if (o.config) fprintf(out, " --config %s", o.config);
        if (o.layer) fprintf(out, " --layer %s", o.layer);
        if (o.layers) fprintf(out, " --layers \"%s\"", o.layers);
        if (o.backbone) fprintf(out, " --backbone %s", o.backbone);
        for (size_t i = 0; i < o.setting_count; i++) fprintf(out, " --set %s", o.settings[i]);
    }
    fprintf(out, " --context %" PRId64 " --batch %" PRId64, o.context, o.batch);
    if (o.segment) fprintf(out, " --segment %" PRId64, o.segment);
    fprintf(out, " --steps %" PRId64 " --lr %.12g", o.steps, o.rate);
    if (strcmp(o.schedule, "cosine") != 0) fprintf(out, " --schedule %s", o.schedule);
    fprintf(out, " --seed %" PRId64 " --precision %s -o runs/%s", o.seed, o.precision, run_of->id);
}

/* What became of a run: the first of its parts that is not as it should be, or how many are done. */
static void print_status(const study_report *r, int run, FILE *out)
{
    const study_plan *plan = r->plan;
    int done = 0;
    for (size_t i = 0; i < plan->unit_count; i++) {
        if (plan->units[i].run != run) continue;
        const json_t *result = r->cells->results[i];
        if (result && !study_is_good(result)) {
            fprintf(out, "%s", json_string_value(json_object_get(result, "sentence")));
            return;
        }
        done += result != NULL && plan->units[i].kind == STUDY_TRAIN;
    }
    if (plan->runs[run].void_)
        fputs("cannot be: what it begins with failed", out);
    else if (done == plan->runs[run].parts)
        fputs("trained", out);
    else
        fprintf(out, "%d of %d parts are done", done, plan->runs[run].parts);
}

static char *printed(const study_report *r, int run, void (*print)(const study_report *, int, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    print(r, run, out);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

void report_runs(study_report *r)
{
    const study_plan *plan = r->plan;
    FILE *csv = csv_open(r->page, "runs", "runs,model,size,context,rate,seed,steps,flops,id,status,command");
    page_section(r->page, "Every run");
    page_table_begin(r->page,
                     "The command that trains the same model, bit for bit on the same kind of processor; DATA is "
                     "the study's data folder.",
                     HEADS("runs", "run", "seconds", "what became of it", "command"));
    for (size_t i = 0; i < plan->run_count; i++) {
        const study_run *run = &plan->runs[i];
        char name[256], *command = printed(r, (int)i, print_command), *status = printed(r, (int)i, print_status);
        double seconds = 0;
        for (size_t k = 0; k < plan->unit_count; k++)
            if (plan->units[k].run == (int)i && plan->units[k].kind == STUDY_TRAIN)
                seconds += json_number_value(json_object_get(r->cells->timings[k], "seconds"));
        study_run_name(plan, (int)i, name, sizeof name);
        page_row_begin(r->page);
        page_cell(r->page, "%s", r->s->groups[run->group].name);
        page_cell(r->page, "%s", name);
        page_cell(r->page, "%.0f", seconds);
        page_cell_wide(r->page, "%s", status ? status : "");
        page_cell_code(r->page, *run->id && command ? command : "its rate is not known yet");
        page_row_end(r->page);
        if (csv && command && status) {
            csv_text(csv, r->s->groups[run->group].name);
            csv_text(csv, r->s->models[run->model].name);
            csv_text(csv, run->size >= 0 ? r->s->sizes[run->size].name : "");
            fprintf(csv, "%" PRId64 ",%g,%" PRId64 ",%" PRId64 ",%.6g,%s,", run->context, run->rate, run->seed,
                    run->steps, run->flops * (double)(run->steps * r->s->groups[run->group].batch), run->id);
            csv_text(csv, status);
            fprintf(csv, "\"");
            for (const char *c = command; *c; c++) fputs(*c == '"' ? "\"\"" : (char[]){*c, 0}, csv);
            fprintf(csv, "\"\n");
        }
        free(command);
        free(status);
    }
    page_table_end(r->page);
    csv_close(r->page, csv);
}
