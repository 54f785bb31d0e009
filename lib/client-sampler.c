/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-sampler.h"

#include "lib/client-count.h"
#include "lib/client-link.h"
#include "proto/sampling.h"
#include "proto/w3c.h"

#include <stdlib.h>
#include <strings.h>

static struct {
        uint64_t threshold;
        bool parent_based;
        bool tells; /* the threshold in tracestate, also where all pass */
} sampler = {.parent_based = true};

static void sampler_set_ratio(void) {
        const char *text = secure_getenv("OTEL_TRACES_SAMPLER_ARG");
        double ratio = 1;

        if (text && *text && !sampling_ratio_read(&ratio, text))
                catena__misuse(MISUSE_SAMPLER);
        sampler.threshold = sampling_threshold(ratio);
        sampler.tells = true;
}

void catena__sampler_init(void) {
        static const char parent[] = "parentbased_";
        const char *name = secure_getenv("OTEL_TRACES_SAMPLER");

        if (!name || !*name)
                return;
        sampler.parent_based = strncasecmp(name, parent, strlen(parent)) == 0;
        if (sampler.parent_based)
                name += strlen(parent);
        if (strcasecmp(name, "always_off") == 0) {
                sampler.threshold = SAMPLING_NEVER;
        } else if (strcasecmp(name, "traceidratio") == 0) {
                sampler_set_ratio();
        } else if (strcasecmp(name, "always_on") != 0) {
                sampler.parent_based = true;
                catena__misuse(MISUSE_SAMPLER);
        }
}

SamplerVerdict catena__sampler_ask(const uint8_t *trace_id, const uint8_t *parent_flags) {
        uint64_t ceiling = catena__link_threshold();
        SamplerVerdict verdict = {
                .own = !parent_flags || !sampler.parent_based,
                .threshold = sampler.threshold,
        };

        if (!verdict.own)
                verdict.threshold = *parent_flags & W3C_FLAG_SAMPLED ? 0 : SAMPLING_NEVER;
        if (verdict.threshold < ceiling)
                verdict.threshold = ceiling;
        verdict.sampled = sampling_keeps(verdict.threshold, trace_id);
        return verdict;
}

/* The threshold to be told, SAMPLING_NEVER: none. The same of what came. */
static uint64_t sampler_says(const SamplerVerdict *verdict, uint64_t told) {
        if (!verdict->sampled)
                return SAMPLING_NEVER;
        if (verdict->own)
                return verdict->threshold || sampler.tells ? verdict->threshold : SAMPLING_NEVER;
        /* Thinned out by both. Where the sender does not tell how, nobody knows how in all. */
        return told < verdict->threshold ? verdict->threshold : told;
}

bool catena__sampler_tracestate(char **changedp, const SamplerVerdict *verdict,
                                const char *tracestate) {
        uint64_t says, told = SAMPLING_NEVER;

        *changedp = NULL;
        if (tracestate)
                (void)sampling_tracestate_read(&told, tracestate);
        else
                tracestate = "";
        says = sampler_says(verdict, told);
        if (says == told)
                return true;
        *changedp = malloc(strlen(tracestate) + SAMPLING_TRACESTATE_MORE);
        if (!*changedp)
                return false;
        sampling_tracestate_write(*changedp, tracestate, says);
        return true;
}
