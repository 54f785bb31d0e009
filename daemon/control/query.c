/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/query.h"

#include "daemon/base/duration.h"
#include "daemon/http/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum QueryType {
        QUERY_FLAG,
        QUERY_TEXT,
        QUERY_DURATION,
        QUERY_NUMBER,
} QueryType;

typedef struct QueryParameter {
        const char *name;
        QueryType type;
        size_t offset; /* of the member */
        uint64_t max;  /* of a number */
} QueryParameter;

static const QueryParameter query_parameters[] = {
        [_QUERY_WORKFLOW] = {"workflow", QUERY_TEXT, offsetof(Query, workflow), 0},
        [_QUERY_SESSION] = {"session", QUERY_TEXT, offsetof(Query, session), 0},
        [_QUERY_SERVICE] = {"service", QUERY_TEXT, offsetof(Query, service), 0},
        [_QUERY_NAME] = {"name", QUERY_TEXT, offsetof(Query, name), 0},
        [_QUERY_ERRORS] = {"errors", QUERY_FLAG, offsetof(Query, errors), 0},
        [_QUERY_RUNNING] = {"running", QUERY_FLAG, offsetof(Query, running), 0},
        [_QUERY_SLOW] = {"slow", QUERY_FLAG, offsetof(Query, slow), 0},
        [_QUERY_MIN] = {"min", QUERY_DURATION, offsetof(Query, min_ns), 0},
        [_QUERY_SINCE] = {"since", QUERY_DURATION, offsetof(Query, since_ns), 0},
        [_QUERY_OPEN] = {"open", QUERY_FLAG, offsetof(Query, open), 0},
        [_QUERY_LIMIT] = {"limit", QUERY_NUMBER, offsetof(Query, limit), QUERY_LIMIT_MAX},
        [_QUERY_LEVEL] = {"level", QUERY_TEXT, offsetof(Query, level), 0},
        [_QUERY_TIMEOUT_MS] = {"timeout_ms", QUERY_NUMBER, offsetof(Query, timeout_ms),
                               QUERY_TIMEOUT_MAX_MS},
};

enum { QUERY_PARAMETERS_N = sizeof query_parameters / sizeof *query_parameters };

static int query_unknown(char problem[QUERY_PROBLEM_MAX], unsigned known, const char *key) {
        size_t n =
                (size_t)snprintf(problem, QUERY_PROBLEM_MAX, "%s: not known here; allowed:", key);
        const char *comma = "";

        for (size_t i = 0; i < QUERY_PARAMETERS_N && n < QUERY_PROBLEM_MAX; i++) {
                if (!(known & 1u << i))
                        continue;
                n += (size_t)snprintf(problem + n, QUERY_PROBLEM_MAX - n, "%s %s", comma,
                                      query_parameters[i].name);
                comma = ",";
        }
        return QUERY_E_REFUSED;
}

static bool query_read_flag(bool *flagp, const char *value) {
        if (*value && strcmp(value, "true"))
                return false;
        return *flagp = true;
}

static bool query_read_text(char *text, const char *value) {
        size_t size = strlen(value);

        if (!size || size > QUERY_TEXT_MAX)
                return false;
        memcpy(text, value, size + 1);
        return true;
}

static bool query_read_number(uint64_t *numberp, const char *value, uint64_t max) {
        uint64_t number;
        char *end;

        errno = 0;
        number = strtoull(value, &end, 10);
        if (errno || *end || *value < '0' || *value > '9' || number > max)
                return false;
        *numberp = number;
        return true;
}

static int query_read_item(Query *query, char problem[QUERY_PROBLEM_MAX],
                           const QueryParameter *parameter, const char *value) {
        void *member = (char *)query + parameter->offset;
        char allowed[64] = "";
        bool is_good = false;

        switch (parameter->type) {
        case QUERY_FLAG:
                is_good = query_read_flag(member, value);
                strcpy(allowed, "no value, or true");
                break;
        case QUERY_TEXT:
                is_good = query_read_text(member, value);
                snprintf(allowed, sizeof allowed, "a text of 1 to %d bytes", QUERY_TEXT_MAX);
                break;
        case QUERY_DURATION:
                is_good = duration_read(member, value);
                strcpy(allowed, "a time: " DURATION_FORMS);
                break;
        case QUERY_NUMBER:
                is_good = query_read_number(member, value, parameter->max);
                snprintf(allowed, sizeof allowed, "a number up to %" PRIu64, parameter->max);
                break;
        }
        if (is_good)
                return 0;
        snprintf(problem, QUERY_PROBLEM_MAX, "%s: %s", parameter->name, allowed);
        return QUERY_E_REFUSED;
}

int query_read(Query *query, char problem[QUERY_PROBLEM_MAX], unsigned known, const char *target) {
        const char *at = NULL;
        UrlItem item;
        int r;

        while (!(r = url_target_next(&at, &item, target))) {
                size_t i = 0;

                while (i < QUERY_PARAMETERS_N &&
                       (!(known & 1u << i) || strcmp(query_parameters[i].name, item.key)))
                        i++;
                if (i == QUERY_PARAMETERS_N)
                        return query_unknown(problem, known, item.key);
                r = query_read_item(query, problem, &query_parameters[i], item.value);
                if (r)
                        return r;
        }
        if (r == URL_E_END)
                return 0;
        strcpy(problem, "malformed query");
        return QUERY_E_REFUSED;
}

/* ---- what is wanted ---- */

bool query_wants_text(const char *asked, const char *text) {
        return !*asked || (text && !strcmp(asked, text));
}

bool query_wants_time(const Query *query, uint64_t unix_ns, uint64_t now_unix_ns) {
        return !query->since_ns || unix_ns >= now_unix_ns ||
               now_unix_ns - unix_ns <= query->since_ns;
}

bool query_wants_span(const Query *query, const QuerySpan *span, uint64_t now_unix_ns) {
        size_t size = strlen(query->name);

        if (query->errors && !span->is_error)
                return false;
        if (query->min_ns && (span->end_unix_ns < span->start_unix_ns ||
                              span->end_unix_ns - span->start_unix_ns < query->min_ns))
                return false;
        if (size && (size != span->name.size || memcmp(query->name, span->name.data, size)))
                return false;
        return query_wants_text(query->service, span->service) &&
               query_wants_time(query, span->start_unix_ns, now_unix_ns);
}
