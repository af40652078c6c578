/* SPDX-License-Identifier: MIT */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { NAME_LIMIT = 32, OPTIONS = 128 };

/* Letters to be changed, left out, put in or exchanged with their neighbour to make one name of the other. */
static int distance(const char *a, const char *b)
{
    int rows[3][NAME_LIMIT + 1];
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (n > NAME_LIMIT || m > NAME_LIMIT) return NAME_LIMIT;
    for (int j = 0; j <= m; j++) rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *ttt_app_nearest(const char *name, const char *const *names, int count)
{
    const int length = (int)strlen(name);
    int least = length < 4 ? 2 : 3; /* so far off is another word */
    const char *nearest = NULL;
    for (int i = 0; i < count; i++) {
        const int far = distance(name, names[i]);
        if (far >= least && !(length >= 3 && least > 1 && strstr(names[i], name) == names[i])) continue;
        nearest = names[i];
        least = far < least ? far : 1;
    }
    return nearest;
}

/* All options of a command and of what it shares with others. */
typedef struct option_list {
    const struct argp_option *options[OPTIONS];
    int takes[OPTIONS]; /* whether it needs a value; an alias is as the option before it */
    int count;
} option_list;

static void collect(option_list *list, const struct argp *argp)
{
    const struct argp_option *o = argp->options;
    for (int takes = 0; o && (o->name || o->key || o->doc || o->group); o++) {
        if (!(o->flags & OPTION_ALIAS)) takes = o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
        if (list->count == OPTIONS || (!o->name && !o->key)) continue;
        list->options[list->count] = o;
        list->takes[list->count++] = takes;
    }
    for (const struct argp_child *child = argp->children; child && child->argp; child++) collect(list, child->argp);
}

/* Whether the short options in `word`, "-abc", take the next word as a value. */
static int short_takes_next(const option_list *list, const char *word)
{
    for (const char *c = word + 1; *c; c++)
        for (int i = 0; i < list->count; i++)
            if (list->options[i]->key == *c && list->takes[i]) return c[1] == '\0';
    return 0;
}

/* The same for a long one; an unknown one ends the program. */
static int long_takes_next(const option_list *list, const char *command, const char *word)
{
    static const char *const builtin[] = {"help", "usage", "version", "program-name", "HANG"};
    const char *names[OPTIONS];
    char name[NAME_LIMIT + 1];
    int count = 0;
    const size_t length = strcspn(word + 2, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, word + 2);
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
        if (strncmp(builtin[i], name, strlen(name)) == 0) return 0;
    for (int i = 0; i < list->count; i++) {
        const char *known = list->options[i]->name;
        if (!known) continue;
        if (strncmp(known, name, strlen(name)) == 0) return list->takes[i] && word[2 + length] == '\0';
        names[count++] = known;
    }
    const char *nearest = ttt_app_nearest(name, names, count);
    fprintf(stderr, "%s: there is no option --%s", command, name);
    if (nearest) fprintf(stderr, "; did you mean --%s?", nearest);
    fprintf(stderr, "%s see %s --help\n", nearest ? " Else" : ":", command);
    exit(EX_USAGE);
}

void ttt_app_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    static char help[] = "--help";
    option_list list = {.count = 0};
    collect(&list, argp);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0)
            argv[i] = help;
        else if (strncmp(argv[i], "--", 2) == 0)
            i += long_takes_next(&list, argv[0], argv[i]);
        else if (argv[i][0] == '-' && argv[i][1])
            i += short_takes_next(&list, argv[i]);
    }
    argp_parse(argp, argc, argv, 0, NULL, input);
}
