#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sampler
 *
 * Whether a trace is recorded, as OTEL_TRACES_SAMPLER and its ARG say, below the ceiling that the
 * daemon has told. Every sampler is a threshold (proto/sampling.h): always_on has 0, always_off the
 * one that no trace reaches; those that are parentbased ask it of roots only, and go on with what a
 * parent decided.
 *
 * I/O: reads the environment.  Threads: any.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct SamplerVerdict {
        bool sampled;
        bool own;           /* the sampler's own decision: what a parent told of it is void */
        uint64_t threshold; /* that the trace has passed here; 0: any would */
} SamplerVerdict;

/* Reads the environment; before anything else. */
void catena__sampler_init(void);
/* Asks of a trace; `parent_flags`: W3C's of the span it goes on from; NULL: it begins here. */
SamplerVerdict catena__sampler_ask(const uint8_t *trace_id, const uint8_t *parent_flags);
/*
 * What a tracestate (NULL: none) is to say after the verdict, allocated: `*changedp`. False: out of
 * memory. NULL with true: it stays as it is.
 */
bool catena__sampler_tracestate(char **changedp, const SamplerVerdict *verdict,
                                const char *tracestate);
